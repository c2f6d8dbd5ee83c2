"""Who imports whom, read from the source of yololstm/ and stages/ without running it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


def package_modules() -> list[str]:
    """Dotted names of every module of the package; a package stands for its __init__."""
    files = sorted((ROOT / "yololstm").rglob("*.py"))
    return [_name(file) for file in files]


def stage_files() -> list[Path]:
    return sorted((ROOT / "stages").glob("*.py"))


def file_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def imports(file: Path) -> frozenset[str]:
    """Every module that a file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{file}: relative import"
            found.update(_resolve(node.module, alias.name) for alias in node.names)
    return frozenset(found)


def own_imports(file: Path) -> frozenset[str]:
    """The modules of ours among them."""
    return frozenset(name for name in imports(file) if name.split(".")[0] == "yololstm")


def closure(file: Path) -> set[Path]:
    """All files of ours whose code a file runs: imports of imports, and the packages above them."""
    seen = {file}
    queue = [file]
    while queue:
        for module in own_imports(queue.pop()):
            for reached in _with_parents(module):
                if (path := file_of(reached)) not in seen:
                    seen.add(path)
                    queue.append(path)
    return seen


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _resolve(module: str, name: str) -> str:
    """`from yololstm import video` imports yololstm.video, not yololstm."""
    inner = f"{module}.{name}"
    return inner if module.startswith("yololstm") and file_of(inner).is_file() else module


def _name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
