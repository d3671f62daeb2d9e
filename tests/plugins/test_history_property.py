"""Any sequence of reloads and rollbacks ends in the configuration that the history says.

The history is read by a model that knows nothing of the reload task: what each endpoint's fields
are, and that a rollback puts back what was below.
"""

import copy
import random
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polytrade import strict
from polytrade.config import Config, Storage, Strategy
from polytrade.core.events import LineupSwapped
from polytrade.journal import read_journal
from polytrade.probe import ProbeAnswer
from polytrade.replay import replay
from polytrade.runtime import rehearsal, reloading
from polytrade.runtime.inbox import Clock
from polytrade.runtime.parts import Parts, build_parts
from polytrade.runtime.reload_requests import ROLLBACK, ReloadRefused, ReloadRequest
from polytrade.session import run_started
from polytrade.swaps import config_after, lines_of
from tests.plugin_projects import SiteFolder, maker_source, plugin_site

STEPS_MAX = 12
KEPT = 8
"""Generations below the one in force that may be rolled back to."""
SECTIONS = {
    "strategy": {
        "min_edge_bps": ["strategy.min_edge_bps"],
        "ttl_ms": ["strategy.ttl_ms"],
        "taker_trigger_bps": ["taker.trigger_bps"],
        "stale_tick_filter_ms": ["risk.stale_tick_filter_ms", "taker.stale_tick_filter_ms"],
        "capital_fraction_kelly": ["allocator.capital_fraction_kelly"],
    },
    "taker": {"trigger_bps": ["taker.trigger_bps"]},
    "allocator": {
        "maker_weight": ["allocator.maker_weight"],
        "active_top_n_markets": ["allocator.active_top_n_markets"],
    },
    "risk": {"max_market_notional": ["risk.max_market_notional"]},
    "toxicity": {
        "safe_threshold": ["toxicity.safe_threshold"],
        "caution_threshold": ["toxicity.caution_threshold"],
    },
    "perf_profile": {"io_flush_batch": ["latency.io_flush_batch"]},
    "plugins": {"risk_rules": ["plugins.risk_rules"]},
}
"""The fields of each endpoint that are tried, and the settings they stand for (spec)."""
SELECTED = {
    "strategy": ("maker", "fair_value"),
    "taker": ("taker",),
    "allocator": ("allocator",),
}
MAKERS = ("bidder", "second")
"""Installed plugins with a maker of that name."""
NAMES = {
    "strategy": ("skewed", *MAKERS, "basis_mr", "digital", "nowhere"),
    "taker": ("profile", "none"),
    "allocator": ("reference", "kelly"),
}
KIND_OF = {"basis_mr": "fair_value", "digital": "fair_value"}
VALUES: dict[str, st.SearchStrategy[object]] = {
    "min_edge_bps": st.integers(-1, 20).map(float),
    "ttl_ms": st.integers(40, 900),
    "taker_trigger_bps": st.integers(-1, 20).map(float),
    "stale_tick_filter_ms": st.sampled_from((49, 50, 700, 5000, 5001)),
    "capital_fraction_kelly": st.sampled_from((0.0, 0.01, 0.5, 1.0)),
    "trigger_bps": st.integers(0, 20).map(float),
    "maker_weight": st.sampled_from((0.0, 0.2, 3.0)),
    "active_top_n_markets": st.integers(0, 10),
    "max_market_notional": st.integers(-1, 90).map(float),
    "safe_threshold": st.sampled_from((0.1, 0.3, 0.5, 0.9)),
    "caution_threshold": st.sampled_from((0.2, 0.5, 0.8)),
    "io_flush_batch": st.integers(0, 100),
    "risk_rules": st.sampled_from(((), ("trading_hours",), ("nowhere",))),
}
"""Values within the ranges and beyond them."""


def patches(endpoint: str) -> st.SearchStrategy[tuple[str, ReloadRequest]]:
    """Reloads of settings."""
    fields = st.fixed_dictionaries({}, optional={name: VALUES[name] for name in SECTIONS[endpoint]})
    return fields.map(lambda patch: asked(endpoint, patch=patch))


def asked(name: str, **more: Any) -> tuple[str, ReloadRequest]:
    """A reload, and no edit before it."""
    return "", ReloadRequest(name=name, who="test", **more)


def of_makers() -> st.SearchStrategy[tuple[str, ReloadRequest]]:
    """Switches to installed makers, with settings of their own that fit or do not."""
    return st.builds(
        lambda plugin, code, price: asked(
            "strategy", plugin=plugin, code=code, settings={"price_e4": price} if price else {}
        ),
        st.sampled_from(MAKERS),
        st.booleans(),
        st.sampled_from((0, 0, 3_000, 20_000)),
    )


def of_code() -> st.SearchStrategy[tuple[str, ReloadRequest]]:
    """Edits of a maker's code that are loaded then, whichever maker that asks for."""
    return st.tuples(
        st.sampled_from(MAKERS),
        st.sampled_from((*MAKERS, "")).map(lambda it: asked("strategy", plugin=it, code=True)[1]),
    )


def _all_steps() -> st.SearchStrategy[tuple[str, ReloadRequest]]:
    names = [(endpoint, name) for endpoint, names in NAMES.items() for name in names]
    return st.one_of(
        of_makers(),
        of_code(),
        st.sampled_from(names).map(lambda it: asked(it[0], plugin=it[1])),
        st.one_of(*(patches(endpoint) for endpoint in SECTIONS)),
        st.sampled_from((asked(ROLLBACK), asked(ROLLBACK, expected_generation=10_000))),
    )


@attrs.define
class Model:
    """What the rows of a history put in force, generation by generation."""

    config: dict[str, Any]
    lines: Mapping[str, str]
    generation: int = 1
    below: list[tuple[dict[str, Any], Mapping[str, str]]] = attrs.field(factory=list)

    def take(self, row: Mapping[str, Any]) -> None:
        """One row of the history."""
        if row["result"] == "refused":
            assert row["generation"] == self.generation
            return
        self.generation += 1
        assert row["generation"] == self.generation
        if row["name"] == ROLLBACK:
            self.config, self.lines = self.below.pop()
            assert row["plugins"] == self.lines
            return
        self.below.append((self.config, self.lines))
        del self.below[:-KEPT]
        self.config, self.lines = copy.deepcopy(self.config), row["plugins"]
        self._patch(row["name"], row["patch"])

    def _patch(self, endpoint: str, patch: Mapping[str, Any]) -> None:
        given = dict(patch)
        given.pop("code", None)
        plugin, own = given.pop("plugin", ""), given.pop("settings", {})
        if plugin:
            kind = KIND_OF.get(plugin, SELECTED[endpoint][0])
            self.config["strategy"][kind] = plugin
        if own:
            name = plugin or self.config["strategy"][SELECTED[endpoint][0]]
            self.config["plugins"]["settings"].setdefault(name, {}).update(own)
        for field, value in given.items():
            for path in SECTIONS[endpoint][field]:
                section, _, setting = path.partition(".")
                self.config[section][setting] = list(value) if type(value) is tuple else value


@asynccontextmanager
async def reloads(config: Config, root: Path) -> AsyncIterator[Parts]:
    """A run without feeds: engine, journal and the reload task."""
    async with build_parts(config, root, Clock(), random.Random(1)) as parts:
        assert parts.journal is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(parts.journal.run)
            nursery.start_soon(parts.strategy.run)
            nursery.start_soon(parts.producers["plugin feeds"][0])
            nursery.start_soon(parts.reloader.run)
            parts.inbox.put(run_started(config, parts.inbox.now_ns(), parts.run_id))
            yield parts
            parts.reloader.close()
            parts.inbox.close()
            await parts.strategy.wait_until(lambda: not parts.inbox.depth)
            nursery.cancel_scope.cancel()
        assert await parts.journal.close()


async def no_child(*_arguments: object) -> ProbeAnswer:
    """The trial is not what is tried here."""
    await trio.lowlevel.checkpoint()
    return ProbeAnswer(True)


@contextmanager
def untried() -> Iterator[None]:
    """Reloads try nothing in a process of its own and listen to nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reloading, "run_probe", no_child)
        patch.setattr(rehearsal, "LISTEN_S", 0.0)
        yield


class Checked:
    """Carries steps out one after the other, each held against the model of the history."""

    def __init__(self, parts: Parts, site: SiteFolder) -> None:
        self._parts = parts
        self._site = site
        self._editions = dict.fromkeys(MAKERS, 0)
        session = parts.session
        self.model = Model(strict.to_dict(session.config), dict(session.lineup.plugins))

    async def step(self, edited: str, request: ReloadRequest) -> None:
        """A reload, after an edit of the plugin's code when one is named."""
        if edited:
            number = self._editions[edited] = self._editions[edited] + 1
            source = maker_source(edited, 4_000 + number)
            self._site.install(edited, source, version=f"1.0.{number}")
        reloader, session = self._parts.reloader, self._parts.session
        count = len(reloader.history())
        with trio.fail_after(60):
            answer = await reloader.reload(request)
            while len(reloader.history()) == count:  # noqa: ASYNC110  (the row follows the answer)
                await trio.sleep(0.001)
        (row,) = reloader.history()[count:]
        assert (row["result"] == "refused") == isinstance(answer, ReloadRefused)
        self.model.take(row)
        assert strict.to_dict(session.config) == self.model.config
        assert dict(session.lineup.plugins) == dict(self.model.lines)
        assert session.generation == reloader.generation == self.model.generation


def journal_agrees(model: Model, run: Path) -> None:
    """The events of the journal, carried out one after the other, end in the same."""
    reader = read_journal(run)
    config = strict.structure(reader.header.config)
    lines, generation = dict(reader.header.plugins), 1
    for entry in reader:
        if isinstance(entry.event, LineupSwapped):
            config, lines = config_after(config, entry.event), lines_of(entry.event)
            generation = entry.event.generation
    assert strict.to_dict(config) == model.config
    assert lines == dict(model.lines)
    assert generation == model.generation
    assert reader.trailer is not None


@given(st.lists(_all_steps(), min_size=3, max_size=STEPS_MAX))
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_reloads_and_rollbacks_end_in_what_the_history_says(
    steps: list[tuple[str, ReloadRequest]],
) -> None:
    carried_out(steps)


def test_history_of_every_kind_of_reload_is_what_was_asked_for() -> None:
    model, results = carried_out(
        [
            asked("strategy", patch={"min_edge_bps": 9.0}),
            asked("strategy", plugin="second", settings={"price_e4": 3_000}),
            ("second", asked("strategy", code=True)[1]),
            asked("toxicity", patch={"safe_threshold": 0.9, "caution_threshold": 0.1}),
            asked("risk", patch={"max_market_notional": 7.0}),
            asked(ROLLBACK),
            asked(ROLLBACK),
            asked("strategy", plugin="nowhere"),
        ]
    )
    assert results == ["applied"] * 3 + ["refused"] + ["applied"] * 3 + ["refused"]
    # The limit and then the new code were rolled back, the switch and the edge were not.
    assert model.config["risk"]["max_market_notional"] == 50.0
    assert model.config["strategy"]["min_edge_bps"] == 9.0
    assert model.config["strategy"]["maker"] == "second"
    assert model.config["plugins"]["settings"] == {"second": {"price_e4": 3_000}}
    assert model.lines["second"].startswith("1.0.0+sha256:")
    assert (model.generation, len(model.below)) == (7, 2)


def carried_out(steps: list[tuple[str, ReloadRequest]]) -> tuple[Model, list[str]]:
    """The model after these steps, and what came of each."""
    with tempfile.TemporaryDirectory() as folder, untried(), plugin_site(Path(folder, "s")) as site:
        for name in MAKERS:
            site.install(name, maker_source(name))
        return trio.run(_carried_out, steps, Path(folder), site)


async def _carried_out(
    steps: list[tuple[str, ReloadRequest]], folder: Path, site: SiteFolder
) -> tuple[Model, list[str]]:
    config = Config(
        strategy=Strategy(maker="bidder"), storage=Storage(data_dir=str(folder / "runs"))
    )
    async with reloads(config, folder) as parts:
        checked = Checked(parts, site)
        for edited, request in steps:
            await checked.step(edited, request)
        results = [row["result"] for row in parts.reloader.history()]
    run = folder / "runs" / parts.run_id
    journal_agrees(checked.model, run)
    if not any(edited for edited, _ in steps):
        result = replay(run)
        assert result.divergence is None
        assert result.matches
    return checked.model, results
