from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from yololstm import fingerprint
from yololstm.fingerprint import code

MODULES = {
    "__init__": "",
    "work": '''
"""What computes."""
from package import shapes
from package.tools import double, unused
import numpy as np

SCALE = 3

class Worker:
    """Works."""
    def work(self, x):
        from package.late import finish
        return finish(double(x) * SCALE) + shapes.area(x)

def other(x):
    return unused(x)
''',
    "tools": """
import cv2

def double(x):
    return _twice(x)  # two times

def _twice(x):
    return 2 * x

def unused(x):
    return cv2.blur(x)
""",
    "shapes": "def area(x):\n    return x\n\ndef volume(x):\n    return x\n",
    "late": "import os, torch\n\ndef finish(x):\n    return torch.tensor(x, os.sep)\n",
    "elsewhere": "def nothing(): ...\n",
}
ROOT = "package.work:Worker"
Digest = Callable[..., str]


@pytest.fixture
def digest(tmp_path: Path) -> Digest:
    """Of the package after an edit: a module, what stands there, and what shall."""

    def make(module: str = "", old: str = "", new: str = "") -> str:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}" / "package"
        folder.mkdir(parents=True)
        for name, text in MODULES.items():
            assert name != module or old in text
            changed = text.replace(old, new) if name == module else text
            (folder / f"{name}.py").write_text(changed, encoding="utf-8")
        return code(ROOT, package=folder).digest

    return make


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        pytest.param("work", "SCALE = 3", "SCALE = 4", id="a constant"),
        pytest.param("work", "double(x) *", "double(x) +", id="the code itself"),
        pytest.param("tools", "return 2 *", "return 3 *", id="what is called by what is called"),
        pytest.param(
            "shapes", "(x):\n    return x\n\n", "(x):\n    return -x\n\n", id="a module's"
        ),
        pytest.param("late", "os.sep", "os.name", id="what is imported inside"),
        pytest.param(
            "tools", "import cv2\n", "import cv2\ncv2.setUseOptimized(False)\n", id="effect"
        ),
        pytest.param(
            "tools",
            "import cv2\n",
            "import cv2\n_WAS = cv2.setNumThreads(1)\n",
            id="assigned effect",
        ),
        pytest.param(
            "shapes",
            "def volume",
            "class A:\n    T = {}\n    T[1] = 2\n\ndef volume",
            id="class body",
        ),
        pytest.param("__init__", "", "import os\nos.umask(0)\n", id="effect of the package"),
        pytest.param(
            "shapes", "def volume", "@area\ndef volume", id="a decorator of ours may do anything"
        ),
        pytest.param(
            "tools", "def double", "import functools\n@functools.cache\ndef double", id="@"
        ),
    ],
)
def test_an_edit_of_what_computes_shows(digest: Digest, module: str, old: str, new: str) -> None:
    assert digest(module, old, new) != digest()


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        pytest.param("work", "return unused(x)", "return -unused(x)", id="other code beside it"),
        pytest.param("tools", "cv2.blur(x)", "cv2.blur(x, 1)", id="other code that is imported"),
        pytest.param("shapes", "volume(x):\n    return x", "volume(x):\n    return 1", id="module"),
        pytest.param("tools", "# two times", "# twice", id="a comment"),
        pytest.param("work", '"""Works."""', '"""Works well."""', id="a docstring"),
        pytest.param("work", "double, unused", "double, unused  # isort", id="an import line"),
        pytest.param("elsewhere", "...", "pass", id="what nobody imports"),
        pytest.param(
            "tools", "import cv2", "from __future__ import annotations\nimport cv2", id="order"
        ),
    ],
)
def test_an_edit_of_anything_else_does_not(digest: Digest, module: str, old: str, new: str) -> None:
    assert digest(module, old, new) == digest()


def test_forms_of_import(tmp_path: Path) -> None:
    """Each of these reaches area."""
    forms = [
        "import package.shapes as s\ndef work(x): return s.area(x)",
        "from package import shapes as s\ndef work(x): return s.area(x)",
        "from package import shapes\ndef work(x): return [shapes][0].area(x)",
        "from package.shapes import area as a\ndef work(x): return map(a, x)",
        "def work(x):\n    from package import shapes\n    return shapes.area(x)",
        "from package.shapes import area\nTABLE = {'area': area}\ndef work(x): return TABLE[x]",
    ]
    for number, form in enumerate(forms):
        folder = tmp_path / str(number) / "package"
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "shapes.py").write_text(MODULES["shapes"])
        (folder / "work.py").write_text(form)
        reached = code("package.work:work", package=folder).definitions
        assert ("package.shapes", "area") in reached, form


@pytest.mark.parametrize(
    ("form", "line", "problem"),
    [
        ("from .shapes import area", 1, "relative import"),
        ("from package.shapes import *", 1, "import of *"),
        ("import package.shapes", 1, "import package.shapes without as"),
        ("try:\n    import cv2\nexcept ImportError:\n    cv2 = 1", 2, "import under a condition"),
        ("if 1:\n    from package.shapes import area", 2, "import under a condition"),
        ("if TYPE_CHECKING:\n    A = 1\nelse:\n    A = 2", 4, "else of TYPE_CHECKING"),
        ("from package.shapes import area\narea = 2", 2, "area is imported and assigned"),
        ("from package.shapes import area\nimport cv2 as area", 2, "area is imported twice"),
        ("import cv2 as a\ndef work(): import torch as a", 2, "a is imported twice"),
    ],
)
def test_forms_that_cannot_be_followed(tmp_path: Path, form: str, line: int, problem: str) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "shapes.py").write_text(MODULES["shapes"])
    (folder / "work.py").write_text(f"{form}\ndef work(): ...\n" if "def" not in form else form)
    with pytest.raises(LookupError) as caught:
        code("package.work:work", package=folder)
    assert str(caught.value).startswith(f"{folder / 'work.py'}, line {line}: {problem}")


def test_what_looks_at_video() -> None:
    """Of the real package: all that computes landmarks, and nothing that only reads them."""
    found = code("yololstm.extractor:look")
    modules = {module.removeprefix("yololstm.") for module, _ in found.definitions}
    looking = (
        "detector extractor identity pose.mediapipe pose.yolo skeleton smoothing tracking video"
    )
    assert modules >= set(looking.split())
    assert modules.isdisjoint({"windows", "clips", "scaling", "datasets", "cluster", "console"})
    names = {name for _, name in found.definitions}
    assert names >= {"Detector", "Tracker", "MediaPipePose", "YoloPose", "_square_crop", "_decoded"}
    assert names.isdisjoint({"train", "build_bundle", "writing", "read_landmarks", "_RECIPE"})
    computing = {"av", "cv2", "mediapipe", "numpy", "supervision", "torch", "trackers"}
    assert found.libraries == computing | {"flatbuffers", "scipy", "ultralytics", "yaml"}
    assert all(fingerprint.versions(found.libraries).values())


def test_no_class_of_ours_acts_when_it_is_derived_from() -> None:
    """Which would be an effect that is not looked for."""
    for file in fingerprint.PACKAGE.rglob("*.py"):
        assert file.name == "fingerprint.py" or "__init_subclass__" not in file.read_text("utf-8")


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(LookupError, match="binds no 'Extracto'"):
        code("yololstm.extractor:Extracto")
