"""The configuration: attrs classes are the schema, one section a class, one TOML a concern.

`setting` carries what the generated documentation says: the doc line, the unit, the range. The
sections that decide what is traded are in `config_trading.py`, those about plugins in
`config_plugins.py`. Loading, merging, overriding, ranges and error reporting live in `strict.py`,
what several settings must be together in `config_checks.py`; nothing here reads a file.
"""

import attrs

from polytrade.config_fields import setting
from polytrade.config_plugins import Plugins, Reload
from polytrade.config_trading import Allocator, Arb, Risk, Strategy, Taker, Toxicity

__all__ = [
    "Allocator",
    "Arb",
    "Config",
    "Control",
    "Execution",
    "Feeds",
    "Latency",
    "Plugins",
    "Reload",
    "Risk",
    "Source",
    "Storage",
    "Strategy",
    "Taker",
    "Toxicity",
    "Universe",
    "Venue",
    "setting",
]


@attrs.frozen(kw_only=True)
class Universe:
    """Which markets are followed."""

    coins: tuple[str, ...] = setting(("btc", "eth"), "coins whose up/down windows are followed")
    windows: tuple[str, ...] = setting(("5m", "15m"), "window lengths", choices=("5m", "15m", "4h"))
    windows_ahead: int = setting(2, "windows subscribed before they open", ge=0, le=20)
    series: tuple[str, ...] = setting(
        (), "Gamma series slugs followed besides (`bitcoin-up-or-down-daily`)"
    )
    slugs: tuple[str, ...] = setting((), "single markets followed by slug, whatever their dates")
    refresh_interval_s: float = setting(
        10.0, "time between discovery rounds", unit="s", ge=0.2, le=600
    )
    keep_after_end_s: float = setting(
        120.0, "how long an ended, unresolved market stays subscribed", unit="s", ge=0, le=86_400
    )
    resolution_poll_s: float = setting(
        5.0, "time between looks at an ended market's outcome", unit="s", ge=0.2, le=600
    )


@attrs.frozen(kw_only=True)
class Source:
    """One reference exchange's socket."""

    enabled: bool = setting(True, "connect to this source")
    url: str = setting("", "WebSocket address; empty means the venue's public one")


@attrs.frozen(kw_only=True)
class Feeds:
    """Where data comes from and when it is distrusted."""

    market_url: str = setting(
        "wss://ws-subscriptions-clob.polymarket.com/ws/market", "Polymarket market channel"
    )
    clob_url: str = setting("https://clob.polymarket.com", "Polymarket CLOB REST")
    gamma_url: str = setting(
        "https://gamma-api.polymarket.com", "Polymarket Gamma REST (discovery)"
    )
    rtds_url: str = setting(
        "wss://ws-live-data.polymarket.com",
        "Polymarket real-time data socket; empty switches it off",
    )
    polybolt_url: str = setting(
        "wss://ws-live-v2.polymarket.com/ws",
        "PolyBolt socket, used when credentials are in the environment; empty switches it off",
    )
    market_connections: int = setting(
        2, "redundant connections a shard of the market channel; the first arrival wins", ge=1, le=4
    )
    assets_per_connection: int = setting(
        200, "most assets subscribed on one connection", ge=2, le=500
    )
    ping_interval_s: float = setting(10.0, "time between our own pings", unit="s", ge=0.1, le=60)
    pong_limit_s: float = setting(
        30.0, "a connection without any answer for this long is closed", unit="s", ge=0.2, le=120
    )
    market_silence_s: float = setting(
        10.0,
        "a market connection with open markets and no data for this long is closed, whatever its "
        "pongs say",
        unit="s",
        ge=0.1,
        le=600,
    )
    reference_silence_s: float = setting(
        10.0,
        "a reference connection without data for this long is closed",
        unit="s",
        ge=0.1,
        le=600,
    )
    backoff_min_s: float = setting(
        0.5, "first reconnect delay bound (full jitter)", unit="s", ge=0.01, le=60
    )
    backoff_max_s: float = setting(30.0, "last reconnect delay bound", unit="s", ge=0.05, le=600)
    healthy_s: float = setting(
        60.0, "a connection this old forgives past failures", unit="s", ge=0.1, le=3600
    )
    failures_max: int = setting(
        0, "consecutive failures after which a feed is parked; 0 never parks", ge=0, le=1_000_000
    )
    binance: Source = attrs.field(
        factory=Source, metadata={"doc": "Binance spot: trade and bookTicker"}
    )
    coinbase: Source = attrs.field(
        factory=Source, metadata={"doc": "Coinbase Exchange: matches, ticker, heartbeat"}
    )
    kraken: Source = attrs.field(factory=Source, metadata={"doc": "Kraken v2: ticker and trade"})
    okx: Source = attrs.field(factory=Source, metadata={"doc": "OKX v5: bbo-tbt and trades"})
    bybit: Source = attrs.field(
        factory=Source, metadata={"doc": "Bybit v5 spot: orderbook.1 and publicTrade"}
    )


@attrs.frozen(kw_only=True)
class Execution:
    """How orders become fills."""

    mode: str = setting("paper", "`paper`", choices=("paper",))
    capital_usdc: float = setting(1000.0, "paper money at the start", unit="USDC", ge=1)
    fill_model: str = setting(
        "queue",
        "paper fills: `queue` (place in the queue) or `touch` (flatters makers; for comparison)",
        choices=("queue", "touch"),
    )
    cancels_ahead: str = setting(
        "proportional",
        "how cancels in front of us move the queue: `none`, `proportional`, `front`",
        choices=("none", "proportional", "front"),
    )
    place_latency_ms: tuple[float, ...] = setting(
        (35.0, 45.0, 60.0, 90.0, 250.0),
        "order latency at quantiles 0, 0.5, 0.9, 0.99, 1",
        unit="ms",
        ge=0,
        le=60_000,
    )
    cancel_latency_ms: tuple[float, ...] = setting(
        (30.0, 40.0, 55.0, 85.0, 250.0),
        "cancel latency at quantiles 0, 0.5, 0.9, 0.99, 1",
        unit="ms",
        ge=0,
        le=60_000,
    )
    latency_seed: int = setting(1, "seed of the latency draw", ge=0)
    settle_delay_s: float = setting(
        4.0, "time from a paper match to its confirmation", unit="s", ge=0, le=600
    )
    flatten_slippage: float = setting(
        0.05, "furthest from the mid a flatten may trade", unit="USDC", ge=0.0001, le=1
    )


@attrs.frozen(kw_only=True)
class Latency:
    """Knobs of the shell: queues, batches, timers.

    `tail_guard` to `io_drop_on_full` are reload fields.
    """

    tail_guard: float = setting(
        0.99, "quantile of the loop's lag that is told when over 5 ms", ge=0.5, le=0.9999
    )
    io_flush_batch: int = setting(64, "records written at once", ge=1, le=4096)
    io_queue_capacity: int = setting(16_384, "records waiting for the disk", ge=256, le=262_144)
    json_mode: str = setting(
        "typed", "journal of typed events, or raw frames besides", choices=("typed", "raw")
    )
    io_drop_on_full: bool = setting(
        True,
        "drop market data records when the disk is slow (order events never); "
        "false stops the engine until there is room",
    )
    io_flush_interval_ms: int = setting(
        200, "longest a record waits in memory", unit="ms", ge=1, le=60_000
    )
    inbox_capacity: int = setting(16_384, "events waiting for the engine", ge=256, le=1_048_576)
    drain_max: int = setting(256, "events handled before the loop is yielded", ge=1, le=4096)
    tick_interval_ms: int = setting(20, "time between clock ticks", unit="ms", ge=1, le=1000)
    gc_freeze: bool = setting(
        True, "freeze and disable the collector after start; collect young objects when idle"
    )


@attrs.frozen(kw_only=True)
class Storage:
    """What is kept on disk."""

    data_dir: str = setting("datasets/runs", "where journals and recordings go, one folder a run")
    journal: bool = setting(True, "write the journal")
    record_raw: bool = setting(False, "record the raw frames of every feed besides")
    segment_mb: int = setting(
        64, "size at which a new file is begun, before compression", unit="MB", ge=1, le=4096
    )
    keep_runs: int = setting(20, "runs kept; older ones are removed at start; 0 keeps all", ge=0)


@attrs.frozen(kw_only=True)
class Control:
    """The HTTP control plane."""

    host: str = setting("127.0.0.1", "address to bind; not loopback needs a token")
    port: int = setting(8080, "port to bind; 0 picks a free one", ge=0, le=65_535)
    token_env: str = setting(
        "POLYTRADE_CONTROL_TOKEN", "environment variable that holds the bearer token"
    )
    token_file: str = setting("", "file (mode 0600) that holds the bearer token")
    max_body_bytes: int = setting(65_536, "largest request body", unit="B", ge=1024, le=1_048_576)
    request_limit_s: float = setting(10.0, "longest a request may take", unit="s", ge=0.1, le=120)
    log_level: str = setting(
        "info", "least severe level logged", choices=("debug", "info", "warning", "error")
    )


@attrs.frozen(kw_only=True)
class Venue:
    """The local venue, when the daemon is to start it itself.

    It has the coins and windows of `[universe]` that it knows. With captures in `playback` it plays
    these back instead of being alive.
    """

    managed: bool = setting(
        False, "start `polytrade sandbox` with the daemon and take its addresses"
    )
    seed: int = setting(7, "seed of prices, markets and traders", ge=0)
    activity: float = setting(0.1, "message rate; 1 is the real market's", ge=0, le=4)
    slow_markets: bool = setting(False, "add a price ladder, politics and sports")
    scenario: str = setting("", "file of faults with their times; empty for none")
    playback: tuple[str, ...] = setting((), "captures it plays back instead")
    speed: float = setting(1.0, "playback speed", ge=0.01, le=1000)
    loop: bool = setting(True, "begin playback again at the end")
    shift: bool = setting(True, "move the capture's times to now")


@attrs.frozen(kw_only=True)
class Config:
    """The whole configuration."""

    universe: Universe = attrs.field(factory=Universe)
    feeds: Feeds = attrs.field(factory=Feeds)
    strategy: Strategy = attrs.field(factory=Strategy)
    taker: Taker = attrs.field(factory=Taker)
    allocator: Allocator = attrs.field(factory=Allocator)
    toxicity: Toxicity = attrs.field(factory=Toxicity)
    arb: Arb = attrs.field(factory=Arb)
    risk: Risk = attrs.field(factory=Risk)
    execution: Execution = attrs.field(factory=Execution)
    latency: Latency = attrs.field(factory=Latency)
    storage: Storage = attrs.field(factory=Storage)
    control: Control = attrs.field(factory=Control)
    plugins: Plugins = attrs.field(factory=Plugins)
    reload: Reload = attrs.field(factory=Reload)
    venue: Venue = attrs.field(factory=Venue)
