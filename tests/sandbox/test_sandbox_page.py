"""docs/sandbox.md: its table is the table, its TOML is a scenario, its Python makes clients."""

import re
from pathlib import Path

from polytrade.sandbox.faults import FAULTS, fault_table
from polytrade.sandbox.venue.scenario import parse_scenario

PAGE = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text()
READY = {
    **{f"{name}_url": f"http://127.0.0.1:1/{name}" for name in ("clob", "gamma", "data", "chain")},
    **{f"{name}_url": f"ws://127.0.0.1:1/{name}" for name in ("market", "user", "rtds")},
    "polybolt_url": "ws://127.0.0.1:1/ws",
}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def between(name):
    return re.search(rf"<!-- {name} -->\n(.*)<!-- /{name} -->", PAGE, re.DOTALL)[1]


def test_fault_table_is_fresh():
    assert between("faults").splitlines() == list(fault_table())
    assert len(list(fault_table())) == 2 + len(FAULTS)


def test_statistics_have_their_place():
    assert between("statistics") is not None


def test_scenario_of_the_page_can_be_read():
    (text,) = blocks("toml")
    kinds = [step.order.kind for step in parse_scenario(text.encode())]
    assert kinds == ["disconnect", "restart"]


def test_official_clients_are_pointed_here_as_the_page_says():
    start, clob, unified = blocks("python")
    compile(start, "start", "exec")
    scope = {"ready": READY}
    made, _ = clob.split("client.set_api_creds")  # what follows asks the venue
    exec(made, scope)
    assert scope["client"].host == READY["clob_url"]
    assert scope["client"].chain_id == 137
    exec(unified, scope)
    config = scope["local"]._config
    real = scope["get_environment_config"](scope["PRODUCTION"])
    changed = {name for name in config.__slots__ if getattr(config, name) != getattr(real, name)}
    assert changed == {
        *("clob_url", "gamma_url", "data_url", "relayer_url", "rpc_url", "rtds_ws_url"),
        *("clob_market_ws_url", "clob_user_ws_url", "realtime_ws_url"),
    }
