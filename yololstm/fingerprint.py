"""What computes a result: the code that a function can reach, and the libraries it calls.

Two results of the same input may be taken for the same where these are the same. An edit of other
code, of a comment or of a docstring changes nothing here; any other edit of what is reached does.

Read from the source, without running it. That is sound for code written as ours is: what a
definition uses, it names. What it does not see is a name made at run time, as by getattr.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.metadata
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parent
_DISTRIBUTIONS: Final = {"cv2": "opencv-python"}
"""Of modules that are not named like theirs."""
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Code:
    digest: str
    """sha256 of all definitions that were reached."""
    definitions: frozenset[tuple[str, str]]
    """Module and name of each, for people to look at."""
    libraries: frozenset[str]
    """Top-level modules of others that they call, such as ``cv2``; not the standard library."""


@functools.cache
def code(*roots: str, package: Path = PACKAGE) -> Code:
    """What the roots reach within a package, from name to name, through all of its modules.

    roots: ``module:name``, as in ``yololstm.extractor:Extractor``. LookupError where there is none.
    """
    reader = _Reader(package)
    for root in roots:
        module, _, name = root.partition(":")
        if name not in reader.module(module).bound:
            raise LookupError(f"{module} binds no {name!r}")
        reader.reach(module, name)
    return reader.read()


@functools.cache
def versions(modules: frozenset[str]) -> dict[str, str]:
    """The version of the distribution that a top-level module comes from; empty where none is
    installed."""
    return {name: _version(name) for name in sorted(modules)}


def _version(module: str) -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(_DISTRIBUTIONS.get(module, module))
    # Half a second: it looks through the files of all that is installed.
    owners = importlib.metadata.packages_distributions().get(module, ())
    return " ".join(importlib.metadata.version(owner) for owner in sorted(set(owners)))


@dataclass(frozen=True)
class _Module:
    statements: list[ast.stmt]
    bound: Mapping[str, list[int]]
    """The statements of the top level that bind a name."""
    imports: Mapping[str, tuple[str, str]]
    """Names that stand for another module, or for (module, name) in it."""
    effects: list[int]
    """Statements that do more than to bind names: they count wherever the module is imported."""


@dataclass
class _Reader:
    package: Path
    _modules: dict[str, _Module] = field(default_factory=dict)
    _kept: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    _seen: set[tuple[str, str]] = field(default_factory=set)
    _libraries: set[str] = field(default_factory=set)

    def read(self) -> Code:
        digest = sha256()
        for module, kept in sorted(self._kept.items()):
            digest.update(f"{module}\n".encode())
            for i in sorted(kept):
                said = ast.dump(_without_docstrings(self._modules[module].statements[i]))
                digest.update(f"{said}\n".encode())
        reached = {(m, name) for m, name in self._seen if name in self._modules[m].bound}
        return Code(digest.hexdigest(), frozenset(reached), frozenset(self._libraries))

    def module(self, name: str) -> _Module:
        """Parsed at its first mention, which is when what its import does counts."""
        if name not in self._modules:
            tree = ast.parse(self._file(name).read_text(encoding="utf-8"))
            self._modules[name] = module = _parsed(tree, self.package.name)
            for i in module.effects:
                self._keep(name, i)
            self._enter(name.rpartition(".")[0])
            self._enter_imports(module.imports)
        return self._modules[name]

    def reach(self, module: str, name: str) -> None:
        if (module, name) in self._seen or not self._enter(module):
            return
        self._seen.add((module, name))
        if self._is_ours(f"{module}.{name}"):
            self._reach_all(f"{module}.{name}")
        found = self.module(module)
        for i in found.bound.get(name, ()):
            self._keep(module, i)
        if name not in found.bound and (target := found.imports.get(name, found.imports.get("*"))):
            self._reach_import(*target)

    def _reach_all(self, module: str) -> None:
        for name in self.module(module).bound:
            self.reach(module, name)

    def _reach_import(self, module: str, name: str) -> None:
        """name: empty where it is the module itself that is meant, whole."""
        if not self._enter(module):
            self._libraries.update({module.partition(".")[0]} - sys.stdlib_module_names)
        elif name in ("", "*"):
            self._reach_all(module)
        else:
            self.reach(module, name)

    def _keep(self, module: str, i: int) -> None:
        if i in self._kept[module]:
            return
        self._kept[module].add(i)
        found = self._modules[module]
        statement = found.statements[i]
        inner = _imports(ast.walk(statement))
        self._enter_imports(inner)
        known = {**found.imports, **inner}
        for name, attribute in _names(statement):
            if name not in known:
                self.reach(module, name)
                continue
            other, other_name = known[name]
            whole = f"{other}.{other_name}".rstrip(".")
            if attribute and self._is_ours(whole):
                self.reach(whole, attribute)
            else:
                self._reach_import(other, other_name)

    def _enter_imports(self, imports: Mapping[str, tuple[str, str]]) -> None:
        for module, name in imports.values():
            self._enter(module)
            self._enter(f"{module}.{name}")

    def _enter(self, module: str) -> bool:
        """Whether it is ours; if so, its import counts from now on."""
        if ours := self._is_ours(module):
            self.module(module)
        return ours

    def _is_ours(self, module: str) -> bool:
        return module.partition(".")[0] == self.package.name and self._file(module).is_file()

    def _file(self, module: str) -> Path:
        path = self.package.joinpath(*module.split(".")[1:])
        return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _parsed(tree: ast.Module, package: str) -> _Module:
    bound: dict[str, list[int]] = defaultdict(list)
    imports: dict[str, tuple[str, str]] = {}
    statements = [statement for statement in tree.body if not _is_for_types(statement)]
    for i, statement in enumerate(statements):
        for name in _bound(statement):
            bound[name].append(i)
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports |= _imports([statement])
    ours = {*bound, *(name for name, (module, _) in imports.items() if module.startswith(package))}
    effects = [i for i, statement in enumerate(statements) if _has_effect(statement, ours)]
    return _Module(statements, bound, imports, effects)


def _is_for_types(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"


def _imports(nodes: Iterable[ast.AST]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                # `import a.b` binds a, and a.b is an attribute of it: all of a.b counts as used.
                whole = "*" if "." in alias.name and not alias.asname else ""
                found[alias.asname or alias.name.partition(".")[0]] = (alias.name, whole)
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise LookupError(f"relative import in line {node.lineno}")
            for alias in node.names:
                found[alias.asname or alias.name] = (node.module, alias.name)
    return found


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return set()
    return {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _has_effect(statement: ast.stmt, ours: set[str]) -> bool:
    """Whether it may change more than the names that it binds; a decorator of ours may."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            used = {name for decorator in statement.decorator_list for name, _ in _names(decorator)}
            return not used.isdisjoint(ours)
        case ast.Assign(targets=targets):
            return not all(isinstance(target, ast.Name | ast.Tuple) for target in targets)
        case ast.AnnAssign(target=target):
            return not isinstance(target, ast.Name)
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return False
        case _:
            return True


def _names(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each name that is used, and the attribute that is asked of it, if that is all it is for."""
    asked = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            asked.add(node.value)
            yield node.value.id, node.attr
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node not in asked:
            yield node.id, ""


def _without_docstrings(statement: ast.stmt) -> ast.stmt:
    for node in ast.walk(statement):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            said = [s for s in body if not _is_text(s)]
            node.body = said or [ast.Pass()]  # type: ignore[attr-defined]
    return statement


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
