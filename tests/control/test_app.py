"""Every endpoint and every refusal, through Quart's own test client."""

import orjson
import pytest

from polytrade.control.routes import ENDPOINTS
from polytrade.runtime.status import FaultRow, FeedRow, HostRow, TaskRow
from tests.control.app_samples import answer, app_of
from tests.control.status_samples import status


async def test_index_lists_every_route() -> None:
    app = app_of()
    code, body = await answer(app.test_client(), "/")
    assert code == 200
    assert body == {"polytrade": "0.1.0", "endpoints": dict(ENDPOINTS)}
    routes = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == set(ENDPOINTS)


async def test_health_tells_tasks_feeds_and_hosts() -> None:
    code, body = await answer(app_of().test_client(), "/health")
    assert code == 200
    assert body == {
        "status": "ok",
        "ready": True,
        "paused": False,
        "mode": "paper",
        "engine_mode": "run",
        "engine_why": "",
        "version": "0.1.0",
        "run_id": "run-7",
        "uptime_sec": 3723.456,
        "generation": 1,
        "faults": [],
        "warnings": [],
        "tasks": [{"name": "strategy", "state": "running", "restarts": 0, "last_error": ""}],
        "feeds": [
            {
                "name": "binance/0",
                "connected": True,
                "stale": False,
                "last_message_age_ms": 12,
                "rate": 100.5,
                "messages": 9000,
                "malformed": 1,
                "reconnects": 2,
                "last_error": "",
            }
        ],
        "hosts": [
            {
                "name": "clob.example",
                "reachable": True,
                "last_error": "",
                "since": "2026-09-21T14:13:20.123Z",
            }
        ],
    }


async def test_health_tells_what_is_out_of_service_and_warns_of_notifiers() -> None:
    now = status(
        tasks=(TaskRow(name="notifier telegram", state="parked", last_error="Forbidden"),),
        faults=(FaultRow(role="maker", name="glft", why="KeyError"),),
    )
    _, body = await answer(app_of(lambda: now).test_client(), "/health")
    assert body["faults"] == [{"role": "maker", "name": "glft", "why": "KeyError"}]
    assert body["warnings"] == [
        "maker glft is out of service: KeyError",
        "notifier telegram is parked: Forbidden",
    ]


@pytest.mark.parametrize(
    ("changes", "state", "code"),
    [
        ({}, "ok", 200),
        ({"paused": True}, "ok", 200),
        ({"tasks": (TaskRow(name="feeds", state="waiting"),)}, "degraded", 200),
        ({"tasks": (TaskRow(name="notifier telegram", state="parked"),)}, "ok", 200),
        ({"faults": (FaultRow(role="maker", name="glft", why="slow"),)}, "degraded", 200),
        ({"feeds": (FeedRow(name="okx/0", connected=False),)}, "degraded", 200),
        ({"feeds": (FeedRow(name="okx/0", connected=True, stale=True),)}, "degraded", 200),
        ({"hosts": (HostRow(name="h", reachable=False),)}, "degraded", 200),
        ({"hosts": (HostRow(name="h", reachable=None),)}, "ok", 200),
        ({"engine_mode": "reduce"}, "degraded", 200),
        ({"engine_mode": "halt"}, "halted", 503),
    ],
)
async def test_health_status_follows_its_parts(
    changes: dict[str, object], state: str, code: int
) -> None:
    client = app_of(lambda: status(**changes)).test_client()
    found, body = await answer(client, "/health")
    assert (found, body["status"]) == (code, state)


async def test_degraded_health_names_each_cause() -> None:
    now = status(
        engine_mode="reduce",
        engine_why="asked to",
        tasks=(TaskRow(name="discovery", state="waiting", last_error="GammaError: 503"),),
        feeds=(
            FeedRow(name="okx/0", connected=False, last_error="no route"),
            FeedRow(name="kraken/0", connected=True, stale=True),
        ),
        hosts=(HostRow(name="h:9", reachable=False, last_error="refused"),),
    )
    _, body = await answer(app_of(lambda: now).test_client(), "/health")
    assert (body["status"], body["warnings"]) == (
        "degraded",
        [
            "the engine is in mode reduce: asked to",
            "discovery is waiting: GammaError: 503",
            "feed okx/0 is not connected: no route",
            "feed kraken/0 is stale",
            "host h:9 cannot be reached: refused",
        ],
    )


@pytest.mark.parametrize(
    ("book", "reference", "code"), [(False, True, 503), (True, False, 503), (True, True, 200)]
)
async def test_ready_waits_for_first_book_and_reference(
    book: bool, reference: bool, code: int
) -> None:
    now = status(first_book_seen=book, first_reference_seen=reference)
    client = app_of(lambda: now).test_client()
    assert (await answer(client, "/health?ready=1"))[0] == code
    assert (await answer(client, "/health"))[0] == 200


async def test_ready_takes_only_0_or_1() -> None:
    code, body = await answer(app_of().test_client(), "/health?ready=yes")
    assert code == 400
    assert body["error"]["field"] == "ready"
    assert body["error"]["allowed"] == "0, 1"


async def test_positions_are_exact_and_only_where_something_is_booked() -> None:
    response = await app_of().test_client().get("/state/positions")
    raw = await response.get_data()
    assert b'"avg_yes":0.48,' in raw  # 6.000001 / 12.5, rounded down
    assert orjson.loads(raw) == {
        "ts": "2026-09-21T14:13:20.123Z",
        "positions": [
            {
                "market": "0xab",
                "slug": "btc-updown-5m-1790000100",
                "symbol": "BTC",
                "phase": "open",
                "book_state": "synced",
                "yes": 12.5,
                "no": 0,
                "avg_yes": 0.48,
                "avg_no": None,
                "realized_usdc": -1.25,
                "unrealized_usdc": 0.05,
                "fees_usdc": 0.00123,
                "mark_yes": 0.48,
                "exposure_usdc": 8.35,
                "open_orders": [
                    {
                        "order_id": "o-1",
                        "token": "yes",
                        "side": "buy",
                        "price": 0.47,
                        "size": 5,
                        "filled": 0,
                        "state": "live",
                        "engine": "maker",
                    }
                ],
            }
        ],
    }


async def test_pnl_is_exact() -> None:
    response = await app_of().test_client().get("/state/pnl")
    assert await response.get_data() == (
        b'{"ts":"2026-09-21T14:13:20.123Z","realized":12.345678,"unrealized":-0.5,'
        b'"fees":0.00123,"rebates":0,"equity":1012.34,"equity_mid":1012.4,"peak_equity":1013,'
        b'"max_drawdown_pct":0.0012,"daily_pnl":11}\n'
    )


async def test_quality_has_null_for_what_was_never_measured() -> None:
    code, body = await answer(app_of().test_client(), "/quality")
    assert code == 200
    assert body["data_valid_ratio"] == 0.99
    assert body["seq_gap_rate"] is None
    assert body["stale_tick_drop_ratio"] == 0.025
    assert body["events"] == {"book_changed": 41}
    assert body["hashes"] == {
        "verified": 1,
        "unverified": 1,
        "suspect": 0,
        "matched": 40,
        "mismatched": 2,
        "not_checkable": 3,
    }
    assert body["latency"]["ack_only_ms"] == {"count": 0, "p50": None, "p90": None, "p99": None}
    assert body["latency"]["tick_to_decision_ms"]["count"] == 100
    assert body["engine"] == {"snapshots": 4}
