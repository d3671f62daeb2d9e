"""What a replay found: digests, orders, money, data quality, and where it first differed."""

from typing import Any, Final, Protocol

import attrs
import orjson

from polytrade.core.effects import Effect
from polytrade.core.engine import Engine
from polytrade.core.events import Event
from polytrade.core.ids import NO, YES
from polytrade.core.units import SECOND_NS, decimal_text

SHOWN_MAX: Final = 3
"""Effects of a divergence shown in the text report; the JSON has them all."""


class Stepper(Protocol):
    """What a replay drives: `session.Session`."""

    @property
    def engine(self) -> Engine:
        """The engine and its state."""

    def handle(self, event: Event) -> list[tuple[Event, list[Effect]]]:
        """Step what fell due and then the event."""

    def step(self, event: Event) -> list[Effect]:
        """Step the event alone."""


@attrs.frozen
class Divergence:
    """The first event whose effects are not those of the journal: number, row, both answers."""

    seq: int
    event: list[object]
    expected: list[list[object]]
    got: list[list[object]]

    def lines(self) -> list[str]:
        """The divergence in words."""
        found = [f"first divergence at event {self.seq}: {_short(self.event)}"]
        for name, rows in (("journal", self.expected), ("replay", self.got)):
            found += [f"  {name}: {_short(row)}" for row in rows[:SHOWN_MAX]] or [
                f"  {name}: nothing"
            ]
            if len(rows) > SHOWN_MAX:
                found.append(f"  {name}: and {len(rows) - SHOWN_MAX} more")
        return found


@attrs.define(kw_only=True)
class ReplayResult:
    """A finished replay; everything but `elapsed_s` and `events_per_s` is the same every time.

    `expected_digest` is what the journal ends with, `wanted_digest` what the caller asked for.
    `verified` counts events whose effects were compared with the journal's; `unverified` says why
    not all were. `elapsed_s` is 0 unless `timed` was called. `clean` is false when the run did not
    end well or part of it could not be read.
    """

    path: str
    kind: str
    run_id: str = ""
    generated: bool = False
    events: int = 0
    frames: int = 0
    effects: int = 0
    elapsed_s: float = 0.0
    events_per_s: int = 0
    first_ts_ns: int = 0
    last_ts_ns: int = 0
    effect_digest: str = ""
    data_digest: str = ""
    expected_digest: str = ""
    wanted_digest: str = ""
    verified: int = 0
    unverified: str = ""
    divergence: Divergence | None = None
    broken: str = ""
    orders: int = 0
    fills: int = 0
    open_orders: int = 0
    account: dict[str, Any] = attrs.field(factory=dict)
    quality: dict[str, int] = attrs.field(factory=dict)
    books: dict[str, int] = attrs.field(factory=dict)
    events_by_type: dict[str, int] = attrs.field(factory=dict)
    effects_by_type: dict[str, int] = attrs.field(factory=dict)
    messages: dict[str, dict[str, int]] = attrs.field(factory=dict)
    unknown: dict[str, dict[str, int]] = attrs.field(factory=dict)
    malformed: dict[str, int] = attrs.field(factory=dict)
    malformed_reasons: list[str] = attrs.field(factory=list)
    unsupported: dict[str, int] = attrs.field(factory=dict)
    foreign: int = 0
    gaps: dict[str, int] = attrs.field(factory=dict)
    records_lost: int = 0
    missing_records: int = 0
    damaged_records: int = 0
    lost_tail: str = ""
    clean: bool = True
    notes: list[str] = attrs.field(factory=list)

    @property
    def matches(self) -> bool:
        """Whether nothing contradicts the journal and the books balance."""
        digest_fits = not self.expected_digest or self.expected_digest == self.effect_digest
        wanted = self.effect_digest.startswith(self.wanted_digest)
        return self.divergence is None and digest_fits and wanted and not self.broken

    def timed(self, elapsed_s: float) -> None:
        """Note how long the replay took."""
        self.elapsed_s = elapsed_s
        self.events_per_s = round(self.events / elapsed_s) if elapsed_s > 0 else 0

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data."""
        return {**attrs.asdict(self), "matches": self.matches}

    def to_json(self) -> str:
        """The result as indented JSON."""
        return orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2).decode()

    def rows(self) -> list[tuple[str, str]]:
        """Name and text of each line of the report for people."""
        span_s = (self.last_ts_ns - self.first_ts_ns) // SECOND_NS
        rows = [
            (self.kind, f"{self.path}{' (generated data)' if self.generated else ''}"),
            ("events", f"{self.events:,} over {span_s:,} s{self._speed()}"),
            ("messages", _counts({name: sum(m.values()) for name, m in self.messages.items()})),
            ("gaps", _counts(self.gaps)),
            ("malformed", _counts(self.malformed)),
            ("unsupported", _counts(self.unsupported)),
            ("hashes", _hashes(self.quality)),
            ("books", _counts(self.books)),
            ("orders", f"{self.orders:,}, {self.open_orders:,} open, fills {self.fills:,}"),
            ("money", _money(self.account)),
            ("effect digest", self.effect_digest),
            ("data digest", self.data_digest),
            ("verified", self._verdict()),
            ("lost", self._losses()),
        ]
        return [(name, text) for name, text in rows if text]

    def _speed(self) -> str:
        return f", {self.events_per_s:,}/s replayed" if self.events_per_s else ""

    def _verdict(self) -> str:
        if self.broken:
            return f"NO: {self.broken}"
        if self.divergence is not None:
            return f"NO: diverges at event {self.divergence.seq}"
        if not self.effect_digest.startswith(self.wanted_digest):
            return f"NO: the effect digest is not {self.wanted_digest}"
        if not self.matches:
            return f"NO: the journal ends with digest {self.expected_digest}"
        if self.unverified:
            return f"{self.verified:,} events; {self.unverified}"
        return f"{self.verified:,} events, every effect as in the journal" if self.verified else ""

    def _losses(self) -> str:
        parts = [self.lost_tail]
        if self.records_lost:
            parts.append(f"{self.records_lost:,} records dropped by the run")
        if self.missing_records:
            parts.append(f"{self.missing_records:,} records missing")
        if self.damaged_records:
            parts.append(f"{self.damaged_records:,} damaged records left out")
        if not self.clean and not self.lost_tail:
            parts.append("the run was not closed")
        return "; ".join(part for part in parts if part)


def account_of(engine: Engine) -> dict[str, Any]:
    """The money of an engine in exact integers: cash, profit, fees, equity, open positions."""
    ledger, marks = engine.ledger, engine.marks()
    equity_e6 = ledger.equity_e6(marks, False)
    return {
        "initial_e6": ledger.initial_e6,
        "cash_e6": ledger.cash_e6,
        "realized_e6": ledger.realized_e6,
        "fees_e6": ledger.fees_e6,
        "rebates_e6": ledger.rebates_e6,
        "unrealized_e6": ledger.unrealized_e6(marks, False),
        "equity_mid_e6": equity_e6,
        "equity_close_e6": ledger.equity_e6(marks, True),
        "pnl_e6": equity_e6 - ledger.initial_e6,
        "orders": engine.orders.counts(),
        "faults": dict(sorted(ledger.faults.items())),
        "mode": engine.risk.mode,
        "positions": {
            account.market: {
                "yes_e6": account.now.holding(YES).provisional_e6,
                "no_e6": account.now.holding(NO).provisional_e6,
                "realized_e6": account.now.realized_e6,
            }
            for account in ledger.accounts()
            if not account.now.flat()
        },
    }


def books_of(engine: Engine) -> dict[str, int]:
    """How many of the engine's books are in which state of trust."""
    states: dict[str, int] = {}
    for market in engine.markets.values():
        states[market.trust.state] = states.get(market.trust.state, 0) + 1
    return dict(sorted(states.items()))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)


def _hashes(quality: dict[str, int]) -> str:
    return ", ".join(
        f"{quality[f'hash_{name}']:,} {name.replace('_', ' ')}"
        for name in ("matched", "mismatched", "not_checkable")
        if f"hash_{name}" in quality
    )


def _usdc(cash_e6: int) -> str:
    return f"{'-' if cash_e6 < 0 else ''}{decimal_text(abs(cash_e6), 6)} USDC"


def _money(account: dict[str, Any]) -> str:
    if not account:
        return ""
    return (
        f"pnl {_usdc(account['pnl_e6'])} at mid, realized {_usdc(account['realized_e6'])}, "
        f"fees {_usdc(account['fees_e6'])}, equity {_usdc(account['equity_close_e6'])} if closed"
    )


def _short(row: list[object]) -> str:
    text = orjson.dumps(row).decode()
    return text if len(text) <= 160 else text[:157] + "..."
