"""The dead man's switch (protocols 2.8)."""

from polytrade.core.units import SECOND_NS
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.venue.heartbeats import KEYS_MAX, Heartbeats


def rig():
    schedule, missed = Schedule(100 * SECOND_NS), []
    return schedule, missed, Heartbeats(schedule, missed.append)


def run_to(schedule, seconds):
    assert schedule.run_until((100 + seconds) * SECOND_NS)


def test_nothing_is_armed_before_the_first_beat():
    schedule, missed, heartbeats = rig()
    run_to(schedule, 60)
    assert (missed, heartbeats.armed("me"), schedule.next_ns()) == ([], False, None)


def test_a_key_that_stops_beating_is_missed_once():
    schedule, missed, heartbeats = rig()
    good, first = heartbeats.beat("me", "")
    assert good
    run_to(schedule, 4)
    good, second = heartbeats.beat("me", first)
    assert good
    assert second not in ("", first)
    run_to(schedule, 14.9)
    assert missed == []
    run_to(schedule, 15)
    assert (missed, heartbeats.armed("me")) == (["me"], False)
    run_to(schedule, 100)
    assert (missed, schedule.next_ns()) == (["me"], None)


def test_a_wrong_id_is_told_the_right_one_and_does_not_move_the_deadline():
    schedule, missed, heartbeats = rig()
    _, first = heartbeats.beat("me", "")
    run_to(schedule, 9)
    assert heartbeats.beat("me", "") == (False, first)
    assert heartbeats.beat("me", "nonsense") == (False, first)
    run_to(schedule, 10)
    assert missed == ["me"]
    assert heartbeats.beat("me", first) == (False, "")
    assert heartbeats.beat("me", "")[0]


def test_keys_beat_each_for_itself_and_the_same_story_has_the_same_ids():
    schedule, missed, heartbeats = rig()
    ids = {owner: heartbeats.beat(owner, "")[1] for owner in ("a", "b")}
    for at in (5, 10, 15):
        run_to(schedule, at)
        ids["b"] = heartbeats.beat("b", ids["b"])[1]
    assert missed == ["a"]
    assert heartbeats.armed("b")
    assert heartbeats.beat("c", "")[1] == ids_of_another_run()


def ids_of_another_run():
    _, _, heartbeats = rig()
    name = ""
    for _ in range(5):
        name = heartbeats.beat("b", name)[1]
    return heartbeats.beat("c", "")[1]


def test_the_legacy_beat_arms_and_refreshes_without_an_id():
    schedule, missed, heartbeats = rig()
    heartbeats.beat_legacy("me")
    run_to(schedule, 5)
    heartbeats.beat_legacy("me")
    run_to(schedule, 10)
    assert missed == []
    run_to(schedule, 15)
    assert missed == ["me"]


def test_armed_keys_are_bounded():
    _, _, heartbeats = rig()
    for number in range(KEYS_MAX + 5):
        heartbeats.beat(f"k{number}", "")
    assert heartbeats.armed(f"k{KEYS_MAX - 1}")
    assert not heartbeats.armed(f"k{KEYS_MAX}")


def test_all_may_be_made_to_expire_at_once():
    schedule, missed, heartbeats = rig()
    heartbeats.beat("a", "")
    heartbeats.beat("b", "")
    assert heartbeats.expire_all() == 2
    assert missed == ["a", "b"]
    run_to(schedule, 60)
    assert (missed, heartbeats.expire_all()) == (["a", "b"], 0)
