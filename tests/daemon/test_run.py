"""A whole run over real sockets: data in, quotes out, a clean stop, a journal that replays."""

from pathlib import Path

from polytrade.replay import replay
from tests.daemon.rig import running


async def test_daemon_quotes_and_stops_with_nothing_resting(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.until(rig.synced, "synced books")
        await rig.quoting()
        quality = rig.engine.quality()
        assert quality["hash_matched"] > 0
        assert quality["hash_mismatched"] == 0
        digest = rig.parts.journal.digest  # type: ignore[union-attr]
        await rig.stop()
        assert rig.parts.session.paper is not None
        assert rig.parts.session.paper.idle
        assert rig.engine.orders.open_count() == 0
        rig.engine.ledger.check(rig.engine.orders)
        result = replay(rig.journal())
        assert result.effect_digest == digest.hexdigest()
        assert result.divergence is None
