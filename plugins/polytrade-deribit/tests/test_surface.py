"""Names of options, the volatility at the money, and between expiries: worked by hand."""

from math import inf, sqrt

import pytest
from polytrade_deribit.surface import (
    EXPIRIES_MAX,
    HOLDS_NS,
    STRIKES_MAX,
    Option,
    Quote,
    Surface,
    Window,
    option_of,
)

SECOND = 10**9
HOUR = 3_600 * SECOND
NOW = 1_764_547_200 * SECOND  # 2025-12-01 00:00 UTC


def surface(horizon_h: float = 12, least_h: float = 2, index: float = 90_000.0) -> Surface:
    made = Surface(round(horizon_h * HOUR), round(least_h * HOUR))
    made.price(index, NOW)
    return made


def put(
    made: Surface, hours: float, *marks: tuple[int, float], ts_ns: int = NOW, call: bool = True
) -> None:
    """Marks (strike, iv) of an expiry so many hours from `NOW`."""
    for strike, iv in marks:
        option = Option("BTC", NOW + round(hours * HOUR), strike, call)
        assert made.mark(option, iv, ts_ns // 10**6, ts_ns)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BTC-1DEC25-90000-C", Option("BTC", NOW + 8 * HOUR, 90_000, True)),
        ("ETH-01DEC25-3100-P", Option("ETH", NOW + 8 * HOUR, 3_100, False)),
        ("BTC-31DEC25-90000-C", Option("BTC", NOW + (30 * 24 + 8) * HOUR, 90_000, True)),
        ("BTC-31NOV25-90000-C", None),
        ("BTC-1FOO25-90000-C", None),
        ("BTC-1DEC25-0-C", None),
        ("BTC-1DEC25-90000-X", None),
        ("BTC-1DEC25", None),
        ("BTC-PERPETUAL", None),
        ("XRP_USDC-1DEC25-2d5-C", None),
        ("", None),
    ],
)
def test_option_is_read_from_its_name(name: str, expected: Option | None) -> None:
    assert option_of(name) == expected


def test_volatility_at_the_money_is_linear_in_the_logarithm_of_the_strike() -> None:
    made = surface(index=sqrt(88_000.0 * 92_000.0))  # half way by the logarithm
    put(made, 20, (84_000, 0.9), (88_000, 0.50), (92_000, 0.40), (96_000, 0.8))
    quote = made.quote(NOW)
    assert quote is not None
    assert quote.sigma == pytest.approx(0.45, rel=1e-12)
    assert quote.expiry_ns == NOW + 20 * HOUR


def test_strike_at_the_index_needs_no_neighbour() -> None:
    made = surface(index=90_000.0)
    put(made, 20, (90_000, 0.42))
    assert made.quote(NOW) == Quote(0.42, NOW + 20 * HOUR, NOW // 10**6)


def test_call_and_put_of_a_strike_count_alike() -> None:
    made = surface()
    put(made, 20, (90_000, 0.40))
    put(made, 20, (90_000, 0.44), call=False)
    quote = made.quote(NOW)
    assert quote is not None and quote.sigma == pytest.approx(0.42)


def test_time_is_that_of_the_newest_mark() -> None:
    for first_s, second_s in ((1, 2), (2, 1)):
        made = surface(index=90_000.0)
        put(made, 20, (88_000, 0.5), ts_ns=NOW + first_s * SECOND)
        put(made, 20, (92_000, 0.5), ts_ns=NOW + second_s * SECOND)
        quote = made.quote(NOW + 2 * SECOND)
        assert quote is not None and quote.venue_ms == NOW // 10**6 + 2_000


def test_total_variance_is_linear_between_two_expiries() -> None:
    made = surface(horizon_h=12)
    put(made, 8, (90_000, 0.40))
    put(made, 32, (90_000, 0.60))
    # (0.16 * 8 * 5/6 + 0.36 * 32 * 1/6) / 12 = 2.98667 / 12
    quote = made.quote(NOW)
    assert quote is not None
    assert quote.sigma == pytest.approx(sqrt((0.16 * 8 * 5 / 6 + 0.36 * 32 / 6) / 12), rel=1e-12)
    assert quote.expiry_ns == NOW + 12 * HOUR


@pytest.mark.parametrize(
    ("horizon_h", "sigma", "until_h"), [(4, 0.4, 8), (8, 0.4, 8), (32, 0.6, 32), (48, 0.6, 32)]
)
def test_beyond_the_expiries_the_nearest_one_speaks(
    horizon_h: float, sigma: float, until_h: float
) -> None:
    made = surface(horizon_h)
    put(made, 8, (90_000, 0.40))
    put(made, 32, (90_000, 0.60))
    assert made.quote(NOW) == Quote(pytest.approx(sigma), NOW + until_h * HOUR, NOW // 10**6)


def test_expiry_that_is_too_near_is_left_out() -> None:
    made = surface(least_h=2)
    put(made, 1.99, (90_000, 2.5))
    assert made.quote(NOW) is None
    put(made, 2, (90_000, 1.5))
    assert made.quote(NOW) == Quote(1.5, NOW + 2 * HOUR, NOW // 10**6)
    made = surface(least_h=2.01)
    put(made, 2, (90_000, 1.5))
    assert made.quote(NOW) is None
    put(made, 26, (90_000, 0.5))
    assert made.quote(NOW) == Quote(0.5, NOW + 26 * HOUR, NOW // 10**6)


def test_one_sided_and_thin_chains_have_no_money() -> None:
    made = surface()
    put(made, 20, (91_000, 0.4), (92_000, 0.4))
    assert made.quote(NOW) is None
    put(made, 20, (80_000, 0.4))  # ln(91 / 80) = 0.129
    assert made.quote(NOW) is None
    put(made, 20, (89_000, 0.4))
    assert made.quote(NOW) is not None


def test_old_marks_and_an_old_index_do_not_count() -> None:
    made = surface()
    put(made, 20, (90_000, 0.4))
    later = NOW + HOLDS_NS
    assert made.quote(later) is not None
    assert made.quote(later + 1) is None  # both are old
    made.price(90_000.0, later + 1)
    assert made.quote(later + 1) is None
    put(made, 20, (90_000, 0.5), ts_ns=later + 1)
    quote = made.quote(later + 1)
    assert quote is not None and quote.sigma == 0.5
    later += HOLDS_NS + 2
    put(made, 20, (90_000, 0.5), ts_ns=later)
    assert made.quote(later) is None  # only the index is old


def test_without_an_index_there_is_no_volatility() -> None:
    made = Surface(12 * HOUR, 2 * HOUR)
    put(made, 20, (90_000, 0.4))
    assert made.quote(NOW) is None


def test_window_is_around_the_index_and_up_to_eight_days_behind_the_horizon() -> None:
    last_ns = NOW + 12 * HOUR + 8 * 24 * HOUR
    assert surface().window(NOW) == Window(NOW, last_ns, 75_000.0, 108_000.0)
    assert Surface(12 * HOUR, 2 * HOUR).window(NOW) == Window(NOW, last_ns, 0.0, inf)


def test_expired_options_are_forgotten_and_absurd_marks_never_taken() -> None:
    made = surface()
    near = Option("BTC", NOW + HOUR, 90_000, True)
    assert not made.mark(near, 37.06, 1, NOW)
    assert made.mark(near, 0.4, 1, NOW)
    made.forget(NOW + HOUR - 1)
    assert list(made._marks) == [NOW + HOUR]
    made.forget(NOW + HOUR)
    assert made._marks == {}


def test_memory_is_bounded_by_expiries_and_strikes() -> None:
    made = surface()
    for n in range(EXPIRIES_MAX):
        assert made.mark(Option("BTC", NOW + HOUR + n, 1, True), 0.4, 1, NOW)
    assert not made.mark(Option("BTC", NOW + 2 * HOUR, 1, True), 0.4, 1, NOW)
    for strike in range(2, STRIKES_MAX + 1):
        assert made.mark(Option("BTC", NOW + HOUR, strike, True), 0.4, 1, NOW)
    assert not made.mark(Option("BTC", NOW + HOUR, 9_999, True), 0.4, 1, NOW)
    assert made.mark(Option("BTC", NOW + HOUR, 7, False), 0.4, 1, NOW)
