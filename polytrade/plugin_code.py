"""What plugin code may not do, by its syntax; what it raises, and where that came from.

An import inside a function of an old generation would fetch the modules of the new one: plugins
import at module level.
"""

import ast
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from polytrade.core.judging import place_of
from polytrade.import_limit import Overdue

REASON_MAX: Final = 300
"""Characters kept of an error's text: a line for a log and an answer."""
LINE_MAX: Final = 80
"""Characters kept of a line of code."""
CANCELLED: Final = ("trio", "Cancelled")
"""The module and the name of what cancels a task: code below the runtime imports no trio."""


class RefusedCode(Exception):
    """Code that a plugin may not have."""


def check_code(source: bytes, place: str) -> None:
    """RefusedCode for an import inside a function, with its line; SyntaxError passes through.

    `place` is that of `judging.place_of`.
    """
    tree = ast.parse(source, place)
    for line in sorted(_inner_imports(tree)):
        where = f"({place}, line {line})"
        raise RefusedCode(f"import inside a function {where}: plugins import at module level")


def _inner_imports(tree: ast.AST) -> Iterator[int]:
    for outer in ast.walk(tree):
        if not isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        for node in ast.walk(outer):
            if isinstance(node, ast.Import | ast.ImportFrom) or (
                isinstance(node, ast.Call) and _called(node.func) in ("__import__", "import_module")
            ):
                yield node.lineno


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def pass_on(error: BaseException) -> None:
    """Raise again what is no plugin's fault: Ctrl-C, a cancellation, an import that is overdue.

    For a handler of BaseException around plugin code, before anything else in it. The rest is the
    plugin's and must not end the process: `sys.exit`, a panic of an extension written in Rust.
    """
    kind = type(error)
    if issubclass(kind, KeyboardInterrupt | Overdue) or (
        (kind.__module__, kind.__qualname__) == CANCELLED
    ):
        raise error


@contextmanager
def faults_dropped() -> Iterator[None]:
    """What plugin code raises in the block ends the block, and is not told."""
    try:
        yield
    except BaseException as error:
        pass_on(error)


def text_of(error: BaseException, otherwise: str = "") -> str:
    """What an error says of itself; `otherwise` when its own `__str__` raises."""
    with faults_dropped():
        otherwise = str(error)
    return otherwise


def last_line(error: BaseException) -> str:
    """The traceback's last line, and the innermost line of plugin code it came through.

    Printable, on one line: `KeyError: 'x' (polytrade_glft/maker.py, line 7: self.held["x"])`.
    """
    text = text_of(error)
    place = ""
    if isinstance(error, SyntaxError) and isinstance(error.filename, str) and error.lineno:
        text = error.msg
        # Code of a plugin has its place here; of what it needs, the path says nothing.
        file = error.filename.rpartition("/")[2] if error.filename[:1] == "/" else error.filename
        place = _place(file, error.lineno, error.text or "")
    elif not isinstance(error, RefusedCode):  # which says its place
        for frame, line in traceback.walk_tb(error.__traceback__):
            # Only code that was loaded as a plugin has a loader with a digest.
            loader: Any = frame.f_globals.get("__loader__")
            if hasattr(loader, "digest"):
                code = loader.get_source(loader.name).split("\n")[line - 1 : line]
                file = place_of(loader.name, frame.f_code.co_filename)
                place = _place(file, line, "".join(code))
    said = f"{type(error).__name__}: {text}".partition("\n")[0].rstrip(": ")
    return _plain(said)[:REASON_MAX] + place


def _place(file: str, line: int, code: str) -> str:
    text = _plain(code.strip())
    text = text if len(text) <= LINE_MAX else text[: LINE_MAX - 3] + "..."
    return f" ({file}, line {line}: {text})" if text else f" ({file}, line {line})"


def _plain(text: str) -> str:
    """The text as any log and any answer can hold it."""
    return "".join(each if each.isprintable() else " " for each in text)
