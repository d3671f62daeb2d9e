"""What plugin code may not do, by its syntax; and where in it an error came from.

An import inside a function of an old generation would fetch the modules of the new one: plugins
import at module level.
"""

import ast
import traceback
from collections.abc import Iterator
from typing import Final

REASON_MAX: Final = 300
"""Characters kept of an error's text: a line for a log and an answer."""


class RefusedCode(Exception):
    """Code that a plugin may not have."""


def check_code(source: bytes, path: str) -> None:
    """RefusedCode for an import inside a function, with its line; SyntaxError passes through."""
    tree = ast.parse(source, path)
    for line in sorted(_inner_imports(tree)):
        raise RefusedCode(f"import inside a function, line {line}: plugins import at module level")


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


def last_line(error: BaseException) -> str:
    """The traceback's last line, and the innermost line of plugin code it came through."""
    text = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(": ")[:REASON_MAX]
    if isinstance(error, SyntaxError):
        return text  # says its file and line itself
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        # Only code that was loaded as a plugin has a loader with a digest.
        if hasattr(frame.f_globals.get("__loader__"), "digest"):
            place = f" ({frame.f_code.co_filename.rpartition('/')[2]}, line {line})"
    return text + place
