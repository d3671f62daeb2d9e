"""A plugin in another version is told before what follows from it."""

from pathlib import Path

import attrs
import pytest

from polytrade.config import Config
from polytrade.errors import ConfigError, LineupMissing, PluginError, Problem
from polytrade.swaps import engine_lineup, require
from tests.plugin_projects import maker_source, plugin_site


def test_settings_that_another_version_does_not_take_are_told_as_its_version(
    tmp_path: Path,
) -> None:
    base = Config()
    config = attrs.evolve(
        base,
        strategy=attrs.evolve(base.strategy, maker="bidder"),
        plugins=attrs.evolve(base.plugins, settings={"bidder": {"gone": 1}}),
    )
    lines = {"builtin": "1", "bidder": "1.0.0+sha256:0123456789ab"}
    with plugin_site(tmp_path / "site") as site:
        site.install("bidder", maker_source(), version="1.1.0")
        with pytest.raises(ConfigError, match="unknown setting") as caught:
            engine_lineup(config, None, lines)
        with pytest.raises(LineupMissing) as missing:
            require(lines, config, caught.value)
        assert str(missing.value).startswith(
            "bidder 1.0.0+sha256:0123456789ab is needed, 1.1.0+sha256:"
        )
        require(lines, config, ConfigError("no such file"))
        require(lines, config, ConfigError(Problem("expected int", "risk.max_open_orders")))
        with pytest.raises(LineupMissing, match=r"1\.1\.0"):
            require(lines, config, PluginError("bidder", "1.1.0", "m", "build"))
        installed = engine_lineup(attrs.evolve(config, plugins=base.plugins)).plugins
        require(installed, config, caught.value)
