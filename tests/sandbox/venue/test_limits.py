"""Rate limits: token buckets of signers and windows of addresses (protocols 2.7)."""

from polytrade.core.units import SECOND_NS
from polytrade.sandbox.venue.limits import (
    ADDRESSES_MAX,
    SIGNERS_MAX,
    TIERS,
    WINDOWS,
    Limits,
    Window,
)

NOW = 1_710_000_000 * SECOND_NS
MS = 1_000_000


def test_a_burst_passes_and_the_next_waits_for_tokens():
    limits = Limits()
    first = limits.orders("0xA", 1, NOW)
    assert first.admitted
    assert first.headers == {
        "Poly-RateLimit-Remaining": "59",
        "Poly-RateLimit-Reset": "1710000000",
        "Poly-RateLimit-Tier": "Standard",
    }
    assert all(limits.orders("0xa", 1, NOW).admitted for _ in range(59))
    refused = limits.orders("0xa", 1, NOW)
    assert not refused.admitted
    assert refused.body() == {"error": "Too Many Requests", "retry_after_seconds": 1}
    assert refused.headers == {
        "Poly-RateLimit-Remaining": "0",
        "Poly-RateLimit-Reset": "1710000001",
        "Poly-RateLimit-Tier": "Standard",
        "Retry-After": "1",
    }
    assert not limits.orders("0xa", 1, NOW + 24 * MS).admitted
    assert limits.orders("0xa", 1, NOW + 25 * MS).admitted
    assert limits.orders("0xb", 60, NOW).admitted


def test_a_refused_request_costs_nothing_and_tokens_stop_at_the_burst():
    limits = Limits()
    assert limits.orders("0xa", 50, NOW).admitted
    assert not limits.orders("0xa", 15, NOW).admitted
    assert limits.orders("0xa", 10, NOW).admitted
    assert limits.orders("0xa", 60, NOW + 3600 * SECOND_NS).admitted
    assert not limits.orders("0xa", 1, NOW + 3600 * SECOND_NS).admitted


def test_a_batch_larger_than_the_burst_never_passes():
    limits = Limits()
    for later_s in (0, 3600):
        refused = limits.cancels("0xa", 121, NOW + later_s * SECOND_NS)
        assert (refused.admitted, refused.retry_after_s) == (False, 1)
    assert limits.cancels("0xa", 120, NOW).admitted


def test_cancels_have_their_own_bucket_and_a_cancel_of_everything_may_overdraw_it():
    limits = Limits()
    assert limits.orders("0xa", 60, NOW).admitted
    assert limits.cancels("0xa", 1, NOW).admitted
    after = limits.cancelled("0xa", 279, NOW)
    assert after.headers["Poly-RateLimit-Remaining"] == "-160"
    assert after.headers["Poly-RateLimit-Reset"] == "1710000003"
    assert limits.cancels("0xa", 1, NOW).retry_after_s == 3
    assert limits.cancels("0xa", 1, NOW + 2_013 * MS).admitted


def test_tiers_are_the_documented_ones_and_may_be_given():
    assert [tier.orders_burst for tier in TIERS.values()] == [
        *(60, 90, 120, 300, 600, 675, 787, 900)
    ]
    assert [tier.cancels_per_s for tier in TIERS.values()] == [
        *(80, 120, 160, 400, 800, 900, 1050, 1200)
    ]
    limits = Limits()
    assert limits.orders("0xA", 60, NOW).admitted
    limits.set_tier(TIERS["Elite"], "0xA")
    assert limits.tier_of("0xa").name == "Elite"
    assert limits.orders("0xa", 900, NOW).admitted
    assert limits.tier_of("0xb").name == "Standard"
    limits.set_tier(TIERS["Gold"])
    assert (limits.tier_of("0xb").name, limits.tier_of("0xa").name) == ("Gold", "Elite")
    assert limits.orders("0xb", 600, NOW).admitted


def test_a_window_of_an_address_slides():
    limits = Limits(windows=(Window("", "/book", 10),))
    assert all(limits.address("::1", "GET", "/book", NOW).admitted for _ in range(10))
    refused = limits.address("::1", "GET", "/book", NOW)
    assert (refused.admitted, refused.retry_after_s) == (False, 10)
    assert refused.headers == {"Retry-After": "10"}
    assert limits.address("::1", "GET", "/books", NOW).admitted
    assert limits.address("::2", "GET", "/book", NOW).admitted
    # Half of the next window: half of the ten still count.
    halfway = NOW + 15 * SECOND_NS
    assert [limits.address("::1", "GET", "/book", halfway).admitted for _ in range(6)] == [
        *(True, True, True, True, True, False)
    ]
    assert limits.address("::1", "GET", "/book", NOW + 40 * SECOND_NS).admitted


def test_windows_cover_methods_and_folders():
    limits = Limits(windows=(Window("POST", "/order", 1), Window("", "/auth/", 1)))
    assert limits.address("a", "POST", "/order", NOW).admitted
    assert not limits.address("a", "POST", "/order", NOW).admitted
    assert limits.address("a", "DELETE", "/order", NOW).admitted
    assert limits.address("a", "GET", "/auth/api-keys", NOW).admitted
    assert not limits.address("a", "POST", "/auth/api-key", NOW).admitted
    assert Limits(windows=()).address("a", "GET", "/book", NOW).admitted
    assert (WINDOWS[0].path, WINDOWS[0].most) == ("", 9000)


def test_what_is_remembered_is_bounded():
    limits = Limits(windows=(Window("", "", 1),))
    assert limits.orders("first", 60, NOW).admitted
    assert limits.address("first", "GET", "/", NOW).admitted
    for number in range(SIGNERS_MAX):
        limits.orders(f"s{number}", 1, NOW)
    for number in range(ADDRESSES_MAX):
        limits.address(f"a{number}", "GET", "/", NOW)
    assert limits.orders("first", 60, NOW).admitted
    assert limits.address("first", "GET", "/", NOW).admitted
