"""The endpoints of reloads: strict bodies, answers of the contract, refusals with their step."""

import math
from typing import Any

import orjson
import pytest
import trio

from polytrade.config import Config
from polytrade.control.app import ControlApp
from polytrade.lineup import Changes
from polytrade.runtime.command_requests import Commands
from polytrade.runtime.logs import register_secret
from polytrade.runtime.reload_refusals import Refused
from polytrade.runtime.reload_requests import (
    ENDPOINTS,
    ReloadRefused,
    ReloadReply,
    ReloadRequest,
    effective,
)
from tests.control.app_samples import TOKEN, app_of

APPLIED_NS = 1_790_000_000_123_000_000
NAMES = sorted(ENDPOINTS)


class FakeReloads:
    """Notes what is asked and answers with the default configuration, or with `refusal`."""

    def __init__(self, refusal: ReloadRefused | None = None) -> None:
        self.seen: list[ReloadRequest] = []
        self.refusal = refusal
        self.generation = 6
        self.groups: dict[str, Any] | None = None
        self.hangs = False

    async def reload(self, request: ReloadRequest) -> ReloadReply | ReloadRefused:
        await trio.lowlevel.checkpoint()
        self.seen.append(request)
        if self.refusal is not None:
            return self.refusal
        groups = effective(request.name, Config()) if self.groups is None else self.groups
        return ReloadReply(
            generation=7,
            applied_at_ns=APPLIED_NS,
            effective=groups,
            plugins={"builtin": "1.0.0"},
        )

    async def changes(self) -> Changes:
        await trio.lowlevel.checkpoint()
        if self.hangs:
            raise Refused(ReloadRefused(code="failed", message="it hangs"))
        return Changes(("new",), ("edited",), ())

    async def plugins(self) -> list[dict[str, Any]]:
        await trio.lowlevel.checkpoint()
        return [{"name": "builtin"}]

    def history(self) -> list[dict[str, Any]]:
        return [{"generation": 6}]


def with_reloads(reloads: FakeReloads | None, **settings: Any) -> ControlApp:
    return app_of(commands=Commands(None, reloads), **settings)


async def post(app: ControlApp, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    response = await app.test_client().post(path, data=data, headers=headers)
    return response.status_code, orjson.loads(await response.get_data())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "plugins"])
async def test_answer_is_the_whole_configuration_of_the_endpoint(name: str) -> None:
    status, body = await post(with_reloads(FakeReloads()), f"/control/reload_{name}", {})
    assert status == 200
    assert (body.pop("generation"), body.pop("applied_at")) == (7, "2026-09-21T14:13:20.123Z")
    assert body.pop("versions") == {"builtin": "1.0.0"}
    told = [field for group in body.values() for field in group if field != "plugin"]
    assert sorted(told) == sorted(ENDPOINTS[name].fields)


async def test_strategy_is_answered_as_the_contract_says() -> None:
    _, body = await post(with_reloads(FakeReloads()), "/control/reload_strategy", b"")
    assert body["maker"]["plugin"] == "skewed"
    assert body["fair_value"] == {
        "plugin": "digital",
        "basis_k_revert": 0.85,
        "basis_z_cap": 3.0,
        "basis_min_confidence": 0.05,
    }
    assert body["taker"]["market_tier_profile"] == "balanced_sol_guard"


async def test_weights_are_told_as_shares_of_one() -> None:
    _, body = await post(with_reloads(FakeReloads()), "/control/reload_allocator", {})
    weights = [body["allocator"][f"{who}_weight"] for who in ("taker", "maker", "arb")]
    assert math.isclose(sum(weights), 1.0)


async def test_only_what_is_given_is_asked_for() -> None:
    reloads = FakeReloads()
    body = {
        "ttl_ms": 500,
        "min_edge_bps": 7,
        "plugin": "glft",
        "code": True,
        "settings": {"gamma": 0.5, "levels": [1, 2]},
        "expected_generation": 6,
    }
    status, _ = await post(with_reloads(reloads), "/control/reload_strategy", body)
    assert status == 200
    (asked,) = reloads.seen
    assert asked.name == "strategy"
    assert asked.patch == {"ttl_ms": 500, "min_edge_bps": 7.0}
    assert (asked.plugin, asked.code, asked.expected_generation) == ("glft", True, 6)
    assert asked.settings == {"gamma": 0.5, "levels": (1, 2)}
    assert asked.who.startswith("control ")


WRONG = (
    ("strategy", {"ttl_ms": 49}, "invalid_value", "ttl_ms"),
    ("strategy", {"ttl_ms": 400.0}, "invalid_value", "ttl_ms"),
    ("strategy", {"ttl_ms": None}, "invalid_value", "ttl_ms"),
    ("strategy", {"inventory_skew": 1.01}, "invalid_value", "inventory_skew"),
    ("strategy", {"market_tier_profile": "bold"}, "invalid_value", "market_tier_profile"),
    ("strategy", {"half_spread": 0.1}, "unknown_field", "half_spread"),
    ("strategy", {"settings": 5}, "invalid_value", "settings"),
    ("strategy", {"settings": {"a": {}}}, "invalid_value", "settings.a"),
    ("strategy", {"settings": None}, "invalid_value", "settings"),
    ("strategy", {"settings": {"a b": None}}, "invalid_value", "settings"),
    ("strategy", {"settings": {"a": [None]}}, "invalid_value", "settings.a[0]"),
    ("strategy", {"code": 1}, "invalid_value", "code"),
    ("strategy", {"plugin": 1}, "invalid_value", "plugin"),
    ("strategy", {"expected_generation": 0}, "invalid_value", "expected_generation"),
    ("taker", {"stale_tick_filter_ms": 5001}, "invalid_value", "stale_tick_filter_ms"),
    ("allocator", {"active_top_n_markets": 0}, "invalid_value", "active_top_n_markets"),
    ("risk", {"max_open_orders": 0}, "invalid_value", "max_open_orders"),
    ("risk", {"plugin": "x"}, "unknown_field", "plugin"),
    ("toxicity", {"safe_threshold": 2}, "invalid_value", "safe_threshold"),
    ("perf_profile", {"json_mode": "fast"}, "invalid_value", "json_mode"),
    ("plugins", {"feeds": "deribit"}, "invalid_value", "feeds"),
    ("plugins", {"settings": {"a": 5}}, "invalid_value", "settings.a"),
    ("plugins", {"settings": None}, "invalid_value", "settings"),
    ("plugins", {"settings": {"a b": None}}, "invalid_value", "settings"),
)


@pytest.mark.parametrize(("name", "body", "code", "field"), WRONG)
async def test_wrong_body_is_refused_and_nothing_is_asked(
    name: str, body: Any, code: str, field: str
) -> None:
    reloads = FakeReloads()
    status, answer = await post(with_reloads(reloads), f"/control/reload_{name}", body)
    assert (status, answer["error"]["code"], answer["error"]["field"]) == (400, code, field)
    assert answer["error"]["allowed"] or field == "settings.a"
    assert reloads.seen == []


@pytest.mark.parametrize("text", [b"{", b"[]", b"5", b'{"ttl_ms": NaN}', b'{"ttl_ms": 1e999}'])
async def test_what_is_no_object_is_refused(text: bytes) -> None:
    reloads = FakeReloads()
    status, _ = await post(with_reloads(reloads), "/control/reload_strategy", text)
    assert (status, reloads.seen) == (400, [])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b'{"min_edge_bps": 5, "min_edge_bps": 6}', "min_edge_bps"),
        (b'{"settings": {"gamma": 1, "gamma": 1}}', "gamma"),
        (b'{"settings": {"a": 1}, "ttl_ms": 500, "settings": {}}', "settings"),
        (b'{"ttl_ms": 500, "ttl\\u005fms": 500}', "ttl_ms"),
    ],
)
async def test_name_that_is_there_twice_is_refused(text: bytes, name: str) -> None:
    reloads = FakeReloads()
    status, body = await post(with_reloads(reloads), "/control/reload_strategy", text)
    assert (status, reloads.seen) == (400, [])
    assert body["error"] == {
        "code": "duplicate_field",
        "message": f'"{name}" is there twice',
        "field": name,
        "allowed": "each name once",
    }


@pytest.mark.parametrize("levels", [500, 1000, 20_000])
async def test_deep_body_is_refused(levels: int) -> None:
    text = b'{"settings": {"a": ' + b"[" * levels + b"]" * levels + b"}}"
    reloads = FakeReloads()
    status, _ = await post(with_reloads(reloads), "/control/reload_strategy", text)
    assert (status, reloads.seen) == (400, [])


async def test_null_takes_back_what_was_set() -> None:
    reloads = FakeReloads()
    body: dict[str, Any] = {"settings": {"half_spread": None, "width": 0.02}}
    status, _ = await post(with_reloads(reloads), "/control/reload_strategy", body)
    body = {"settings": {"fader": None, "tell": {"url": None}}}
    await post(with_reloads(reloads), "/control/reload_plugins", body)
    assert status == 200
    assert [asked.settings for asked in reloads.seen] == [
        {"half_spread": None, "width": 0.02},
        {"fader": None, "tell": {"url": None}},
    ]
    assert reloads.seen[0].told() == {"settings": {"half_spread": None, "width": 0.02}}


async def test_answers_are_without_secrets_and_half_characters() -> None:
    register_secret("swordfish-77")
    refusal = ReloadRefused(
        code="reload_failed",
        message="KeyError: '\ud800' swordfish-77",
        step="probe",
        plugin="p 1",
        allowed="\udfff",
    )
    _, body = await post(with_reloads(FakeReloads(refusal)), "/control/reload_taker", {})
    assert body["error"]["message"] == "KeyError: '?' ***"
    assert body["error"]["allowed"] == "?"
    reloads = FakeReloads()
    own = {"url": "http://swordfish-77/", "api_key": "k", "levels": [1, 2]}
    reloads.groups = {"maker": {"plugin": "p", "settings": own}}
    _, body = await post(with_reloads(reloads), "/control/reload_strategy", {})
    assert body["maker"] == {
        "plugin": "p",
        "settings": {"url": "http://***/", "api_key": "***", "levels": [1, 2]},
    }


async def test_rescan_that_cannot_look_is_refused() -> None:
    reloads = FakeReloads()
    reloads.hangs = True
    status, body = await post(with_reloads(reloads), "/control/reload_plugins", b"")
    assert (status, body["error"]["message"]) == (409, "it hangs")


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (ReloadRefused(code="invalid_value", message="m", field="f", allowed="a"), 400),
        (ReloadRefused(code="reload_failed", message="m", step="probe", plugin="glft 1.0.0"), 409),
        (ReloadRefused(code="stale_generation", message="m"), 409),
        (ReloadRefused(code="restart_needed", message="m"), 409),
        (ReloadRefused(code="busy", message="m"), 503),
        (ReloadRefused(code="stopping", message="m"), 503),
    ],
)
async def test_refusal_has_its_status_and_its_step(refusal: ReloadRefused, status: int) -> None:
    app = with_reloads(FakeReloads(refusal))
    code, body = await post(app, "/control/reload_taker", {"trigger_bps": 5})
    assert code == status
    expected = {
        "code": refusal.code,
        "message": "m",
        "field": refusal.field,
        "allowed": refusal.allowed,
    }
    if refusal.step:
        expected |= {"step": refusal.step, "plugin": refusal.plugin}
    assert body == {"error": expected}


async def test_rescan_asks_for_no_reload_and_lists_do() -> None:
    reloads = FakeReloads()
    status, body = await post(with_reloads(reloads), "/control/reload_plugins", b"")
    assert (status, reloads.seen) == (200, [])
    assert body == {"appeared": ["new"], "changed": ["edited"], "vanished": [], "generation": 6}
    body = {"feeds": ["deribit"], "settings": {"deribit": {"every_s": 5}}}
    status, body = await post(with_reloads(reloads), "/control/reload_plugins", body)
    (asked,) = reloads.seen
    assert (status, asked.patch) == (200, {"feeds": ("deribit",)})
    assert asked.settings == {"deribit": {"every_s": 5}}


async def test_rollback_asks_for_what_is_below() -> None:
    reloads = FakeReloads()
    status, body = await post(
        with_reloads(reloads), "/plugins/rollback", {"expected_generation": 6}
    )
    assert (status, body["generation"]) == (200, 7)
    assert [(asked.name, asked.expected_generation) for asked in reloads.seen] == [("rollback", 6)]
    status, body = await post(with_reloads(reloads), "/plugins/rollback", {"generation": 6})
    assert (status, body["error"]["code"]) == (400, "unknown_field")


async def test_plugins_and_history_are_told() -> None:
    client = with_reloads(FakeReloads()).test_client()
    plugins = orjson.loads(await (await client.get("/plugins")).get_data())
    assert plugins == {"generation": 6, "plugins": [{"name": "builtin"}]}
    history = orjson.loads(await (await client.get("/control/history")).get_data())
    assert history == {"generation": 6, "reloads": [{"generation": 6}]}


async def test_without_reloads_every_endpoint_is_refused() -> None:
    app = with_reloads(None)
    for path in ("/control/reload_risk", "/control/reload_plugins", "/plugins/rollback"):
        status, body = await post(app, path, {})
        assert (status, body["error"]["code"]) == (503, "no_reloads")


async def test_reload_needs_the_token() -> None:
    reloads = FakeReloads()
    app = app_of(commands=Commands(None, reloads), token=TOKEN)
    status, _ = await post(app, "/control/reload_risk", {"max_open_orders": 5})
    assert (status, reloads.seen) == (401, [])
    status, _ = await post(
        app, "/control/reload_risk", {"max_open_orders": 5}, Authorization=f"Bearer {TOKEN}"
    )
    assert (status, len(reloads.seen)) == (200, 1)
