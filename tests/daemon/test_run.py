"""A whole run over real sockets: data in, quotes out, a clean stop, a journal that replays."""

from pathlib import Path

from tests.daemon.rig import running


async def test_daemon_quotes_and_stops_with_nothing_resting(tmp_path: Path) -> None:
    async with running(tmp_path, 'strategy.fair_value="digital"') as rig:
        await rig.quoting()
        quality = rig.engine.quality()
        assert quality["hash_matched"] > 0
        assert quality["hash_mismatched"] == 0
        assert (await rig.health())[1]["status"] == "ok"
        await rig.stop()
        rig.engine.ledger.check(rig.engine.orders)
        assert rig.parts.journal is not None
        result = rig.nothing_rests()
        assert result.effect_digest == rig.parts.journal.digest.hexdigest()
        assert result.matches
