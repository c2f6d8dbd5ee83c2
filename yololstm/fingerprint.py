"""What computes a result: the code that a function can reach, and the libraries it calls.

Two results of the same input may be taken for the same where these are the same. An edit of other
code, of a comment or of a docstring changes nothing here; any other edit of what is reached does.

Read from the source, without running it. That is sound for code written as ours is: what a
definition uses, it names. Imports of forms that are not followed here are refused with a
LookupError. What it does not see: names made at run time, as by getattr; files that are read;
effects of deriving from a class, as by a metaclass; and modules of ours that change others but that
nothing reached imports.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.metadata
import re
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
_IMPORTS: Final = (ast.Import, ast.ImportFrom)
_PURE: Final = re.compile(
    "ContextVar|Field|ParamSpec|Path|Struct|TypeVar|array|auto|compile|dict|enumerate|field"
    "|frozenset|fromkeys|get_args|index|items|len|replace|str|tuple|upper"
)
"""Calls that do no more than to make a value."""


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

    roots: ``module:name``, as in ``yololstm.extractor:look``. LookupError where there is none, and
    for imports that cannot be followed.
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
    path: Path
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
            self._modules[name] = module = _parsed(self._file(name), self.package.name)
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
        if name not in found.bound and (target := found.imports.get(name)):
            self._reach_import(*target)

    def _reach_all(self, module: str) -> None:
        for name in self.module(module).bound:
            self.reach(module, name)

    def _reach_import(self, module: str, name: str) -> None:
        """name: empty where it is the module itself that is meant, whole."""
        if not self._enter(module):
            self._libraries.update({module.partition(".")[0]} - sys.stdlib_module_names)
        elif name:
            self.reach(module, name)
        else:
            self._reach_all(module)

    def _keep(self, module: str, i: int) -> None:
        if i in self._kept[module]:
            return
        self._kept[module].add(i)
        found = self._modules[module]
        statement = found.statements[i]
        known = found.imports
        if not isinstance(statement, _IMPORTS):
            inner = _imports(found.path, self.package.name, ast.walk(statement), known)
            self._enter_imports(inner)
            known = {**known, **inner}
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


def _parsed(path: Path, package: str) -> _Module:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bound: dict[str, list[int]] = defaultdict(list)
    statements = [statement for statement in tree.body if not _is_for_types(path, statement)]
    imports = _imports(path, package, statements, {})
    for i, statement in enumerate(statements):
        _check_followed(path, statement)
        for name in _bound(statement):
            if name in imports:
                raise _refusal(path, statement, f"{name} is imported and assigned")
            bound[name].append(i)
    ours = {*bound, *(name for name, (module, _) in imports.items() if module.startswith(package))}
    effects = [i for i, statement in enumerate(statements) if _has_effect(statement, ours)]
    return _Module(path, statements, bound, imports, effects)


def _is_for_types(path: Path, statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.If) or ast.unparse(statement.test) != "TYPE_CHECKING":
        return False
    if statement.orelse:
        raise _refusal(path, statement.orelse[0], "else of TYPE_CHECKING")
    return True


def _check_followed(path: Path, statement: ast.stmt) -> None:
    if isinstance(statement, (*_FUNCTIONS, *_IMPORTS, ast.ClassDef)):
        return
    for node in ast.walk(statement):
        if isinstance(node, _IMPORTS):
            raise _refusal(path, node, "import under a condition")


def _refusal(path: Path, node: ast.stmt, what: str) -> LookupError:
    return LookupError(f"{path}, line {node.lineno}: {what}")


def _imports(
    path: Path, package: str, nodes: Iterable[ast.AST], known: Mapping[str, tuple[str, str]]
) -> dict[str, tuple[str, str]]:
    """known: those above, which these may repeat but not contradict."""
    found: dict[str, tuple[str, str]] = {}
    for node in nodes:
        if not isinstance(node, _IMPORTS):
            continue
        for name, target in _imported(path, package, node):
            if target != known.get(name, target) or target != found.get(name, target):
                raise _refusal(path, node, f"{name} is imported twice, from different places")
            found[name] = target
    return found


def _imported(
    path: Path, package: str, node: ast.Import | ast.ImportFrom
) -> Iterator[tuple[str, tuple[str, str]]]:
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise _refusal(path, node, "relative import")
            if alias.name == "*":
                raise _refusal(path, node, "import of *")
            yield alias.asname or alias.name, (node.module, alias.name)
        elif alias.asname:
            yield alias.asname, (alias.name, "")
        else:
            top, _, rest = alias.name.partition(".")
            if rest and top == package:
                raise _refusal(path, node, f"import {alias.name} without as")
            yield top, (top, "")


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
        case ast.ClassDef(body=body) if any(_has_effect(inner, ours) for inner in body):
            return True
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            used = {name for decorator in statement.decorator_list for name, _ in _names(decorator)}
            return not used.isdisjoint(ours)
        case ast.Assign(targets=targets, value=value):
            parts = [
                part for t in targets for part in (t.elts if isinstance(t, ast.Tuple) else [t])
            ]
            return not all(isinstance(part, ast.Name) for part in parts) or _calls(value, ours)
        case ast.AnnAssign(target=target, value=value):
            return not isinstance(target, ast.Name) or (value is not None and _calls(value, ours))
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()) | ast.Pass():
            return False
        case _:
            return True


def _calls(value: ast.expr, ours: set[str]) -> bool:
    """Whether it calls anything that may have an effect."""
    called = [node.func for node in ast.walk(value) if isinstance(node, ast.Call)]
    return not all(
        _PURE.fullmatch(ast.unparse(function).rpartition(".")[2])
        and not (isinstance(function, ast.Name) and function.id in ours)
        for function in called
    )


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
