"""The Prometheus page: contract metrics and process metrics, drawn in slices and cached a second.

prometheus-client takes 96 ms of the event loop for a page of 10,000 series (limits 5), so only the
few process metrics come from it; ours are written from prebuilt values, `SLICE` series between two
checkpoints. Its parser is the oracle of the tests.
"""

from collections.abc import Callable, Iterator
from typing import Final, final

import trio
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest

from polytrade.hookspecs import FEED, RISK_RULE
from polytrade.lineup import ROLES
from polytrade.metrics import METRICS, SUMMARY, TABLE, Metric, Quantiles, Readings
from polytrade.runtime.status import DaemonStatus, MarketRow

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
FRESH_S: Final = 1.0
"""A page this young is served again: scrapers ask every 5 to 60 s."""
ROLES_TOLD: Final = (*ROLES, RISK_RULE, FEED)
"""Roles whose plugins may be out of service."""
SLICE: Final = 250
"""Series written between two checkpoints: about 0.2 ms (limits 5)."""


@final
class MetricsPage:
    """Renders at most once in `FRESH_S` and serves the same bytes until then.

    Callers that come while a page is made wait for that page; one that is cancelled leaves the
    old page in place.
    """

    def __init__(self, read: Callable[[], DaemonStatus]) -> None:
        self._read = read
        self._lock = trio.Lock()
        self._page = b""
        self._made_s = float("-inf")
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)
        GCCollector(registry=self._process)

    async def read(self) -> bytes:
        """The page, at most `FRESH_S` old."""
        async with self._lock:
            if trio.current_time() - self._made_s >= FRESH_S:
                made_s = trio.current_time()
                self._page = await self._render(self._read())
                self._made_s = made_s
            return self._page

    async def _render(self, status: DaemonStatus) -> bytes:
        readings = Readings()
        parts: list[str] = []
        done = 0
        for series in fill_readings(readings, status):
            done = await _breathe(done + series)
        for block, series in page_blocks(readings):
            parts.append(block)
            done = await _breathe(done + series)
        process = generate_latest(self._process)  # about 25 series: under 0.3 ms
        return "".join(parts).encode() + process


async def _breathe(done: int) -> int:
    """Let the ticks through after every `SLICE` series; returns the series since."""
    if done < SLICE:
        return done
    await trio.lowlevel.checkpoint()
    return 0


def fill_readings(out: Readings, status: DaemonStatus) -> Iterator[int]:
    """Put every contract value of a status in `out`: the meter's, then those of its rows.

    Yields how many series each step put, so that a caller in the event loop may pause.
    """
    out.values.update(status.readings.values)
    out.summaries.update(status.readings.summaries)
    _daemon(out, status)
    _money(out, status)
    yield SLICE
    for market in status.markets:
        _market(out, market)
        yield 8


def page_blocks(readings: Readings) -> Iterator[tuple[str, int]]:
    """(text, number of series) of the page, at most `SLICE` series each, in contract order.

    A metric without a value has its heading all the same, so that nothing of the contract is
    missing on any page.
    """
    for row in METRICS.values():
        if row.kind == SUMMARY:
            found = readings.summaries.get(row.name)
            yield (_head(row), 2) if found is None else _summary(row, found)
            continue
        if row.kind == TABLE:
            continue
        lines = [_head(row)]
        for labels, value in readings.values.get(row.name, {}).items():
            lines.append(f"{row.prometheus}{_labels(row.labels, labels)} {_number(value)}\n")
            if len(lines) > SLICE:
                yield "".join(lines), len(lines)
                lines.clear()
        if lines:
            yield "".join(lines), len(lines)


def _head(row: Metric) -> str:
    unit = f" ({row.unit})" if row.unit not in {"1", "bool"} else ""
    return f"# HELP {row.prometheus} {row.help}{unit}\n# TYPE {row.prometheus} {row.kind}\n"


def _summary(row: Metric, found: Quantiles) -> tuple[str, int]:
    lines = [_head(row)]
    for quantile, value in (("0.5", found.p50), ("0.9", found.p90), ("0.99", found.p99)):
        if value is not None:
            lines.append(f'{row.prometheus}{{quantile="{quantile}"}} {_number(value)}\n')
    lines.append(f"{row.prometheus}_count {found.count}\n")
    lines.append(f"{row.prometheus}_sum {_number(found.sum)}\n")
    return "".join(lines), len(lines)


def _number(value: float) -> str:
    return repr(value)


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escape(value: str) -> str:
    if "\\" in value or '"' in value or "\n" in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


def _daemon(out: Readings, status: DaemonStatus) -> None:
    out.put("build_info", 1, status.version, status.mode)
    out.put("uptime_seconds", status.uptime_ns / 1e9)
    out.put("ready", int(status.ready))
    out.put("paused", int(status.paused))
    for mode in ("run", "reduce", "halt"):
        out.put("engine_mode", int(mode == status.engine_mode), mode)
    for task in status.tasks:
        out.put("task_running", int(task.state == "running"), task.name)
        out.put("task_restarts_total", task.restarts, task.name)
    for feed in status.feeds:
        out.put("feed_connected", int(feed.connected), feed.name)
        out.put("feed_stale", int(feed.stale), feed.name)
        out.put("feed_last_message_age_ms", feed.last_message_age_ms, feed.name)
        out.put("feed_rate", feed.rate, feed.name)
        out.put("feed_messages_total", feed.messages, feed.name)
        out.put("feed_malformed_total", feed.malformed, feed.name)
        out.put("feed_reconnects_total", feed.reconnects, feed.name)
    for host in status.hosts:
        out.put(
            "host_reachable", None if host.reachable is None else int(host.reachable), host.name
        )
    for queue in status.queues:
        out.put("queue_depth", queue.depth, queue.name)
        out.put("queue_depth_peak", queue.peak, queue.name)
        out.put("queue_dropped_total", queue.dropped, queue.name)
    out.put("generation", status.reloads.generation)
    out.put("reloads_total", status.reloads.applied, "applied")
    out.put("reloads_total", status.reloads.refused, "refused")
    out.put("rollbacks_by_guard_total", status.reloads.rolled_back)
    out.put("swap_pause_ms", status.reloads.swap_pause_us / 1e3)
    out.put("plugin_overruns_total", status.reloads.overruns)
    out.put("plugin_quarantines_total", status.reloads.quarantined)
    for role in ROLES_TOLD:
        out.put("plugin_faults", int(any(fault.role == role for fault in status.faults)), role)
    for state in ("cold", "synced", "suspect", "stale"):
        count = sum(market.book_state == state for market in status.markets)
        out.put("books", count, state)
    out.put("book_hashes_total", status.hashes.matched, "matched")
    out.put("book_hashes_total", status.hashes.mismatched, "mismatched")
    out.put("book_hashes_total", status.hashes.not_checkable, "not_checkable")


def _money(out: Readings, status: DaemonStatus) -> None:
    pnl = status.pnl
    out.put("pnl_realized_usdc", pnl.realized_e6 / 1e6)
    out.put("pnl_unrealized_usdc", pnl.unrealized_e6 / 1e6)
    out.put("fees_usdc", pnl.fees_e6 / 1e6)
    out.put("rebates_usdc", pnl.rebates_e6 / 1e6)
    out.put("equity_usdc", pnl.equity_e6 / 1e6)
    out.put("equity_mid_usdc", pnl.equity_mid_e6 / 1e6)
    out.put("peak_equity_usdc", pnl.peak_equity_e6 / 1e6)
    out.put("max_drawdown_ratio", pnl.max_drawdown_e6 / 1e6)
    out.put("daily_pnl_usdc", pnl.daily_pnl_e6 / 1e6)
    out.put("open_orders", sum(len(market.orders) for market in status.markets))


def _market(out: Readings, market: MarketRow) -> None:
    slug = market.slug
    out.put("market_bid", _price(market.bid_e4), slug)
    out.put("market_ask", _price(market.ask_e4), slug)
    out.put("market_fair", market.fair, slug)
    out.put("market_confidence", market.confidence, slug)
    out.put("market_yes_shares", market.yes_e6 / 1e6, slug)
    out.put("market_no_shares", market.no_e6 / 1e6, slug)
    out.put("market_exposure_usdc", market.exposure_e6 / 1e6, slug)
    out.put("market_pnl_usdc", market.pnl_e6 / 1e6, slug)
    out.put("market_tox_score", market.tox_score, slug)
    out.put("market_score", market.market_score, slug)
    if market.regime:
        out.put("market_active", int(market.active), slug)


def _price(price_e4: int | None) -> float | None:
    return None if price_e4 is None else price_e4 / 1e4
