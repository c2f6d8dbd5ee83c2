"""Which packages that this one names are there, and which extra brings those that are not."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from packaging.requirements import Requirement

ITSELF: Final = "yololstm"
_DISTRIBUTIONS: Final[Mapping[str, str]] = {
    "cv2": "opencv-python",
    "dask": "distributed",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
"""Of modules that are called otherwise."""
TORCH: Final = frozenset({"safetensors", "torch", "torchvision", "ultralytics"})
"""Packages that ``yololstm run --runtime onnx`` does without."""


@dataclass(frozen=True)
class Package:
    name: str
    extra: str
    """"" for what it takes to run."""
    version: str
    """"" where it is not installed."""
    is_right: bool
    """It is installed, in a version that may be."""


def packages() -> list[Package]:
    """Everything that the metadata of this package names, those of dev apart."""
    metadata = importlib.metadata.metadata(ITSELF)
    extras = [name for name in metadata.get_all("Provides-Extra") or [] if name != "dev"]
    found = []
    for line in metadata.get_all("Requires-Dist") or []:
        requirement = Requirement(line)
        for extra in _extras_of(requirement, extras):
            version = _version(requirement.name)
            is_right = bool(version) and requirement.specifier.contains(version, prereleases=True)
            found.append(Package(requirement.name, extra, version, is_right))
    return found


def remedy(module: str) -> str:
    """How to get a module that cannot be imported; "" where it is none that this package names, or
    where it is there."""
    name = _normalized(_DISTRIBUTIONS.get(top := module.partition(".")[0], top))
    for package in packages():
        if _normalized(package.name) == name and not package.version:
            without = "; yololstm run --runtime onnx does without" if name in TORCH else ""
            return install(package.extra) + without
    return ""


def install(extra: str) -> str:
    """No index is known to have it: it comes from a clone or from a wheel that somebody built."""
    wanted = f"[{extra}]" if extra else ""
    return f"pip install '.{wanted}' in its clone, or its 'WHEEL{wanted}'"


def _normalized(name: str) -> str:
    return name.replace("_", "-").lower()


def _extras_of(requirement: Requirement, extras: list[str]) -> list[str]:
    marker = requirement.marker
    if marker is None or marker.evaluate({"extra": ""}):
        return [""]
    return [extra for extra in extras if marker.evaluate({"extra": extra})]


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
