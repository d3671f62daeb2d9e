"""The Prometheus page: contract names, prometheus-client as the oracle, one page a second."""

import trio
import trio.testing
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from polytrade.config import Control
from polytrade.control.app import create_app
from polytrade.control.exposition import FRESH_S, SLICE, MetricsPage, fill_readings, page_blocks
from polytrade.metrics import COUNTER, GAUGE, METRICS, SUMMARY, TABLE, Quantiles, Readings
from polytrade.runtime.command_requests import Commands
from polytrade.runtime.status import DaemonStatus, MarketRow
from tests.control.status_samples import status

NASTY = 'a"b\\c\nd é'


def parsed(page: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def text_of(readings: Readings) -> str:
    return "".join(block for block, _ in page_blocks(readings))


async def test_page_parses_and_its_names_are_the_contract() -> None:
    app = create_app(status, Commands(), Control(), None)
    response = await app.test_client().get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    page = (await response.get_data()).decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    ours = {name for name in families if name.startswith("polytrade_")}
    contract = {row.prometheus: row for row in METRICS.values()}
    by_family = {name.removesuffix("_total"): row for name, row in contract.items()}
    assert ours <= set(by_family)
    for name in ours:
        row = by_family[name]
        assert families[name].type == row.kind
        assert families[name].documentation.startswith(row.help)
        for sample in families[name].samples:
            if row.kind == SUMMARY:
                assert set(sample.labels) <= {"quantile"}
            else:
                assert tuple(sample.labels) == row.labels
    assert {"process_cpu_seconds", "process_resident_memory_bytes", "python_info"} <= set(families)


async def test_page_carries_the_status() -> None:
    values = parsed((await MetricsPage(status).read()).decode())
    assert values["polytrade_equity_usdc", ()] == 1012.34
    assert values["polytrade_feed_rate", (("feed", "binance/0"),)] == 100.5
    assert values["polytrade_market_fair", (("slug", "btc-updown-5m-1790000100"),)] == 0.4861
    assert values["polytrade_book_hashes_total", (("result", "matched"),)] == 40
    assert values["polytrade_books", (("state", "synced"),)] == 1
    assert values["polytrade_books", (("state", "cold"),)] == 1
    assert values["polytrade_events_total", (("kind", "book_changed"),)] == 41
    assert values["polytrade_stale_tick_drop_ratio", ()] == 0.025
    assert values["polytrade_engine_mode", (("mode", "halt"),)] == 0
    assert values["polytrade_queue_depth_peak", (("queue", "inbox"),)] == 40
    slug = (("slug", "btc-updown-5m-1790000100"),)
    assert values["polytrade_market_tox_score", slug] == 0.42
    assert values["polytrade_market_score", slug] == 81.5
    assert values["polytrade_market_active", slug] == 1


async def test_empty_percentile_is_absent_and_a_measured_one_is_there() -> None:
    values = parsed((await MetricsPage(status).read()).decode())
    assert ("polytrade_ack_only_ms", (("quantile", "0.5"),)) not in values
    assert values["polytrade_ack_only_ms_count", ()] == 0
    assert values["polytrade_tick_to_decision_ms_count", ()] == 100
    assert values["polytrade_tick_to_decision_ms_sum", ()] == 5050
    p50 = values["polytrade_tick_to_decision_ms", (("quantile", "0.5"),)]
    assert abs(p50 - 50) / 50 < 0.011


def test_missing_prices_are_absent() -> None:
    now = status(markets=(MarketRow(market="0xcd", slug="s"),))
    readings = Readings()
    list(fill_readings(readings, now))
    assert readings.value("market_yes_shares", "s") == 0
    assert readings.value("market_bid", "s") is None


def test_own_renderer_says_what_prometheus_client_says() -> None:
    readings = Readings()
    readings.put("feed_rate", 1.5, NASTY)
    readings.put("feed_rate", 1e-7, "plain")
    readings.put("feed_messages_total", 12345678901, NASTY)
    readings.put("uptime_seconds", 3.25)

    class Oracle:
        def collect(self) -> list[CounterMetricFamily | GaugeMetricFamily]:
            rate = GaugeMetricFamily("polytrade_feed_rate", "x", labels=["feed"])
            rate.add_metric([NASTY], 1.5)
            rate.add_metric(["plain"], 1e-7)
            messages = CounterMetricFamily("polytrade_feed_messages", "x", labels=["feed"])
            messages.add_metric([NASTY], 12345678901)
            return [rate, messages, GaugeMetricFamily("polytrade_uptime_seconds", "x", value=3.25)]

    registry = CollectorRegistry()
    registry.register(Oracle())  # type: ignore[arg-type]
    assert parsed(text_of(readings)) == parsed(generate_latest(registry).decode())


def test_every_row_of_the_contract_renders() -> None:
    readings = Readings()
    for row in METRICS.values():
        if row.kind == SUMMARY:
            readings.put_summary(row.name, Quantiles())
        elif row.kind != TABLE:
            readings.put(row.name, 1, *("x" for _ in row.labels))
    families = {family.name for family in text_string_to_metric_families(text_of(readings))}
    assert families == {
        row.prometheus.removesuffix("_total") for row in METRICS.values() if row.prometheus
    }


def test_metric_without_a_value_has_its_heading_and_no_sample() -> None:
    text = text_of(Readings())
    for row in METRICS.values():
        if row.prometheus:
            assert f"# TYPE {row.prometheus} {row.kind}\n" in text
    assert parsed(text) == {}


def test_counters_are_named_total_and_others_are_not() -> None:
    for row in METRICS.values():
        assert row.kind in {COUNTER, GAUGE, SUMMARY, TABLE}
        assert row.name.endswith("_total") is (row.kind == COUNTER)


def test_blocks_stay_within_a_slice() -> None:
    readings = Readings()
    for number in range(10_000):
        readings.put("feed_rate", number, f"feed-{number}")
    blocks = list(page_blocks(readings))
    assert max(block.count("\n") for block, _ in blocks) <= SLICE + 2
    page = "".join(block for block, _ in blocks)
    assert page.count("# TYPE polytrade_feed_rate gauge") == 1
    assert len([key for key in parsed(page) if key[0] == "polytrade_feed_rate"]) == 10_000


async def test_page_is_rendered_once_a_second(autojump_clock: trio.testing.MockClock) -> None:
    reads = 0

    def counting() -> DaemonStatus:
        nonlocal reads
        reads += 1
        return status(uptime_ns=reads * 1_000_000_000)

    page = MetricsPage(counting)
    first = await page.read()
    assert await page.read() is first
    assert reads == 1
    await trio.sleep(FRESH_S)
    assert b"polytrade_uptime_seconds 2.0\n" in await page.read()
    assert reads == 2


async def test_rendering_yields_to_other_tasks_and_callers_share_it() -> None:
    markets = tuple(MarketRow(market=f"0x{n}", slug=f"s-{n}") for n in range(1000))
    now = status(markets=markets)
    page = MetricsPage(lambda: now)
    pages: list[bytes] = []
    yields = 0

    async def ask() -> None:
        pages.append(await page.read())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
        while len(pages) < 2:
            yields += 1
            await trio.lowlevel.checkpoint()
    assert pages[0] is pages[1]
    assert yields >= 4000 // SLICE


async def test_cancelled_render_leaves_the_next_one_whole() -> None:
    markets = tuple(MarketRow(market=f"0x{n}", slug=f"s-{n}") for n in range(1000))
    page = MetricsPage(lambda: status(markets=markets))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(page.read)
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert b"python_info" in await page.read()
