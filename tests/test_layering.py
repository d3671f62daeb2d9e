"""Who may import whom, and who may read a clock or draw a number; by the syntax tree."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "polytrade"

# The layer of a module is that of its longest entry here. A new module at the top of the package
# or in `polymarket/` must be given one; the folders have theirs.
LAYERS: dict[str, int] = {
    "polytrade": 0,  # the version only
    "polytrade.core": 0,
    "polytrade.errors": 1,
    "polytrade.feed_events": 1,
    "polytrade.config": 1,
    "polytrade.config_checks": 1,
    "polytrade.strict": 1,
    "polytrade.metrics": 1,
    "polytrade.meter": 1,
    "polytrade.validity": 1,
    "polytrade.hookspecs": 1,
    "polytrade.wire_roles": 1,
    "polytrade.reference": 1,
    "polytrade.polymarket.arbiter": 1,
    "polytrade.polymarket.books": 1,
    "polytrade.polymarket.gamma": 1,
    "polytrade.polymarket.numbers": 1,
    "polytrade.polymarket.prices": 1,
    "polytrade.polymarket.relays": 1,
    "polytrade.polymarket.signing": 1,
    "polytrade.polymarket.subjects": 1,
    "polytrade.polymarket.wire": 1,
    "polytrade.polymarket": 1,  # the package itself: empty
    "polytrade.lineup": 2,
    "polytrade.swaps": 2,
    "polytrade.witness": 2,
    "polytrade.config_plugins": 1,
    "polytrade.config_values": 1,
    "polytrade.plugin_code": 1,
    "polytrade.plugin_hooks": 2,
    "polytrade.schema": 1,
    "polytrade.needed": 2,
    "polytrade.notices": 1,
    "polytrade.secrets": 1,
    "polytrade.distributions": 2,
    "polytrade.catalogue": 2,
    "polytrade.api": 2,
    "polytrade.scaffold": 2,
    "polytrade.pytest_plugin": 3,
    "polytrade.trial": 3,
    "polytrade.probe": 3,
    "polytrade.segments": 2,
    "polytrade.journal": 2,
    "polytrade.captures": 2,
    "polytrade.importers": 2,
    "polytrade.import_alarm": 3,
    "polytrade.import_files": 2,
    "polytrade.import_layouts": 2,
    "polytrade.import_limit": 1,
    "polytrade.import_markets": 2,
    "polytrade.import_sources": 2,
    "polytrade.decoding": 2,
    "polytrade.replay": 2,
    "polytrade.replay_feeds": 2,
    "polytrade.replay_result": 2,
    "polytrade.replay_run": 2,
    "polytrade.replay_sites": 2,
    "polytrade.session": 2,
    "polytrade.builtin": 2,
    "polytrade.lenses": 2,
    "polytrade.lens_books": 2,
    "polytrade.reach": 2,
    "polytrade.gates": 1,
    "polytrade.shadow": 2,
    "polytrade.calibration": 2,
    "polytrade.config_fields": 1,
    "polytrade.config_trading": 1,
    "polytrade.profiles": 1,
    "polytrade.contract": 1,
    "polytrade.reports": 2,
    "polytrade.research": 2,
    "polytrade.rest_server": 3,
    "polytrade.polymarket.rest": 3,
    "polytrade.polymarket.clob": 3,
    "polytrade.polymarket.discovery": 3,
    "polytrade.polymarket.feed": 3,
    "polytrade.runtime": 3,
    "polytrade.sandbox": 3,
    "polytrade.testing": 3,
    "polytrade.control": 4,
    "polytrade.plugin_checks": 4,
    "polytrade.doctor": 4,
    "polytrade.doctor_hosts": 4,
    "polytrade.cli": 4,
    "polytrade.cli_plugins": 4,
    "polytrade.cli_reports": 4,
    "polytrade.cli_sandbox": 4,
    "polytrade.__main__": 4,
}
FOLDERS = {
    f"polytrade.{name}"
    for name in (
        *("core", "reference", "builtin", "reports", "research", "shadow", "contract"),
        *("runtime", "sandbox", "testing", "control"),
    )
}
"""Packages whose modules take the package's layer; elsewhere each module has its own entry."""

PURE = {"typing", "enum", "bisect", "heapq", "math", "collections", "hashlib"}
"""The whole of what the core may import from outside."""

WAITING = {
    *("time", "random", "uuid", "socket", "ssl", "select", "selectors", "asyncio", "threading"),
    *("multiprocessing", "concurrent", "subprocess", "signal", "http", "urllib.request", "logging"),
}
"""Standard library of clocks, chance, sockets and tasks: not below layer 3."""

# Third parties by layer, each layer with those below it.
PARTIES: dict[int, set[str]] = {
    0: set(),
    1: {"attrs", "cattrs", "orjson", "pluggy", "numpy", "coincurve", "Crypto"},
    2: {"zstandard", "pyarrow", "rich"},
    3: {"trio", "trio_websocket", "httpx2", "structlog", "rich"},
    4: {"click", "quart", "quart_trio", "hypercorn", "werkzeug", "prometheus_client"},
}
SERVER_PARTIES = {"quart", "quart_trio", "hypercorn", "werkzeug"}
"""What the local venue, and the server under both planes, may import besides."""

CLOCKS = {
    *("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns"),
    *("time.clock_gettime", "time.clock_gettime_ns", "time.localtime", "time.gmtime"),
    *("time.perf_counter", "time.process_time", "time.thread_time"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today"),
    "datetime.date.today",
}
"""Ways to read the time of day; `time.perf_counter_ns` is for metrics and free from layer 3 on."""
CLOCK_HOME = "polytrade.runtime.inbox"
CHANCE_HOME = "polytrade.runtime.daemon"
ESCAPE = "# clock-ok: "


def module_name(file: Path) -> str:
    parts = list(file.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def layer_of(module: str) -> int | None:
    """The layer of a module, None when the table does not say."""
    if module in LAYERS:
        return LAYERS[module]
    home = module
    while "." in home:
        home = home.rpartition(".")[0]
        if home in FOLDERS:
            return LAYERS[home]
    return None


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def our_module(name: str) -> str:
    """The module of ours that an imported name is in."""
    while name not in MODULES and "." in name:
        name = name.rpartition(".")[0]
    return name


def import_faults(module: str, source: str) -> list[str]:
    """What `module` may not import, one line each."""
    layer = layer_of(module)
    if layer is None:
        return [f"{module}: no layer; add it to LAYERS"]
    allowed = set().union(*(PARTIES[below] for below in range(layer + 1)))
    if module.startswith("polytrade.sandbox") or module == "polytrade.rest_server":
        allowed |= SERVER_PARTIES
    if module == "polytrade.pytest_plugin":
        allowed |= {"pytest"}
    faults = []
    for line, name in imports(ast.parse(source)):
        top = name.partition(".")[0]
        where = f"{module}:{line}"
        if top == "polytrade":
            target = our_module(name)
            other = layer_of(target)
            if other is None or other > layer:
                faults.append(f"{where}: layer {layer} imports {target} of layer {other}")
        elif layer == 0:
            if top not in PURE:
                faults.append(f"{where}: the core imports {name}")
        elif top in sys.stdlib_module_names:
            if layer < 3 and WAITING & {top, name, ".".join(name.split(".")[:2])}:
                faults.append(f"{where}: layer {layer} imports {name}")
        elif top not in allowed:
            faults.append(f"{where}: layer {layer} imports {name}")
    return faults


def names_used(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, full dotted name) of every attribute or name that comes from an import."""
    homes: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                homes[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                homes[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        parts: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and inner.id in homes and isinstance(node, ast.expr):
            yield node.lineno, ".".join([homes[inner.id], *reversed(parts)])


def clock_faults(module: str, source: str) -> list[str]:
    """Where `module` reads a clock or draws a number that is not its to read or draw."""
    lines = source.splitlines()
    faults = []
    for line, name in sorted(set(names_used(ast.parse(source)))):
        escaped = module.startswith("polytrade.sandbox") and any(
            ESCAPE in text for text in lines[max(0, line - 2) : line]
        )
        chance = name.startswith(("random.", "uuid.")) or (
            name.startswith("secrets.") and name != "secrets.compare_digest"
        )
        if name == "random.Random" and not called(source, line):
            chance = False  # a type: the generator itself is handed in
        if name in CLOCKS and module != CLOCK_HOME and not escaped:
            faults.append(f"{module}:{line}: reads {name}")
        elif chance and module != CHANCE_HOME and not module.startswith("polytrade.sandbox"):
            faults.append(f"{module}:{line}: draws from {name}")
    return faults


def called(source: str, line: int) -> bool:
    """Whether `random.Random(...)` is called in this line."""
    return "Random(" in source.splitlines()[line - 1]


def test_modules_import_only_what_their_layer_may() -> None:
    faults = [import_faults(module, file.read_text()) for module, file in MODULES.items()]
    told = "\n".join(fault for found in faults for fault in found)
    assert not told, told


def test_modules_read_no_clock_and_draw_no_number() -> None:
    faults = [clock_faults(module, file.read_text()) for module, file in MODULES.items()]
    told = "\n".join(fault for found in faults for fault in found)
    assert not told, told


def test_table_names_no_module_that_is_gone() -> None:
    # The packages that later issues fill are named already.
    later = {"polytrade.reports", "polytrade.research"}
    assert sorted(set(LAYERS) - set(MODULES) - later) == []


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("polytrade.core.book", "import time", "the core imports time"),
        ("polytrade.core.book", "import attrs", "the core imports attrs"),
        ("polytrade.core.book", "import polytrade.config", "layer 0 imports polytrade.config of"),
        ("polytrade.core.book", "def f():\n    import os", "the core imports os"),
        ("polytrade.strict", "import trio", "layer 1 imports trio"),
        ("polytrade.strict", "from urllib import request", "layer 1 imports urllib.request"),
        ("polytrade.journal", "from concurrent import futures", "layer 2 imports concurrent"),
        ("polytrade.journal", "from polytrade.runtime import inbox", "of layer 3"),
        ("polytrade.runtime.feeds", "import quart", "layer 3 imports quart"),
        ("polytrade.runtime.feeds", "import polytrade.control.app", "of layer 4"),
        ("polytrade.unheard_of", "", "no layer"),
    ],
)
def test_fault_of_an_import_is_found(module: str, source: str, fault: str) -> None:
    (found,) = import_faults(module, source)
    assert fault in found


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import time\ntime.time_ns()", "reads time.time_ns"),
        ("from time import monotonic as m\nx = m", "reads time.monotonic"),
        ("import datetime as d\nd.datetime.now()", "reads datetime.datetime.now"),
        ("from datetime import datetime\ndatetime.now()", "reads datetime.datetime.now"),
        ("import random\nrandom.random()", "draws from random.random"),
        ("import random\nr = random.Random(1)", "draws from random.Random"),
        ("from uuid import uuid4\nuuid4()", "draws from uuid.uuid4"),
        ("import secrets\nsecrets.token_hex()", "draws from secrets.token_hex"),
        ("import time\n# clock-ok: no\ntime.time()", "reads time.time"),
    ],
)
def test_fault_of_a_clock_is_found(source: str, fault: str) -> None:
    (found,) = clock_faults("polytrade.runtime.feeds", source)
    assert found.endswith(fault)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("polytrade.runtime.inbox", "import time\ntime.time_ns()"),
        ("polytrade.runtime.daemon", "import random\nrandom.SystemRandom()"),
        ("polytrade.sandbox.servers", "import time\n# clock-ok: the venue's own\ntime.time_ns()"),
        ("polytrade.runtime.feeds", "import random\ndef f(rng: random.Random) -> None: ..."),
        ("polytrade.runtime.feeds", "import time\ntime.perf_counter_ns()"),
        ("polytrade.control.auth", "import secrets\nsecrets.compare_digest('', '')"),
    ],
)
def test_what_is_allowed_is_no_fault(module: str, source: str) -> None:
    assert clock_faults(module, source) == []
