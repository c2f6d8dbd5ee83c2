from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from yololstm import inventory, weights
from yololstm.errors import DataError
from yololstm.inventory import Model
from yololstm.storage import sha256


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What DVC itself writes of a file and of a folder that a stage puts out."""
    root = tmp_path_factory.mktemp("tracked")
    (root / "make.py").write_text(
        "from pathlib import Path\n"
        "Path('one.bin').write_bytes(bytes(range(256)) * 9000)\n"
        "for name in ('b.txt', 'a/c.txt', 'a-b.txt', '가.txt'):\n"
        "    path = Path('many', name)\n"
        "    path.parent.mkdir(parents=True, exist_ok=True)\n"
        "    path.write_text(name)\n"
    )
    stage = {"cmd": f"{sys.executable} make.py", "outs": ["one.bin", "many"]}
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"make": stage}}))
    for command in (["init", "--no-scm", "--quiet"], ["repro", "--quiet"]):
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=root, check=True)
    return root


def locked(tracked: Path, name: str) -> str:
    (out,) = [
        out["md5"]
        for out in yaml.safe_load((tracked / "dvc.lock").read_text())["stages"]["make"]["outs"]
        if out["path"] == name
    ]
    return str(out)


@pytest.mark.parametrize("name", ["one.bin", "many"])
def test_sums_are_those_of_dvc(tracked: Path, name: str) -> None:
    assert inventory.dvc_md5(tracked / name) == locked(tracked, name)


def test_lock_is_held_against_outputs_and_what_lies_in_them(
    tracked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tracked)
    for path in (Path("one.bin"), Path("many"), Path("many/b.txt")):
        verdict = inventory.verify(Model("a", path))
        assert (verdict.said_by, verdict.problem) == ("dvc.lock", None)
    assert inventory.verify(Model("a", Path("make.py"))).said_by == ""

    Path("many/b.txt").unlink()
    Path("many/b.txt").write_text("other")
    verdict = inventory.verify(Model("a", Path("many/b.txt")))
    assert verdict.problem is not None
    assert "of which dvc.lock has the checksum" in verdict.problem.problem


def test_what_is_said_goes_before_what_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("own.pt")
    absent = inventory.verify(Model("a", path, remedy="Fetch it"))
    assert str(absent.problem) == "own.pt: it is not there. Fetch it."
    path.write_bytes(b"weights")
    assert inventory.verify(Model("a", path)).said_by == ""
    weights.record(path)
    verdict = inventory.verify(Model("a", path))
    assert (verdict.said_by, verdict.likeness) == ("own.pt.sha256", "as own.pt.sha256 says")
    said = Model("a", path, sha256(path).upper(), "params.yaml")
    assert inventory.verify(said).said_by == "params.yaml"
    assert inventory.verify(said).problem is None

    path.write_bytes(b"damaged")
    for model in (said, Model("a", path)):
        verdict = inventory.verify(model)
        assert verdict.problem is not None
        assert verdict.sha256 == sha256(path)
    Path("own.pt.sha256").write_text("?")
    assert inventory.verify(Model("a", path)).problem is not None


def test_what_was_trusted_when_it_was_fetched_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "pub.pt"
    path.write_bytes(b"weights")
    fetched = Model("a", path, is_fetched=True)
    assert inventory.verify(fetched).likeness == ""
    weights.record(path)
    assert inventory.verify(fetched).likeness == "as when it was fetched"
    known = Model("a", path, sha256(path), "yololstm itself", is_fetched=True)
    assert inventory.verify(known).likeness == "as yololstm itself says"


@pytest.mark.parametrize("content", ["", "stages: 1\n", "{", "stages: {make: {outs: [1]}}\n"])
def test_damaged_lock(tmp_path: Path, content: str) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_text(content)
    with pytest.raises(DataError, match=r"no lock of DVC's .*git checkout"):
        inventory.locked_md5(Path("one.bin"), lock)
