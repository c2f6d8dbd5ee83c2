from __future__ import annotations

from pathlib import Path

import pytest

from tests import drawn
from tests.detecting import train
from yololstm import detector_training
from yololstm.errors import AnnotationError, EmptyError, WeightsError


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that has seen a person, an apple and a backpack, and learned nothing of it."""
    folder = tmp_path_factory.mktemp("weights")
    train(drawn.squares(folder / "data"), folder / "weights.pt")
    return folder / "weights.pt"


def test_same_training_gives_the_same_bytes(tmp_path: Path, weights: Path) -> None:
    train(drawn.squares(tmp_path / "elsewhere"), tmp_path / "again.pt")
    assert (tmp_path / "again.pt").read_bytes() == weights.read_bytes()


def test_weights_hold_no_path_and_no_date(weights: Path) -> None:
    content = weights.read_bytes()
    for private in (str(Path.home()), str(drawn.ROOT), str(weights.parent), "best.pt", "date"):
        assert private.encode() not in content


def test_data_set_is_left_as_it_is(tmp_path: Path) -> None:
    data = drawn.squares(tmp_path / "data")
    before = {path: path.stat().st_mtime_ns for path in data.parent.rglob("*")}
    epochs: list[int] = []
    train(data, tmp_path / "out.pt", epochs=2, on_epoch=lambda: epochs.append(1))
    assert {path: path.stat().st_mtime_ns for path in data.parent.rglob("*")} == before
    assert len(epochs) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out.pt"]


def test_metrics_are_by_category(tmp_path: Path) -> None:
    metrics = train(drawn.squares(tmp_path / "data"), tmp_path / "out.pt")
    assert set(metrics) == {"map50", "map50_95"}
    for shares in metrics.values():
        assert set(shares) == {"person", "bag", "mean"}
        assert all(0 <= share <= 1 for share in shares.values())


def test_metric_of_what_val_does_not_show_is_none(tmp_path: Path) -> None:
    metrics = train(drawn.squares(tmp_path / "data", {0: "person"}), tmp_path / "out.pt")
    assert metrics["map50"]["bag"] is None


@pytest.mark.parametrize("content", ["", "names: {0: person}", "[]", "train: [", "\x00"])
def test_not_a_data_set(tmp_path: Path, content: str) -> None:
    (tmp_path / "data.yaml").write_text(content)
    with pytest.raises(AnnotationError, match=r"not the data\.yaml of a YOLO data set"):
        train(tmp_path / "data.yaml", tmp_path / "out.pt")


@pytest.mark.parametrize("missing", ["images/val/*", "labels/train/*"])
def test_data_set_without_images_or_labels(tmp_path: Path, missing: str) -> None:
    data = drawn.squares(tmp_path)
    for path in tmp_path.glob(missing):
        path.unlink()
    with pytest.raises(EmptyError, match=missing.split("/")[1]):
        train(data, tmp_path / "out.pt")


@pytest.mark.parametrize("name", ["bad.pt", "bad.yaml", "absent.pt", "absent.yaml"])
def test_model_that_is_none(tmp_path: Path, name: str) -> None:
    for bad in ("bad.pt", "bad.yaml"):
        (tmp_path / bad).write_text("nothing: to build")
    data = drawn.squares(tmp_path / "data")
    with pytest.raises(WeightsError, match=name):
        detector_training.train(
            tmp_path / name,
            data,
            tmp_path / "out.pt",
            **{"epochs": 1, "patience": 1, "batch": 4, "imgsz": 64, "seed": 0},
        )
