"""A whole run over real sockets: data in, quotes out, a clean stop, a journal that replays."""

import json
from functools import partial
from pathlib import Path

import polytrade
from polytrade.catalogue import BUILTIN
from polytrade.strict import config_digest
from tests.daemon.rig import Rig, running


async def well(rig: Rig) -> bool:
    """Whether every feed has spoken."""
    return bool((await rig.health())[1]["status"] == "ok")


async def test_daemon_quotes_and_stops_with_nothing_resting(tmp_path: Path) -> None:
    async with running(tmp_path, 'plugins.disabled=["nope"]') as rig:
        await rig.quoting()
        quality = rig.engine.quality()
        assert quality["hash_matched"] > 0
        assert quality["hash_mismatched"] == 0
        says_what_runs(rig)
        await rig.until_async(partial(well, rig), "health ok")
        await rig.stop()
        rig.engine.ledger.check(rig.engine.orders)
        assert rig.parts.journal is not None
        result = rig.nothing_rests()
        assert result.effect_digest == rig.parts.journal.digest.hexdigest()
        assert result.matches


def says_what_runs(rig: Rig) -> None:
    """The start's log names the lineup and the configuration, so that a restart can be read."""
    lines = [json.loads(line) for line in rig.log.getvalue().splitlines()]
    (told,) = [line for line in lines if line["event"] == "lineup"]
    (warned,) = [line for line in lines if line["event"] == "configuration"]
    assert warned["warning"] == "plugins.disabled: no plugin 'nope' is installed"
    lineup, config = rig.parts.session.lineup, rig.parts.session.config
    roles = ("fair_value", "maker", "taker", "allocator")
    assert {role: told[role] for role in roles} == {
        "fair_value": config.strategy.fair_value,
        "maker": config.strategy.maker,
        "taker": config.strategy.taker,
        "allocator": config.strategy.allocator,
    }
    assert (told["feeds"], told["rules"], told["notifiers"]) == ([], [], [])
    assert told["plugins"] == dict(lineup.plugins)
    assert told["plugins"][BUILTIN].startswith(f"{polytrade.__version__}+sha256:")
    assert (told["generation"], told["config_digest"]) == (1, config_digest(config))
