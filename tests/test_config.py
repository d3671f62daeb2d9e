"""The strict loader: nothing is guessed, every problem is told with its place."""

import math
import tomllib
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade import strict
from polytrade.config import Config, Feeds, Risk, Strategy, Universe, setting
from polytrade.errors import ConfigError, PluginError, Problem


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    return folder


def problems(folder: Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        strict.load(folder, overrides)
    return [str(problem) for problem in caught.value.problems]


def test_files_of_a_directory_are_merged_and_the_rest_has_defaults(tmp_path: Path) -> None:
    folder = write(tmp_path, a="[risk]\nmax_open_orders = 7\n", b="[feeds.okx]\nenabled = false\n")
    config = strict.load(folder)
    assert config.risk == Risk(max_open_orders=7)
    assert config.feeds.okx.enabled is False
    assert attrs.evolve(config, risk=Risk(), feeds=Feeds()) == Config()


def test_folders_below_are_another_configuration(tmp_path: Path) -> None:
    (tmp_path / "sandbox").mkdir()
    write(tmp_path / "sandbox", risk="[risk]\nmax_open_orders = 1\n")
    write(tmp_path, risk="[risk]\nmax_open_orders = 2\n")
    assert strict.load(tmp_path).risk.max_open_orders == 2


def test_float_for_int_is_refused_with_path_and_file(tmp_path: Path) -> None:
    folder = write(tmp_path, risk="[risk]\nmax_open_orders = 55.9\n")
    assert problems(folder) == [
        f"expected int of at least 1, found 55.9 @ risk.max_open_orders ({tmp_path}/risk.toml)"
    ]


def test_int_for_float_becomes_a_float(tmp_path: Path) -> None:
    config = strict.load(write(tmp_path, x="[risk]\nmax_daily_loss = 5\n"))
    assert type(config.risk.max_daily_loss) is float
    assert config.risk.max_daily_loss == 5.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("max_open_orders = true", "expected int of at least 1, found true"),
        ("max_open_orders = '5'", 'expected int of at least 1, found "5"'),
        ("max_open_orders = 0", "expected int of at least 1, found 0"),
        ("max_open_orders = 9223372036854775808", "expected a 64-bit int, found 92233720368"),
        ("max_loss_streak = 9223372036854775808", "expected a 64-bit int, found 92233720368"),
        ("max_loss_streak = 0", "expected int of at least 1, found 0"),
        ("max_daily_loss = nan", "expected float of at least 0, found nan"),
        ("max_daily_loss = inf", "expected float of at least 0, found inf"),
        ("max_daily_loss = -1", "expected float of at least 0, found -1"),
        ("max_daily_loss = false", "expected float of at least 0, found false"),
        ("max_daily_loss = 2020-01-01", "expected float of at least 0, found 2020-01-01"),
        ("hash_mode = 'of'", 'expected one of enforce, warn, off, found "of" (did you mean off?)'),
        ("hash_mode = 1", "expected one of enforce, warn, off, found 1"),
        ("hash_mode = []", "expected one of enforce, warn, off, found []"),
    ],
)
def test_wrong_value_is_refused(tmp_path: Path, line: str, message: str) -> None:
    name = line.partition(" ")[0]
    (found,) = problems(write(tmp_path, risk=f"[risk]\n{line}\n"))
    assert found.startswith(message)
    assert found.endswith(f" @ risk.{name} ({tmp_path}/risk.toml)")


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        a='[risk]\nmax_open_order = 3\ncooldown_sec = 0\n[feeds.binance]\nenabled = 1\nurll = ""',
        b="[riks]\nx = 1\n",
        c="[strategy]\njoin = true\n",
        d="[strategy]\n",
        e="[venue\n",
        f="control = 5\n",
    )
    assert problems(folder) == [
        f"section in two files: {tmp_path}/c.toml and {tmp_path}/d.toml @ strategy",
        f"Expected ']' at the end of a table declaration (at line 1, column 7) ({tmp_path}/e.toml)",
        f"expected a [section] table, found 5 @ control ({tmp_path}/f.toml)",
        f"unknown section (did you mean risk?) @ riks ({tmp_path}/b.toml)",
        f"expected true or false, found 1 @ feeds.binance.enabled ({tmp_path}/a.toml)",
        f"unknown setting (did you mean url?) @ feeds.binance.urll ({tmp_path}/a.toml)",
        f"expected float of at least 1, found 0 @ risk.cooldown_sec ({tmp_path}/a.toml)",
        "unknown setting (did you mean max_open_orders?) @ risk.max_open_order"
        f" ({tmp_path}/a.toml)",
    ]


def test_array_entries_are_named_by_their_place(tmp_path: Path) -> None:
    folder = write(
        tmp_path, x='[universe]\ncoins = ["btc", 5]\nwindows = ["5m", "6m"]\nseries = "a"\n'
    )
    assert problems(folder) == [
        f"expected string, found 5 @ universe.coins[1] ({tmp_path}/x.toml)",
        f'expected one of 5m, 15m, 4h, found "6m" @ universe.windows[1] ({tmp_path}/x.toml)',
        f'expected array of strings, found "a" @ universe.series ({tmp_path}/x.toml)',
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "feeds.backoff_min_s=40",
            "expected at most feeds.backoff_max_s = 30, found 40 @ feeds.backoff_min_s (--set)",
        ),
        (
            "feeds.assets_per_connection=3",
            "expected even number, found 3 @ feeds.assets_per_connection (--set)",
        ),
        (
            "feeds.clob_url=wss://x",
            'expected https:// or http:// address, found "wss://x" @ feeds.clob_url (--set)',
        ),
        (
            "feeds.market_url=''",
            'expected wss:// or ws:// address, found "" @ feeds.market_url (--set)',
        ),
        (
            "feeds.okx.url=ws://",
            'expected wss:// or ws:// address or empty, found "ws://" @ feeds.okx.url (--set)',
        ),
        (
            "feeds.gamma_url=http://x:99999",
            'expected https:// or http:// address, found "http://x:99999"'
            " @ feeds.gamma_url (--set)",
        ),
        (
            "execution.place_latency_ms=[1, 2, 3]",
            "expected 5 values (quantiles 0, 0.5, 0.9, 0.99, 1), found 3"
            " @ execution.place_latency_ms (--set)",
        ),
        (
            "execution.cancel_latency_ms=[1, 2, 3, 2.5, 4]",
            "expected values that never decrease, found 1, 2, 3, 2.5, 4"
            " @ execution.cancel_latency_ms (--set)",
        ),
        (
            "strategy.vol_floor_bps=21",
            "expected at most strategy.vol_cap_bps = 20, found 21 @ strategy.vol_floor_bps (--set)",
        ),
        (
            'universe.coins=["BTC"]',
            'expected lower-case ticker such as btc, found "BTC" @ universe.coins (--set)',
        ),
        (
            'universe.coins=["btc", "eth", "btc"]',
            "expected each entry once, found btc twice @ universe.coins (--set)",
        ),
        (
            "universe.coins=[]",
            "expected coins with windows, series or slugs to follow, found none @ universe (--set)",
        ),
        (
            "toxicity.safe_threshold=0.7",
            "expected at most toxicity.caution_threshold = 0.65, found 0.7 @ "
            "toxicity.safe_threshold (--set)",
        ),
        (
            "toxicity.markout_5s_danger_bps=-5",
            "expected at most toxicity.markout_5s_caution_bps = -6, found -5 @ "
            "toxicity.markout_5s_danger_bps (--set)",
        ),
        (
            "toxicity.cooldown_max_sec=29",
            "expected at most toxicity.cooldown_max_sec = 29, found 30 @ "
            "toxicity.cooldown_min_sec (--set)",
        ),
        (
            "arb.ways=[]",
            "expected a way while arb.enabled is true, found none @ arb.ways (--set)",
        ),
        (
            'venue.playback=["a", "a"]',
            "expected each entry once, found a twice @ venue.playback (--set)",
        ),
        (
            "control.token_env=s3cret-t0ken",
            "expected the name of an environment variable, found something else"
            " @ control.token_env (--set)",
        ),
        (
            "storage.data_dir=",
            "expected a folder, found an empty string @ storage.data_dir (--set)",
        ),
    ],
)
def test_settings_must_fit_together(tmp_path: Path, override: str, message: str) -> None:
    folder = write(tmp_path, x="[risk]\n")
    assert problems(folder, override) == [message]


def test_batch_must_fit_into_its_queue(tmp_path: Path) -> None:
    folder = write(tmp_path, x="[latency]\nio_flush_batch = 300\nio_queue_capacity = 256\n")
    assert problems(folder) == [
        "expected at most latency.io_queue_capacity = 256, found 300"
        f" @ latency.io_flush_batch ({tmp_path}/x.toml)"
    ]


def test_weights_that_are_all_zero_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, x="[allocator]\nmaker_weight = 0\ntaker_weight = 0\narb_weight = 0\n")
    (found,) = problems(folder)
    assert found.startswith("expected a weight above 0 among the three, found none")


def test_nothing_to_follow_but_a_slug_is_enough(tmp_path: Path) -> None:
    folder = write(tmp_path, x='[universe]\ncoins = []\nslugs = ["a-market"]\n')
    assert strict.load(folder).universe.slugs == ("a-market",)


def test_override_wins_over_the_file_and_takes_toml_or_a_bare_string(tmp_path: Path) -> None:
    folder = write(tmp_path, x="[risk]\nmax_open_orders = 7\nmax_daily_loss = 1\n")
    config = strict.load(
        folder,
        [
            "risk.max_open_orders=5",
            "control.host=::1",
            "control.log_level = debug",
            'universe.coins=["sol"]',
            "feeds.kraken.enabled=false",
            "storage.data_dir=a b = c",
        ],
    )
    assert (config.risk.max_open_orders, config.risk.max_daily_loss) == (5, 1.0)
    assert (config.control.host, config.control.log_level) == ("::1", "debug")
    assert config.universe.coins == ("sol",)
    assert config.feeds.kraken.enabled is False
    assert config.storage.data_dir == "a b = c"


def test_override_cannot_smuggle_in_another_setting(tmp_path: Path) -> None:
    folder = write(tmp_path, x="[risk]\n")
    config = strict.load(folder, ["storage.data_dir=1\nother = 2"])
    assert config.storage.data_dir == "1\nother = 2"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("risk", 'expected section.key=value, found "risk" (--set)'),
        ("risk=5", 'expected section.key=value, found "risk=5" (--set)'),
        ("risk.=5", 'expected section.key=value, found "risk.=5" (--set)'),
        ("riks.x=5", "unknown section (did you mean risk?) @ riks (--set)"),
        ("risk.x=5", "unknown setting @ risk.x (--set)"),
        ("strategy.join.x=5", "expected true or false, found a table @ strategy.join (--set)"),
        (
            "risk.max_open_orders.x=5",
            "expected a setting of [risk] @ risk.max_open_orders.x (--set)",
        ),
    ],
)
def test_malformed_override_is_refused(tmp_path: Path, override: str, message: str) -> None:
    folder = write(tmp_path, x="[risk]\nmax_open_orders = 7\n")
    assert problems(folder, override) == [message]


def test_override_of_a_broken_file_does_not_hide_the_file(tmp_path: Path) -> None:
    folder = write(tmp_path, x="[risk\n")
    (found,) = problems(folder, "risk.max_open_orders=5")
    assert found.endswith(f"({tmp_path}/x.toml)")


def test_places_without_toml_are_refused(tmp_path: Path) -> None:
    assert problems(tmp_path) == [f"expected TOML files, found none in {tmp_path}"]
    file = tmp_path / "x.toml"
    file.write_text("")
    assert problems(file) == [f"expected a directory with TOML files, found a file at {file}"]
    none = tmp_path / "none"
    assert problems(none) == [f"expected a directory with TOML files, found nothing at {none}"]


def test_file_that_is_no_text_or_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "b.toml").write_bytes(b"#" * (strict.FILE_BYTES_MAX + 1))
    first, second = problems(tmp_path)
    assert first.endswith(f"({tmp_path}/a.toml)")
    assert second == f"expected at most 1048576 bytes, found more ({tmp_path}/b.toml)"


def test_long_value_is_shortened_in_the_message(tmp_path: Path) -> None:
    folder = write(tmp_path, x=f"[risk]\nhash_mode = '{'x' * 500}'\n")
    (found,) = problems(folder)
    assert f'found "{"x" * 56}... @' in found


def test_environment_is_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYTRADE_RISK_MAX_OPEN_ORDERS", "1")
    monkeypatch.setenv("POLYTRADE_CONTROL_TOKEN", "s3cret")
    config = strict.load(write(tmp_path, x="[risk]\n"))
    assert config == Config()
    assert "s3cret" not in strict.to_toml(config)


def test_patch_applies_all_or_nothing() -> None:
    before = Strategy()
    assert strict.patch_section(before, {"ttl_ms": 500}, "strategy") == Strategy(ttl_ms=500)
    with pytest.raises(ConfigError) as caught:
        strict.patch_section(before, {"ttl_ms": 500, "max_spread": 2}, "strategy")
    (problem,) = caught.value.problems
    assert problem == Problem(
        "expected float from 0.0001 to 1, found 2",
        "strategy.max_spread",
        "float from 0.0001 to 1",
    )
    assert before == Strategy()


def test_effective_configuration_loads_back_unchanged(tmp_path: Path) -> None:
    text = (
        '[universe]\ncoins = ["sol"]\nslugs = ["a\\"b\\\\\\u007f"]\n[feeds.okx]\nenabled = false\n'
    )
    config = strict.load(write(tmp_path, x=text))
    (tmp_path / "again").mkdir()
    write(tmp_path / "again", x=strict.to_toml(config))
    again = strict.load(tmp_path / "again")
    assert again == config
    assert strict.structure(strict.to_dict(config)) == config


def test_digest_is_of_the_meaning_not_the_writing(tmp_path: Path) -> None:
    folder = write(tmp_path, a="[risk]\nmax_daily_loss = 50\n", b="[control]\n")
    assert strict.config_digest(strict.load(folder)) == strict.config_digest(Config())
    other = strict.load(folder, ["risk.max_daily_loss=51"])
    assert strict.config_digest(other) != strict.config_digest(Config())


def test_defaults_satisfy_their_own_ranges() -> None:
    assert strict.structure({}) == Config()
    assert strict.structure(strict.to_dict(Config())) == Config()


def test_settings_are_immutable() -> None:
    with pytest.raises(TypeError, match="use a tuple"):
        setting([], "a list")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Universe().coins = ()  # type: ignore[misc]


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = st.sampled_from([field.name for field in attrs.fields(Risk)]) | st.text(max_size=8)


@given(raw=st.dictionaries(KEYS, PLAIN, max_size=4))
def test_any_section_is_either_structured_or_refused(raw: dict[str, object]) -> None:
    """No other exception; what is accepted is finite and survives a round trip."""
    try:
        section = strict.structure_section(Risk, raw, "risk")
    except ConfigError as error:
        assert all(problem.path.startswith("risk.") for problem in error.problems)
        return
    for field in attrs.fields(Risk):
        value = getattr(section, field.name)
        assert type(value) is field.type
        if isinstance(value, float):
            assert math.isfinite(value)
    assert strict.structure_section(Risk, attrs.asdict(section), "risk") == section


@given(
    value=st.one_of(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.floats(allow_nan=False, allow_infinity=False),
        st.integers(-(2**63), 2**63 - 1),
        st.booleans(),
    )
)
def test_toml_values_read_back(value: object) -> None:
    assert tomllib.loads(f"value = {strict.toml_value(value)}") == {"value": value}


@pytest.mark.parametrize("name", ["configs", "configs/sandbox"])
def test_shipped_configuration_loads(root: Path, name: str) -> None:
    config = strict.load(root / name)
    assert config.execution.mode == "paper"
    assert config.venue.managed is (name == "configs/sandbox")


def test_sandbox_follows_every_exchange_and_names_no_address(root: Path) -> None:
    feeds = strict.load(root / "configs" / "sandbox").feeds
    exchanges = ("binance", "coinbase", "kraken", "okx", "bybit")
    assert [getattr(feeds, name).enabled for name in exchanges] == [True] * 5
    # The venue's addresses take the place of these; a feed it does not serve is switched off.
    assert [getattr(feeds, name).url for name in exchanges] == [""] * 5
    assert feeds.polybolt_url == ""


def test_relative_paths_begin_at_the_project(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert strict.project_root(root / "configs" / "sandbox") == root
    (tmp_path / "configs").mkdir()
    monkeypatch.chdir(tmp_path)
    assert strict.project_root(Path("configs")) == tmp_path
    (tmp_path / "configs" / "pyproject.toml").write_text("")
    assert strict.project_root(Path("configs")) == tmp_path / "configs"


def test_errors_say_whose_fault_it_is() -> None:
    assert str(ConfigError("a", Problem("b", "risk.x", "int", "f.toml"))) == (
        "a\nb @ risk.x (f.toml)"
    )
    assert str(PluginError("foo", "1.2", "raised ValueError")) == (
        "plugin foo 1.2: raised ValueError"
    )
    with pytest.raises(ValueError, match="at least one problem"):
        ConfigError()
