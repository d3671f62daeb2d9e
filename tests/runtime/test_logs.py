"""Logging: two shapes of line, redaction everywhere, the rate limit, a stream that may break."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from polytrade.runtime.logs import (
    EVENTS_MAX,
    HIDDEN,
    REDACTOR,
    REPEATS_MAX,
    WINDOW_NS,
    LogLimiter,
    Logs,
    LogStream,
    Redactor,
    configure_logging,
    register_secret,
)
from polytrade.runtime.supervise import task_name

NOW_NS = 1_790_000_000_123_456_789
STAMP = "2026-09-21T14:13:20.123Z"


class Clock:
    def __init__(self) -> None:
        self.ns = NOW_NS

    def __call__(self) -> int:
        return self.ns


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Logging is global: each test leaves it as it was."""
    root = logging.getLogger()
    handlers, level, secrets = root.handlers[:], root.level, REDACTOR._values
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    REDACTOR._values = secrets
    structlog.reset_defaults()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def json_logs(out: io.StringIO, clock: Clock, level: str = "info") -> Logs:
    return configure_logging(level, clock, stream=out)


def rows(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_json_line_has_event_level_time_and_fields(out: io.StringIO, clock: Clock) -> None:
    json_logs(out, clock)
    structlog.get_logger().warning("feed.down", feed="okx/0", age_ms=12)
    assert rows(out) == [
        {
            "event": "feed.down",
            "level": "warning",
            "timestamp": STAMP,
            "feed": "okx/0",
            "age_ms": 12,
        }
    ]


def test_console_line_is_key_value(out: io.StringIO, clock: Clock) -> None:
    configure_logging("info", clock, stream=out, console=True)
    structlog.get_logger().info("feed.down", feed="okx/0", age_ms=12)
    assert out.getvalue().split() == [STAMP, "[info", "]", "feed.down", "age_ms=12", "feed=okx/0"]


def test_console_text_cannot_steer_the_terminal(out: io.StringIO, clock: Clock) -> None:
    configure_logging("info", clock, stream=out, console=True)
    structlog.get_logger().info("bad\x1b[2J\nline", reason="\x1b]0;x\x07")
    assert out.getvalue().count("\n") == 1
    assert "\x1b" not in out.getvalue()


def test_standard_logging_takes_the_same_way(out: io.StringIO, clock: Clock) -> None:
    json_logs(out, clock)
    logging.getLogger("polytrade.x").warning("task %s failed: %d", "okx", 3)
    assert rows(out) == [
        {
            "event": "task okx failed: 3",
            "level": "warning",
            "timestamp": STAMP,
            "logger": "polytrade.x",
        }
    ]


def test_libraries_are_heard_from_warnings_upwards(out: io.StringIO, clock: Clock) -> None:
    json_logs(out, clock, "debug")
    logging.getLogger("hypercorn.error").info("Running on http://x")
    logging.getLogger("hypercorn.error").warning("slow")
    logging.getLogger("polytrade").debug("ours")
    assert [row["event"] for row in rows(out)] == ["slow", "ours"]


@pytest.mark.parametrize(
    ("level", "heard"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_level_is_a_threshold_for_both_kinds(
    out: io.StringIO, clock: Clock, level: str, heard: int
) -> None:
    json_logs(out, clock, level)
    for log in (structlog.get_logger(), logging.getLogger("polytrade")):
        log.debug("a")
        log.info("b")
        log.warning("c")
        log.error("d")
    assert len(rows(out)) == 2 * heard


def test_own_level_between_the_standard_ones_is_logged(out: io.StringIO, clock: Clock) -> None:
    json_logs(out, clock)
    logging.getLogger("polytrade").log(35, "between")
    assert [row["level"] for row in rows(out)] == ["warning"]


def test_task_name_is_on_its_lines(out: io.StringIO, clock: Clock) -> None:
    json_logs(out, clock)
    token = task_name.set("feed okx")
    try:
        structlog.get_logger().info("inside")
    finally:
        task_name.reset(token)
    structlog.get_logger().info("outside")
    assert [row.get("task") for row in rows(out)] == ["feed okx", None]


def test_registered_secret_is_nowhere(out: io.StringIO, clock: Clock) -> None:
    json_logs(out, clock)
    register_secret("hunter2/+x")
    log = structlog.get_logger()
    log.info("event with hunter2/+x", a="pre hunter2/+x post", b={"k": ["hunter2/+x"]})
    log.info("url", url="https://x/?t=hunter2%2F%2Bx", err=ValueError("hunter2/+x"))
    logging.getLogger("polytrade").error("standard %s", "hunter2/+x")
    try:
        raise ValueError("inside hunter2/+x")
    except ValueError:
        log.exception("crash")
        logging.getLogger("polytrade").exception("crash too")
    assert "hunter2" not in out.getvalue()
    assert len(rows(out)) == 5
    assert rows(out)[0]["event"] == f"event with {HIDDEN}"
    assert f"ValueError: inside {HIDDEN}" in str(rows(out)[3]["exception"])
    assert f"ValueError: inside {HIDDEN}" in str(rows(out)[4]["exception"])


def test_tracebacks_have_no_local_variables(out: io.StringIO, clock: Clock) -> None:
    configure_logging("info", clock, stream=out, console=True)
    marker = "never" + "-registered"
    try:
        raise ValueError(len(marker))
    except ValueError:
        structlog.get_logger().exception("crash")
    assert "ValueError: 17" not in out.getvalue().splitlines()[0]
    assert "never-registered" not in out.getvalue()


@pytest.mark.parametrize(
    "key", ["password", "API_KEY", "poly_passphrase", "Authorization", "private_key", "cookie"]
)
def test_secret_key_is_hidden_whatever_its_value(key: str) -> None:
    assert Redactor().value(key, "x") == HIDDEN
    assert Redactor().value("outer", {key: ["x", 5]}) == {key: HIDDEN}
    assert Redactor().value(key, "") == ""


def test_outcome_token_is_no_secret() -> None:
    assert Redactor().value("token", "yes") == "yes"


def test_numbers_are_kept_unless_they_are_a_secret() -> None:
    redactor = Redactor()
    redactor.register("123456")
    assert redactor.value("n", 5) == 5
    assert redactor.value("n", 0.5) == 0.5
    assert redactor.value("n", True) is True
    assert redactor.value("n", 123456) == HIDDEN


@given(st.text(min_size=1, max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_no_text_ever_holds_a_registered_secret(secret: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.register(secret)
    assert secret not in redactor.text(before + secret + after).replace(HIDDEN, "")


def test_values_json_does_not_know_are_logged_all_the_same(out: io.StringIO, clock: Clock) -> None:
    json_logs(out, clock)
    structlog.get_logger().info("odd", big=2**256, half="\ud800", raw=b"\xff", deep={"a": {1: 2}})
    assert rows(out)[0] | {"timestamp": ""} == {
        "event": "odd",
        "level": "info",
        "timestamp": "",
        "big": 2**256,
        "half": "\ud800",
        "raw": "b'\\xff'",
        "deep": {"a": {"1": 2}},
    }


def test_repeats_are_limited_then_counted(out: io.StringIO, clock: Clock) -> None:
    json_logs(out, clock)
    log = structlog.get_logger()
    for number in range(REPEATS_MAX + 7):
        log.info("again", number=number)
    log.info("other")
    assert [row["event"] for row in rows(out)] == ["again"] * REPEATS_MAX + ["other"]
    clock.ns += WINDOW_NS
    log.info("again")
    assert rows(out)[-1]["suppressed"] == 7
    log.info("again")
    assert "suppressed" not in rows(out)[-1]


def test_standard_messages_are_told_apart_by_their_template(out: io.StringIO, clock: Clock) -> None:
    json_logs(out, clock)
    for number in range(REPEATS_MAX + 1):
        logging.getLogger("polytrade").info("number %d", number)
    assert len(rows(out)) == REPEATS_MAX


def test_suppressed_count_is_told_when_the_event_never_comes_again(
    out: io.StringIO, clock: Clock
) -> None:
    logs = json_logs(out, clock)
    for _ in range(REPEATS_MAX + 3):
        structlog.get_logger().info("again")
    logs.report_suppressed()
    assert len(rows(out)) == REPEATS_MAX  # its window is not over
    clock.ns += WINDOW_NS
    logs.report_suppressed()
    logs.report_suppressed()
    told = [row for row in rows(out) if row["event"] == "log.suppressed"]
    assert [(row["of"], row["suppressed"]) for row in told] == [("again", 3)]


def test_last_report_does_not_wait_for_windows(out: io.StringIO, clock: Clock) -> None:
    logs = json_logs(out, clock)
    for _ in range(REPEATS_MAX + 1):
        structlog.get_logger().info("again")
    logs.report_suppressed(every=True)
    assert rows(out)[-1]["suppressed"] == 1


def test_limiter_remembers_a_bounded_number_of_events(clock: Clock) -> None:
    limiter = LogLimiter(clock)
    for number in range(EVENTS_MAX + 5):
        limiter(None, "info", {"event": f"e{number}"})
    assert len(limiter._windows) == EVENTS_MAX


class BrokenStream(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_broken_stderr_loses_lines_and_nothing_else(clock: Clock) -> None:
    stream = BrokenStream()
    logs = configure_logging("info", clock, stream=stream)
    structlog.get_logger().info("lost")
    assert logs.stream.lost == 1
    assert len(logs.stream.recent) == 1


def test_redirected_lines_go_to_the_sink_and_back() -> None:
    out = io.StringIO()
    stream = LogStream(out)
    taken: list[str] = []
    stream.write("before")
    with stream.redirected(taken.append):
        stream.write("inside")
    stream.write("after")
    assert taken == ["inside"]
    assert out.getvalue() == "before\nafter\n"
    assert list(stream.recent) == ["before", "inside", "after"]


def test_configuring_again_replaces_the_first(out: io.StringIO, clock: Clock) -> None:
    first = io.StringIO()
    json_logs(first, clock)
    json_logs(out, clock)
    logging.getLogger("polytrade").info("once")
    assert first.getvalue() == ""
    assert len(rows(out)) == 1
