"""The venue's time: everything in one order, however fast it is run."""

from polytrade.sandbox.schedule import Schedule


def test_actions_happen_in_order_of_time_and_those_of_one_time_as_planned():
    schedule, seen = Schedule(1_000), []
    schedule.at(1_030, lambda: seen.append(("c", schedule.now_ns)))
    schedule.at(1_010, lambda: seen.append(("a", schedule.now_ns)))
    schedule.at(1_010, lambda: seen.append(("b", schedule.now_ns)))
    assert schedule.run_until(1_020)
    assert (seen, schedule.now_ns) == ([("a", 1_010), ("b", 1_010)], 1_020)
    assert schedule.run_until(1_030)
    assert seen[2:] == [("c", 1_030)]


def test_an_action_may_plan_more_also_for_times_gone_by():
    schedule, seen = Schedule(0), []

    def first():
        schedule.at(5, lambda: seen.append(schedule.now_ns))
        schedule.after(10, lambda: seen.append(schedule.now_ns))

    schedule.at(20, first)
    assert schedule.run_until(100)
    assert seen == [20, 30]


def test_a_cancelled_action_does_not_happen_and_is_not_waited_for():
    schedule, seen = Schedule(0), []
    planned = schedule.at(5, lambda: seen.append("no"))
    schedule.at(9, lambda: seen.append("yes"))
    planned.cancel()
    assert schedule.next_ns() == 9
    assert schedule.run_until(10)
    assert (seen, schedule.next_ns()) == (["yes"], None)


def test_a_long_way_is_made_in_turns():
    schedule, seen = Schedule(0), []
    for at in range(1, 6):
        schedule.at(at, lambda at=at: seen.append(at))
    assert not schedule.run_until(10, most=3)
    assert (seen, schedule.now_ns) == ([1, 2, 3], 3)
    assert schedule.run_until(10, most=3)
    assert (seen, schedule.now_ns) == ([1, 2, 3, 4, 5], 10)


def test_a_time_gone_by_does_not_turn_the_clock_back():
    schedule = Schedule(50)
    assert schedule.run_until(20)
    assert schedule.now_ns == 50
