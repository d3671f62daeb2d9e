"""The trust of a book: every way from one state to another, and what is counted."""

import pytest

from polytrade.core.book import MATCHED, MISMATCHED, UNCHECKABLE
from polytrade.core.trust import (
    COLD,
    ENFORCE,
    OFF,
    SILENT,
    STALE,
    SUSPECT,
    SYNCED,
    WARN,
    BookTrust,
)

WINDOW = 250
STALE_AFTER = 3_000


def synced(mode: str = ENFORCE, verdict: int = MATCHED) -> BookTrust:
    trust = BookTrust(mode, WINDOW)
    trust.on_snapshot(verdict, False, 1_000)
    assert trust.state == SYNCED
    return trust


def suspect(mode: str = ENFORCE) -> BookTrust:
    trust = synced(mode)
    trust.on_loss(SUSPECT, "malformed")
    return trust


def test_cold_until_the_first_snapshot() -> None:
    trust = BookTrust(ENFORCE, WINDOW)
    trust.on_change(MATCHED, False, 5)
    trust.on_loss(STALE, "disconnected")
    trust.on_loss(SUSPECT, "malformed")
    trust.on_time(10_000, STALE_AFTER)
    assert (trust.state, trust.valid, trust.verified) == (COLD, False, False)
    trust.on_snapshot(MATCHED, False, 10_000)
    assert (trust.state, trust.reason, trust.verified) == (SYNCED, "", True)


def test_first_mismatch_is_doubt_and_a_fitting_hash_clears_it() -> None:
    trust = synced()
    trust.on_change(MISMATCHED, False, 1_010)
    assert (trust.state, trust.valid, trust.verified) == (SYNCED, True, False)
    trust.on_change(MISMATCHED, False, 1_020)
    assert trust.unverified_ns == 1_010
    trust.on_change(MATCHED, False, 1_030)
    assert trust.verified
    assert (trust.turned_unverified, trust.turned_verified) == (1, 1)


def test_doubt_beyond_the_window_is_suspicion() -> None:
    trust = synced()
    trust.on_change(MISMATCHED, False, 1_010)
    trust.on_time(1_010 + WINDOW, STALE_AFTER)
    assert trust.state == SYNCED
    trust.on_time(1_011 + WINDOW, STALE_AFTER)
    assert (trust.state, trust.reason) == (SUSPECT, "no hash fitted within the reorder window")
    assert trust.turned_suspect == 1


def test_warn_only_counts_and_forgets_the_doubt() -> None:
    trust = synced(WARN)
    trust.on_change(MISMATCHED, False, 1_010)
    trust.on_time(1_011 + WINDOW, STALE_AFTER)
    assert (trust.state, trust.unverified_ns, trust.mismatched) == (SYNCED, 0, 1)
    trust.on_snapshot(MISMATCHED, False, 1_500)
    assert trust.state == SYNCED


@pytest.mark.parametrize("verdict", [MATCHED, UNCHECKABLE])
def test_crossed_book_is_doubt_whatever_the_hash_says(verdict: int) -> None:
    trust = synced()
    trust.on_change(verdict, True, 1_010)
    assert not trust.verified
    trust.on_time(1_011 + WINDOW, 0)
    assert (trust.state, trust.reason) == (SUSPECT, "crossed, or best prices other than stated")


def test_doubt_of_the_prices_is_cleared_by_prices_that_fit_without_a_hash() -> None:
    trust = synced(verdict=UNCHECKABLE)
    trust.on_change(UNCHECKABLE, True, 1_010)
    trust.on_change(UNCHECKABLE, False, 1_020)
    assert trust.verified


def test_doubt_of_the_hash_is_not_cleared_by_prices() -> None:
    trust = synced()
    trust.on_change(MISMATCHED, False, 1_010)
    trust.on_change(UNCHECKABLE, False, 1_020)
    assert trust.unverified_ns == 1_010


@pytest.mark.parametrize("state", [SUSPECT, STALE])
def test_loss_is_restored_by_a_snapshot_or_a_fitting_hash_only(state: str) -> None:
    for restore in ("snapshot", "hash"):
        trust = synced()
        trust.on_loss(state, "disconnected")
        assert (trust.state, trust.reason, trust.valid) == (state, "disconnected", False)
        trust.on_change(UNCHECKABLE, False, 1_010)
        trust.on_change(MISMATCHED, False, 1_020)
        assert (trust.state, trust.turned_unverified) == (state, 0)
        if restore == "hash":
            trust.on_change(MATCHED, False, 1_030)
        else:
            trust.on_snapshot(MATCHED, False, 1_030)
        assert (trust.state, trust.verified, trust.turned_verified) == (SYNCED, True, 1)


def test_fitting_hash_of_a_crossed_book_restores_nothing() -> None:
    trust = suspect()
    trust.on_change(MATCHED, True, 1_030)
    assert trust.state == SUSPECT


def test_silence_is_stale_only_where_messages_are_due() -> None:
    trust = synced()
    trust.on_time(1_000_000, 0)
    assert trust.state == SYNCED
    trust.on_time(1_000 + STALE_AFTER, STALE_AFTER)
    assert trust.state == SYNCED
    trust.on_time(1_001 + STALE_AFTER, STALE_AFTER)
    assert (trust.state, trust.reason) == (STALE, SILENT)


@pytest.mark.parametrize(
    ("mode", "verdict", "doubtful", "state"),
    [
        (ENFORCE, MATCHED, False, SYNCED),
        (ENFORCE, UNCHECKABLE, False, SYNCED),
        (ENFORCE, UNCHECKABLE, True, STALE),
        (ENFORCE, MISMATCHED, False, STALE),
        (WARN, MISMATCHED, False, SYNCED),
        (OFF, UNCHECKABLE, False, SYNCED),
    ],
)
def test_silent_book_speaks_again(mode: str, verdict: int, doubtful: bool, state: str) -> None:
    trust = synced(mode)
    trust.on_time(10_000, STALE_AFTER)
    trust.on_change(verdict, doubtful, 10_001)
    assert trust.state == state


def test_disconnection_is_not_mistaken_for_silence() -> None:
    trust = synced()
    trust.on_loss(STALE, "disconnected")
    trust.on_change(UNCHECKABLE, False, 1_010)
    assert trust.state == STALE


def test_snapshot_clears_doubt_and_counts_it() -> None:
    trust = synced()
    trust.on_change(MISMATCHED, False, 1_010)
    trust.on_snapshot(MATCHED, False, 1_020)
    assert (trust.verified, trust.turned_verified) == (True, 1)


@pytest.mark.parametrize(
    ("verdict", "crossed", "reason"),
    [(MATCHED, True, "crossed snapshot"), (MISMATCHED, False, "snapshot hash does not fit")],
)
def test_bad_snapshot_makes_a_book_suspect(verdict: int, crossed: bool, reason: str) -> None:
    trust = synced()
    trust.on_snapshot(verdict, crossed, 1_020)
    assert (trust.state, trust.reason) == (SUSPECT, reason)


def test_market_whose_very_first_snapshot_does_not_fit_is_never_checked() -> None:
    trust = synced(verdict=MISMATCHED)
    assert not trust.checking
    later = synced()
    later.on_snapshot(MISMATCHED, False, 1_010)
    assert later.checking


def test_merged_older_snapshot_is_weighed_but_not_counted() -> None:
    trust = suspect()
    trust.on_snapshot(MATCHED, False, 1_010)
    trust.on_merged(MISMATCHED, False, 1_010)
    assert (trust.state, trust.verified, trust.mismatched) == (SYNCED, False, 0)
    trust.on_time(1_011 + WINDOW, 0)
    assert trust.state == SUSPECT


def test_loss_ends_doubt_and_the_reason_is_the_latest() -> None:
    trust = synced()
    trust.on_change(MISMATCHED, False, 1_010)
    trust.on_loss(STALE, "disconnected")
    assert trust.unverified_ns == 0
    trust.on_snapshot(MATCHED, False, 1_020)
    trust.on_loss(SUSPECT, "malformed")
    trust.on_loss(SUSPECT, "inbox_full")
    assert (trust.state, trust.reason, trust.turned_suspect) == (SUSPECT, "inbox_full", 1)


def test_a_loss_on_a_stale_book_leaves_it_stale() -> None:
    trust = synced()
    trust.on_time(1_001 + STALE_AFTER, STALE_AFTER)
    trust.on_loss(SUSPECT, "malformed")
    assert (trust.state, trust.reason, trust.turned_suspect) == (STALE, "malformed", 0)
    trust.on_snapshot(MATCHED, False, 5_000, rest=True)
    assert trust.state == STALE
    # Something was lost: that the socket speaks again is not enough.
    trust.on_change(UNCHECKABLE, False, 5_010)
    assert trust.state == STALE
    trust.on_change(MATCHED, False, 5_020)
    assert trust.state == SYNCED


def test_what_comes_late_does_not_end_a_silence_but_a_first_book_after_a_loss_does() -> None:
    trust = synced()
    trust.on_time(1_001 + STALE_AFTER, STALE_AFTER)
    trust.on_loss(STALE, SILENT)
    trust.on_snapshot(MATCHED, False, 5_000, late=True)
    trust.on_change(MATCHED, False, 5_010, True)
    assert (trust.state, trust.last_ns) == (STALE, 1_000)
    trust.on_snapshot(MATCHED, False, 5_020)
    assert trust.state == SYNCED
    trust.on_loss(STALE, "disconnected")
    trust.on_change(MATCHED, False, 5_030, True)
    assert trust.state == STALE
    trust.on_snapshot(MATCHED, False, 5_040, late=True)
    assert (trust.state, trust.last_ns) == (SYNCED, 5_040)
    trust.on_change(MATCHED, False, 5_050, True)
    assert (trust.state, trust.last_ns) == (SYNCED, 5_040)


def test_a_rest_book_does_not_end_stale_but_the_sockets_next_word_does() -> None:
    trust = synced()
    trust.on_time(1_001 + STALE_AFTER, STALE_AFTER)
    assert (trust.state, trust.reason) == (STALE, SILENT)
    trust.on_snapshot(MATCHED, False, 5_000, rest=True)
    assert (trust.state, trust.reason, trust.last_ns) == (STALE, SILENT, 1_000)
    trust.on_change(MATCHED, False, 5_010)
    assert trust.state == SYNCED
    trust.on_loss(STALE, "disconnected")
    trust.on_snapshot(MATCHED, False, 5_020, rest=True)
    assert trust.state == STALE
    trust.on_snapshot(MATCHED, False, 5_030)
    assert trust.state == SYNCED


def test_a_feed_lost_for_its_silence_is_not_restored_by_a_message_alone() -> None:
    trust = synced()
    trust.on_loss(STALE, SILENT)
    assert (trust.state, trust.reason) == (STALE, "disconnected")
    trust.on_change(UNCHECKABLE, False, 1_010)
    assert trust.state == STALE
    trust.on_snapshot(MATCHED, False, 1_020)
    assert trust.state == SYNCED


def test_off_never_checks() -> None:
    assert not BookTrust(OFF, WINDOW).checking


def test_resyncs_are_forgotten_once_believed() -> None:
    trust = suspect()
    trust.resyncs = 3
    trust.on_snapshot(MISMATCHED, False, 1_010)
    assert trust.resyncs == 3
    trust.on_change(MATCHED, False, 1_020)
    assert trust.resyncs == 0


def test_every_verdict_is_counted_once() -> None:
    trust = synced()
    for verdict in (MATCHED, MISMATCHED, MISMATCHED, UNCHECKABLE):
        trust.on_change(verdict, False, 1_010)
    assert (trust.matched, trust.mismatched, trust.not_checkable) == (2, 2, 1)
