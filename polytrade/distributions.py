"""Installed plugins as they are on disk, and their code imported afresh.

What is imported is compiled from the very bytes that were digested: no bytecode file is read or
written, so that an edit within the same second and of the same size is new code.
"""

import csv
import hashlib
import importlib
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import Distribution, EntryPoint, distributions
from importlib.util import decode_source
from pathlib import Path, PurePosixPath
from types import CodeType, ModuleType
from typing import Any, Final

import attrs

from polytrade.core.judging import place_of
from polytrade.plugin_code import RefusedCode, check_code

GROUP: Final = "polytrade"
"""The entry-point group."""
FILES_MAX: Final = 2_000
"""Files of one plugin: a hundred times the largest of ours."""
BYTES_MAX: Final = 64 << 20
"""Bytes of one plugin's files, its data among them."""
UNREADABLE: Final = (OSError, ValueError, TypeError, csv.Error)
"""What reading the metadata of a distribution raises that an interrupted pip left."""
PLUGINS_MAX: Final = 256
"""Plugins of one environment: those beyond are refused."""


@attrs.frozen
class Source:
    """A plugin as it is installed: its module, its distribution, the packages it owns.

    `digest` is the sha256 (hex) over the files of `packages`, `code` their Python sources by path.
    `problem` says why it cannot be loaded, empty when it may.
    """

    name: str
    module: str
    distribution: str
    version: str
    packages: tuple[str, ...] = ()
    digest: str = ""
    problem: str = ""
    code: Mapping[str, bytes] = attrs.field(factory=dict, repr=False)

    @property
    def line(self) -> str:
        """The version and the code, as journals name them: `1.2.0+sha256:0123456789ab`."""
        return f"{self.version}+sha256:{self.digest[:12]}"


def find_plugins(disabled: Collection[str] = ()) -> dict[str, Source]:
    """Every plugin that an installed distribution declares, by name in sorted order.

    Never raises for what is wrong with one: its `problem` says it.
    """
    importlib.invalidate_caches()
    declared: dict[str, list[tuple[EntryPoint, Distribution]]] = {}
    twice: dict[str, str] = {}
    first: dict[str, Distribution] = {}
    torn: dict[str, Source] = {}
    for found in distributions():
        try:
            points = [point for point in found.entry_points if point.group == GROUP]
            name = _name_of(found) if points else ""
        except UNREADABLE as error:
            torn |= _torn(found, error)
            continue
        if not points:
            continue
        if name in first:
            # The first on the path is the one that is imported; beside each other in one folder
            # they are what an interrupted pip leaves.
            if found.locate_file("") == first[name].locate_file(""):
                both = sorted((_version_of(first[name]), _version_of(found)))
                twice[name] = f"{name} is installed twice: {' and '.join(both)}"
            continue
        first[name] = found
        for point in points:
            declared.setdefault(point.name, []).append((point, found))
    plugins: dict[str, Source] = {}
    for name in sorted(declared):
        if name in disabled:
            continue
        (point, home), *others = declared[name]
        problem = twice.get(_name_of(home), "")
        if others:
            homes = sorted(f"{_name_of(it)} {_version_of(it)}" for _, it in declared[name])
            problem = f"declared by {' and by '.join(homes)}"
        elif len(plugins) >= PLUGINS_MAX:
            problem = f"expected at most {PLUGINS_MAX} plugins, found more"
        try:
            plugins[name] = _source(point, home, problem)
        except UNREADABLE as error:
            said = f"half installed: {type(error).__name__}: {error}"
            plugins[name] = Source(point.name, point.value, _name_of(home), "unknown", problem=said)
    return plugins | {name: it for name, it in torn.items() if name not in {*plugins, *disabled}}


def _torn(found: Distribution, error: Exception) -> dict[str, Source]:
    """A distribution whose metadata an interrupted pip left, if it may be one with plugins."""
    declares = b""
    with suppress(OSError):
        declares = _located(found, f"{_folder_of(found)}/entry_points.txt").read_bytes()
    if f"[{GROUP}]".encode() not in declares:
        return {}
    name = _name_of(found)
    said = f"half installed: {type(error).__name__}: {error}"
    return {name: Source(name, "", name, "unknown", problem=said)}


def _name_of(found: Distribution) -> str:
    """The distribution's name: that of its folder where the METADATA does not say it."""
    return _metadata(found, "Name") or _folder_of(found).partition("-")[0].replace("_", "-")


def _version_of(found: Distribution) -> str:
    return _metadata(found, "Version") or "unknown"


def _folder_of(found: Distribution) -> str:
    """The name of the folder with the metadata, such as `polytrade_glft-1.2.0.dist-info`."""
    return Path(str(getattr(found, "_path", "unknown"))).name


def _metadata(found: Distribution, key: str) -> str:
    """What the METADATA says, empty when it is missing or cannot be read."""
    try:
        values: list[str] = found.metadata.get_all(key) or []
    except UNREADABLE:
        return ""
    return values[0] if values else ""


def _source(point: EntryPoint, home: Distribution, problem: str) -> Source:
    plain = Source(point.name, point.value, _name_of(home), _version_of(home), problem=problem)
    if problem:
        return plain
    torn = _wrong_metadata(home)
    if torn:
        return attrs.evolve(plain, problem=f"half installed: {torn}")
    recorded = _recorded(home)
    missing = [name for name in recorded if not _located(home, name).exists()]
    if missing:
        shown = ", ".join(missing[:3])
        return attrs.evolve(plain, problem=f"half installed: {shown} of its RECORD is missing")
    top = point.value.partition(".")[0]
    if ":" in point.value or not all(part.isidentifier() for part in point.value.split(".")):
        return attrs.evolve(plain, problem=f"expected a module, found {point.value!r}")
    if top == "polytrade" or top in sys.stdlib_module_names:
        return attrs.evolve(plain, problem=f"expected a module of its own, found {point.value!r}")
    spec = _find_spec(top, None)
    if spec is None and _follow_paths(home, recorded):
        spec = _find_spec(top, None)
    if spec is None:
        reason = f"half installed: its module {point.value!r} is not there"
        return attrs.evolve(plain, problem=reason)
    specs = {top: spec, **_beside(home, recorded, top)}
    try:
        digest, code = _read(specs)
    except (OSError, ValueError) as error:
        return attrs.evolve(plain, problem=f"cannot be read: {error}")
    return attrs.evolve(plain, packages=tuple(specs), digest=digest, code=code)


def _wrong_metadata(home: Distribution) -> str:
    """Why the METADATA does not say a name and a version, empty when it does."""
    try:
        whole = all(home.metadata.get_all(key) for key in ("Name", "Version"))
    except UNREADABLE as error:
        return f"{_folder_of(home)}/METADATA: {type(error).__name__}: {error}"
    return "" if whole else "its METADATA is missing"


def _recorded(home: Distribution) -> list[str]:
    """The files of RECORD, compiled ones left out: they may go at any time."""
    text = home.read_text("RECORD") or ""
    rows = [row[0] for row in csv.reader(text.splitlines()) if row]
    return [name for name in rows if not name.endswith(".pyc")]


def _follow_paths(home: Distribution, recorded: Iterable[str]) -> bool:
    """Put the folders of an editable installation on `sys.path`, as the next start would.

    Lines of a `.pth` file that are code are not run.
    """
    added = False
    for name in recorded:
        if not name.endswith(".pth"):
            continue
        for line in _located(home, name).read_text().splitlines():
            folder = line.strip()
            if folder and Path(folder).is_dir() and folder not in sys.path:
                sys.path.append(folder)
                added = True
    if added:
        importlib.invalidate_caches()
    return added


def _located(home: Distribution, name: str) -> Path:
    return Path(str(home.locate_file(name)))


def _beside(home: Distribution, recorded: Iterable[str], top: str) -> dict[str, ModuleSpec]:
    """The distribution's other packages: they are the plugin's code, too."""
    folder = _located(home, "").resolve()
    names: set[str] = set()
    for name in recorded:
        parts = PurePosixPath(name).parts
        if name.endswith(".py") and parts[0] != "..":
            names.add(parts[0].removesuffix(".py"))
    specs: dict[str, ModuleSpec] = {}
    for name in sorted(names - {top, "polytrade"} - sys.stdlib_module_names):
        spec = _find_spec(name, None) if name.isidentifier() else None
        if spec is not None and all(folder in root.parents for root in _roots(spec)):
            specs[name] = spec
    return specs


def _roots(spec: ModuleSpec) -> list[Path]:
    """The folders of a package, or the file of a module."""
    if spec.submodule_search_locations is not None:
        return [Path(folder).resolve() for folder in spec.submodule_search_locations]
    return [Path(spec.origin).resolve()] if spec.origin else []


def _read(specs: Mapping[str, ModuleSpec]) -> tuple[str, dict[str, bytes]]:
    """The digest of all files of the packages, and the Python sources among them by path."""
    digest = hashlib.sha256()
    code: dict[str, bytes] = {}
    files = size = 0
    for name, spec in specs.items():
        for root in _roots(spec):
            found = sorted(root.rglob("*")) if root.is_dir() else [root]
            for file in found:
                if "__pycache__" in file.parts or not file.is_file():
                    continue
                files += 1
                size += file.stat().st_size
                if files > FILES_MAX or size > BYTES_MAX:
                    raise ValueError(f"expected at most {FILES_MAX} files and {BYTES_MAX} bytes")
                data = file.read_bytes()
                relative = file.relative_to(root).as_posix() if root.is_dir() else file.name
                digest.update(f"{name}\0{relative}\0{len(data)}\0".encode() + data)
                if file.suffix == ".py":
                    code[str(file)] = data
    return digest.hexdigest(), code


def _find_spec(name: str, path: Any, but: object = None) -> ModuleSpec | None:
    """What the import system would import, without a look at what is imported already."""
    for finder in list(sys.meta_path):
        find = getattr(finder, "find_spec", None)
        if finder is but or find is None:
            continue
        spec: ModuleSpec | None = find(name, path, None)
        if spec is not None:
            return spec
    return None


class FreshLoader(SourceFileLoader):
    """Runs a module from bytes that were read before; `digest` is that of its plugin."""

    def __init__(self, name: str, path: str, source: bytes, digest: str) -> None:
        super().__init__(name, path)
        self.digest = digest
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        """Compile anew, after a look for what plugins may not do."""
        place = place_of(fullname, self.path)
        check_code(self._source, place)
        try:
            code: CodeType = self.source_to_code(self._source, self.path)
        except SyntaxError as error:
            error.filename = place
            raise
        return code

    def get_source(self, fullname: str) -> str:
        """The text that runs, whatever the file says by now."""
        return decode_source(self._source)


class FreshFinder(MetaPathFinder):
    """Finds the modules of some plugins where the others find them, with code from `sources`."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._digests: dict[str, str] = {}
        self._code: dict[str, bytes] = {}
        for source in sources:
            self._digests |= dict.fromkeys(source.packages, source.digest)
            self._code |= source.code

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """The module's place, and our loader for it."""
        digest = self._digests.get(fullname.partition(".")[0])
        if digest is None:
            return None
        spec = _find_spec(fullname, path, self)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            file = str(Path(spec.loader.path).resolve())
            source = self._code.get(file)
            if source is None:
                raise RefusedCode(f"{file} came after the plugin was read")
            spec.loader = FreshLoader(fullname, file, source, digest)
            spec.cached = None
        return spec


def package_of(name: str) -> str:
    """The top of a module's dotted name."""
    return name.partition(".")[0]


def loaded(packages: Collection[str]) -> dict[str, ModuleType]:
    """The modules of these packages in `sys.modules`."""
    found = list(sys.modules.items())
    return {name: module for name, module in found if package_of(name) in packages}


def put_modules(packages: Collection[str], modules: Mapping[str, ModuleType]) -> None:
    """Make `sys.modules` hold these modules of the packages, and no others of them."""
    for name in loaded(packages):
        if name not in modules:
            sys.modules.pop(name, None)
    for name, module in modules.items():
        if sys.modules.get(name) is not module:
            sys.modules[name] = module


@contextmanager
def modules_in_force(
    packages: Collection[str], modules: Mapping[str, ModuleType]
) -> Iterator[None]:
    """`put_modules` for the duration of a block: afterwards `sys.modules` has exactly the modules
    of these packages that it had before.
    """
    before = loaded(packages)
    put_modules(packages, modules)
    try:
        yield
    finally:
        put_modules(packages, before)


@contextmanager
def fresh_code(sources: Iterable[Source]) -> Iterator[None]:
    """Imports of these plugins' packages run the sources as they were read, for a block."""
    finder = FreshFinder(sources)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
