"""Which settled trades the venue remembers when there are too many."""

from polytrade.sandbox.matching import settlement
from tests.sandbox.matching.floor import Floor


def test_trades_of_others_do_not_push_out_those_of_a_key(monkeypatch):
    monkeypatch.setattr(settlement, "TRADES_KEPT", 3)
    floor = Floor()
    floor.sell("alice", 5000, 10, owner="")
    bought = floor.buy("bob", 5000, 10)
    for _ in range(5):
        floor.sell("alice", 5000, 10, owner="")
        floor.buy("bob", 5000, 10, owner="")
    floor.run(10)
    assert [one.trade_id for one in floor.exchange.trades_of("key-bob")] == [*bought.trade_ids]
    assert len(floor.exchange.trades) == 1 + 3
