"""A whole run over real sockets: data in, quotes out, a clean stop, a journal that replays."""

from functools import partial
from pathlib import Path

from tests.daemon.rig import Rig, running


async def well(rig: Rig) -> bool:
    """Whether every feed has spoken."""
    return bool((await rig.health())[1]["status"] == "ok")


async def test_daemon_quotes_and_stops_with_nothing_resting(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        quality = rig.engine.quality()
        assert quality["hash_matched"] > 0
        assert quality["hash_mismatched"] == 0
        await rig.until_async(partial(well, rig), "health ok")
        await rig.stop()
        rig.engine.ledger.check(rig.engine.orders)
        assert rig.parts.journal is not None
        result = rig.nothing_rests()
        assert result.effect_digest == rig.parts.journal.digest.hexdigest()
        assert result.matches
