"""The doctor: each check on a machine that fails it, and hosts over real sockets on loopback."""

import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio_websocket

from polytrade import doctor, doctor_hosts
from polytrade.config import Config, Control, Feeds, Reload, Source, Storage, Venue
from polytrade.doctor_hosts import Endpoint, Row, check_host, check_hosts, clock_row, endpoints

SECOND = 1_000_000_000
OFF = Source(enabled=False)
LONELY = Feeds(rtds_url="", binance=OFF, coinbase=OFF, kraken=OFF, okx=OFF, bybit=OFF)


def now_ns() -> int:
    return 1_700_000_000 * SECOND


def the(rows: list[Row], what: str) -> Row:
    (row,) = [row for row in rows if row.what == what]
    return row


def test_good_configuration_is_ok(root: Path) -> None:
    config, (row,) = doctor.check_configuration(root / "configs", ())
    assert isinstance(config, Config)
    assert (row.what, row.status) == ("configuration", "ok")


def test_every_problem_of_a_configuration_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("[risk]\nmax_open_orders = 5.5\nnonsense = 1\n")
    config, rows = doctor.check_configuration(tmp_path, ())
    assert config is None
    assert [row.status for row in rows] == ["fail", "fail"]
    assert rows[0].detail.startswith("expected int of at least 1, found 5.5 @ risk.max_open")


def test_data_folder_that_is_not_there_yet_can_be_made(tmp_path: Path) -> None:
    config = Config(storage=Storage(data_dir="datasets/runs"))
    row = the(list(doctor.check_disk(config, tmp_path)), "data folder")
    assert (row.status, row.detail) == ("ok", f"{tmp_path}/datasets/runs can be written")
    assert list(tmp_path.iterdir()) == []


def test_data_folder_below_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "datasets").touch()
    (row,) = doctor.check_disk(Config(), tmp_path)
    assert (row.status, row.detail) == ("fail", f"{tmp_path}/datasets is a file, not a folder")


def test_data_folder_that_cannot_be_written_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    row = the(list(doctor.check_disk(Config(), tmp_path)), "data folder")
    assert (row.status, row.detail) == ("fail", f"cannot write to {tmp_path}: Permission denied")


@pytest.mark.parametrize(
    ("free", "status"),
    [
        (doctor.FREE_BYTES_MIN - 1, "fail"),
        (doctor.FREE_BYTES_MIN, "warn"),
        (doctor.FREE_BYTES_GOOD, "ok"),
    ],
)
def test_free_space_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: attrs.make_class("Usage", ["free"])(free))
    row = the(list(doctor.check_disk(Config(), tmp_path)), "disk space")
    assert row.status == status
    assert bool(row.fix) is (status != "ok")


@pytest.mark.parametrize(
    ("limit", "status"), [(255, "fail"), (256, "warn"), (1024, "ok"), (-1, "ok")]
)
def test_descriptor_limit_is_judged(
    monkeypatch: pytest.MonkeyPatch, limit: int, status: str
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (limit, limit))
    assert doctor.check_descriptors().status == status


@pytest.mark.parametrize(
    ("arguments", "status"), [("--enable-optimizations --prefix=/x", "ok"), ("", "warn")]
)
def test_build_of_python_is_told(
    monkeypatch: pytest.MonkeyPatch, arguments: str, status: str
) -> None:
    monkeypatch.setattr("sysconfig.get_config_var", lambda _: arguments)
    (row,) = doctor.check_python()
    assert row.status == status


def test_address_for_all_needs_a_token(tmp_path: Path) -> None:
    config = Config(control=Control(host="0.0.0.0"))
    row = the(list(doctor.check_secrets(config, tmp_path, {})), "control token")
    assert (row.status, row.detail) == ("fail", "0.0.0.0 is not loopback and there is no token")
    given = {"POLYTRADE_CONTROL_TOKEN": "s3cret"}
    rows = list(doctor.check_secrets(config, tmp_path, given))
    assert the(rows, "control token").status == "ok"
    assert "s3cret" not in str(rows)


@pytest.mark.parametrize(
    ("mode", "status"), [(0o600, "ok"), (0o400, "ok"), (0o640, "fail"), (0o604, "fail")]
)
def test_token_file_is_ours_alone(tmp_path: Path, mode: int, status: str) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret")
    file.chmod(mode)
    config = Config(control=Control(host="0.0.0.0", token_file="token"))
    rows = list(doctor.check_secrets(config, tmp_path, {}))
    row = the(rows, "token file")
    assert row.status == status
    assert row.fix == ("" if status == "ok" else f"chmod 0600 {file}")
    assert "s3cret" not in str(rows)


def test_token_file_that_is_none_fails(tmp_path: Path) -> None:
    for name, detail in (("none", "none: No such file or directory"), (".", " is not a file")):
        config = Config(control=Control(token_file=name))
        row = the(list(doctor.check_secrets(config, tmp_path, {})), "token file")
        assert row.status == "fail"
        assert row.detail.endswith(detail)


def test_half_of_the_venue_credentials_is_warned_of(tmp_path: Path) -> None:
    row = the(
        list(doctor.check_secrets(Config(), tmp_path, {"POLYTRADE_POLY_API_KEY": "k3y"})),
        "venue credentials",
    )
    assert (row.status, row.detail) == (
        "warn",
        "POLYTRADE_POLY_SECRET, POLYTRADE_POLY_PASSPHRASE not set",
    )


def test_trial_that_outlasts_its_request_warns() -> None:
    assert doctor.check_reload(Config(reload=Reload(probe_s=7.0))).status == "ok"
    row = doctor.check_reload(Config(reload=Reload(probe_s=7.5)))
    assert (row.status, row.detail) == (
        "warn",
        "a trial and its reload take up to 10.5 s, a request 10 s",
    )


async def test_port_that_is_taken_fails() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        row = doctor.check_port(Config(control=Control(port=port)))
        assert (row.status, row.detail) == ("fail", f"127.0.0.1:{port}: Address already in use")
    assert doctor.check_port(Config(control=Control(port=0))).status == "ok"


def test_capture_of_a_managed_venue_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n")
    config = Config(venue=Venue(managed=True, playback=("a.jsonl", "b.jsonl")))
    there, missing = doctor.check_captures(config, tmp_path)
    assert (there.status, there.detail) == ("ok", f"{tmp_path}/a.jsonl, 3 bytes")
    assert (missing.status, missing.detail) == ("fail", f"{tmp_path}/b.jsonl is not there")


@pytest.mark.parametrize(
    ("asked", "answered", "status", "detail"),
    [
        (100.0, 100.2, "ok", "agrees with the venue to the second it tells"),
        (100.9, 101.1, "ok", "agrees with the venue to the second it tells"),
        (101.4, 101.5, "warn", "400 ms ahead of the venue"),
        (99.0, 99.5, "warn", "500 ms behind the venue"),
        (103.5, 103.6, "fail", "2500 ms ahead of the venue"),
        (90.0, 90.1, "fail", "9900 ms behind the venue"),
    ],
)
def test_clock_is_judged_by_what_surely_is_skew(
    asked: float, answered: float, status: str, detail: str
) -> None:
    times = (round(asked * 1000) * 1_000_000, round(answered * 1000) * 1_000_000)
    row = clock_row(times, "100\n", 2000)
    assert (row.status, row.detail) == (status, detail)


def test_garbled_time_is_told() -> None:
    assert clock_row((0, 0), "<html>", 2000).detail == "the venue's time is '<html>'"


def test_addresses_are_those_switched_on() -> None:
    feeds = attrs.evolve(LONELY, clob_url="http://c/", gamma_url="http://g", market_url="ws://m/ws")
    assert endpoints(Config(feeds=feeds), {}) == [
        Endpoint("market channel", "ws://m/ws"),
        Endpoint("clob", "http://c/time", clock=True),
        Endpoint("gamma", "http://g/events/keyset?limit=1"),
    ]
    with_key = endpoints(Config(feeds=feeds), {"POLYTRADE_POLY_API_KEY": "k"})
    assert [endpoint.name for endpoint in with_key][3:] == ["polybolt"]
    named = {endpoint.name: endpoint.url for endpoint in endpoints(Config(), {})}
    assert set(named) == {
        *("market channel", "clob", "gamma", "rtds"),
        *("binance", "coinbase", "kraken", "okx", "bybit"),
    }
    assert all(url.startswith(("wss://", "https://")) for url in named.values())


Handler = Callable[[trio.SocketStream], Awaitable[None]]


async def probe(nursery: trio.Nursery, handler: Handler, scheme: str, **named: Any) -> list[Row]:
    """What `check_host` says of a server on loopback that handles connections with `handler`."""
    listeners = await nursery.start(trio.serve_tcp, handler, 0)
    port = listeners[0].socket.getsockname()[1]
    url = f"{scheme}://127.0.0.1:{port}/time"
    rows = await check_host(Endpoint("host", url, **named), 2000, now_ns)
    nursery.cancel_scope.cancel()
    return [attrs.evolve(row, what=row.what.partition(" ")[0]) for row in rows]


def answering(status: str, body: str) -> Handler:
    async def handle(stream: trio.SocketStream) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            part = await stream.receive_some()
            if not part:
                return
            request += part
        assert b"user-agent: polytrade/" in request.lower()
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        await stream.send_all((head + body).encode())

    return handle


async def test_http_host_that_answers_is_ok_and_tells_the_clock(
    nursery: trio.Nursery,
) -> None:
    host, clock = await probe(nursery, answering("200 OK", "1700000000"), "http", clock=True)
    assert (host.status, clock.status) == ("ok", "ok")
    assert host.detail.startswith("http answers, ")


async def test_http_refusal_names_the_status(nursery: trio.Nursery) -> None:
    (row,) = await probe(nursery, answering("403 Forbidden", ""), "http", clock=True)
    assert (row.status, row.detail) == ("fail", "http: status 403")
    assert "403" in row.fix


async def test_http_host_that_hangs_up_fails(nursery: trio.Nursery) -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.aclose()

    (row,) = await probe(nursery, hang_up, "http")
    assert row.status == "fail"
    assert row.detail.startswith("http: ")


async def test_socket_that_upgrades_is_ok(nursery: trio.Nursery) -> None:
    async def upgrade(stream: trio.SocketStream) -> None:
        async with trio.open_nursery() as inner:
            request = await trio_websocket.wrap_server_stream(inner, stream)
            await request.accept()
            inner.cancel_scope.cancel()

    (row,) = await probe(nursery, upgrade, "ws")
    assert row.status == "ok"
    assert row.detail.startswith("websocket answers, ")


async def test_socket_that_refuses_the_upgrade_fails(nursery: trio.Nursery) -> None:
    (row,) = await probe(nursery, answering("451 Unavailable", ""), "ws")
    assert (row.status, row.detail) == ("fail", "websocket: status 451")


async def test_plain_host_asked_for_tls_fails_at_tls(nursery: trio.Nursery) -> None:
    async def answer_plainly(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    (row,) = await probe(nursery, answer_plainly, "wss")
    assert row.status == "fail"
    assert row.detail.startswith("tls: ")


async def test_closed_port_fails_at_tcp() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    (row,) = await check_host(Endpoint("host", f"ws://127.0.0.1:{port}"), 2000, now_ns)
    assert (row.status, row.detail.partition(":")[0]) == ("fail", "tcp")
    assert row.what == f"host 127.0.0.1:{port}"


async def test_unknown_name_fails_at_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> None:
        await trio.lowlevel.checkpoint()
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr("trio.socket.getaddrinfo", unknown)
    (row,) = await check_host(Endpoint("host", "wss://nowhere.invalid/ws"), 2000, now_ns)
    assert (row.status, row.detail) == ("fail", "dns: Name or service not known")


async def test_hosts_are_asked_at_once_each_with_its_deadline(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async def never(*_: object, **__: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr("trio.socket.getaddrinfo", never)
    asked = [Endpoint("a", "wss://a.invalid"), Endpoint("b", "ws://b.invalid:81/ws")]
    rows = await check_hosts(asked, 2000, now_ns)
    assert trio.current_time() == doctor_hosts.HOST_DEADLINE_S
    assert [(row.what, row.status, row.detail) for row in rows] == [
        ("a a.invalid", "fail", "dns: no answer within 8 s"),
        ("b b.invalid:81", "fail", "dns: no answer within 8 s"),
    ]


async def test_http_goes_through_the_proxy_of_the_environment(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    listeners = await nursery.start(trio.serve_tcp, answering("200 OK", "x"), 0)
    port = listeners[0].socket.getsockname()[1]
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    (row,) = await check_host(Endpoint("host", "http://nowhere.invalid/ok"), 2000, now_ns)
    nursery.cancel_scope.cancel()
    assert row.status == "ok"


def test_sandbox_is_checked_without_asking_a_host(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = tmp_path / "a.jsonl"
    capture.touch()
    overrides = ["control.port=0", f'venue.playback=["{capture}"]', f"storage.data_dir={tmp_path}"]
    before = threading.active_count()
    code = doctor.main(root / "configs" / "sandbox", overrides, as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is (code == 0)
    assert {"configuration", "python", "capture", "hosts"} <= {
        row["what"] for row in answer["rows"]
    }
    assert threading.active_count() == before


def test_failed_check_is_one_and_said_in_words(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["control.port=0", 'venue.playback=["none.jsonl"]']
    assert doctor.main(root / "configs" / "sandbox", overrides) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 failed"
    assert f"fail  capture            {root}/none.jsonl is not there" in lines
