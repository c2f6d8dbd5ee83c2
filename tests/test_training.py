from __future__ import annotations

import contextlib
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import Tensor
from torch.nn import functional as F

from tests.people import LABELS, ROOT, acting, clip, landmarks
from yololstm import models, params, scaling, training
from yololstm.augmentation import flipped
from yololstm.datasets import reader
from yololstm.errors import ParamsError
from yololstm.inference import Classifier
from yololstm.material import Material
from yololstm.scaling import BodyScaling
from yololstm.segmentation import segment_all
from yololstm.trained import TorchNetwork
from yololstm.training import Epoch, Settings, Snapshot, train
from yololstm.windows import Windows, WindowSpec

SPEC = WindowSpec(fps=3, length=12, hop=4, max_gap_s=1.0, min_valid=0.5)
SETTINGS = Settings(
    epochs=6,
    patience=6,
    batch=16,
    learning_rate=0.003,
    weight_decay=0.01,
    label_smoothing=0.1,
    class_weights=True,
    augment=("mirror", "rotate", "scale"),
    precision="auto",
    seed=0,
)


@pytest.fixture(scope="module")
def data() -> dict[str, Windows]:
    rng = np.random.default_rng(0)
    times = np.arange(32) / 3
    seen = (
        (clip(f"{split}{label}{i}-CA", label, split), landmarks({1: (times, xy)}))
        for split in ("train", "val", "test")
        for label in LABELS
        for i in range(4)
        for xy in [acting(label, times, rng)]
    )
    windows = segment_all(seen, SPEC, LABELS, 0.6).windows
    scale = BodyScaling().transform
    return {split: replace(w, x=scale(w.x, w.valid)) for split, w in windows.items()}


def small_model(dropout: float = 0.3) -> torch.nn.Module:
    torch.manual_seed(0)
    return models.build("bilstm", 4, hidden=16, dropout=dropout)


def equal(a: training.State, b: training.State) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_learns_what_can_be_learnt(data: dict[str, Windows]) -> None:
    settings = replace(SETTINGS, epochs=25, patience=25, learning_rate=0.01)
    model = small_model()
    result = train(model, data["train"], data["val"], settings, centre=0)
    model.load_state_dict(result.state)
    test = data["test"]
    with torch.no_grad():
        named = model.eval()(torch.from_numpy(test.x), torch.from_numpy(test.valid)).argmax(1)
    assert (named.numpy() == test.y).mean() > 0.9


def test_keeps_the_best_epoch(data: dict[str, Windows]) -> None:
    states: list[training.State] = []
    model = small_model()

    def on_epoch(_: Epoch, __: training.TakeSnapshot) -> None:
        states.append({k: v.clone() for k, v in model.state_dict().items()})

    settings = replace(SETTINGS, learning_rate=0.02, epochs=8, patience=8)
    result = train(model, data["train"], data["val"], settings, centre=0, on_epoch=on_epoch)
    assert result.best.val_macro_f1 == max(e.val_macro_f1 or 0 for e in result.history)
    assert equal(result.state, states[result.best.epoch - 1])
    assert [e.epoch for e in result.history] == list(range(1, 9))


def test_same_seed_same_weights_whatever_torch_drew_before(data: dict[str, Windows]) -> None:
    results = []
    for drawn in range(2):
        model = small_model()
        torch.rand(drawn)
        results.append(train(model, data["train"], data["val"], SETTINGS, centre=0))
    assert equal(results[0].state, results[1].state)
    assert results[0].history == results[1].history
    model = small_model()
    other = train(model, data["train"], data["val"], replace(SETTINGS, seed=1), centre=0)
    assert not equal(results[0].state, other.state)


def test_leaves_torchs_own_generator_alone(data: dict[str, Windows]) -> None:
    model = small_model()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(model, data["train"], data["val"], replace(SETTINGS, epochs=1), centre=0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("after", [1, 4, 6])
def test_resumed_run_ends_as_if_it_had_not_stopped(data: dict[str, Windows], after: int) -> None:
    snapshots: list[Snapshot] = []
    whole = train(
        small_model(),
        *(data["train"], data["val"], SETTINGS, 0),
        on_epoch=lambda _, snapshot: snapshots.append(snapshot()),
    )
    done: list[int] = []
    torch.manual_seed(99)
    resumed = train(
        models.build("bilstm", 4, hidden=16, dropout=0.3),
        *(data["train"], data["val"], SETTINGS, 0),
        on_epoch=lambda epoch, _: done.append(epoch.epoch),
        resume=snapshots[after - 1],
    )
    assert done == list(range(after + 1, 7))
    assert resumed.history == whole.history
    assert equal(resumed.state, whole.state)


def validated(data: dict[str, Windows], **changes: object) -> tuple[float, Tensor, Tensor]:
    """The loss on val that training told of its only epoch; the model's logits of val and of its
    mirror images."""
    model = small_model()
    settings = replace(SETTINGS, epochs=1, **changes)
    result = train(model, data["train"], data["val"], settings, centre=0)
    model.load_state_dict(result.state)
    x, valid = (torch.from_numpy(a) for a in (data["val"].x, data["val"].valid))
    everyone = torch.ones(len(x), dtype=torch.bool)
    with torch.no_grad():
        model.eval()
        as_seen, images = model(x, valid), model(*flipped(x, valid, everyone, 0))
    assert result.best.val_loss is not None
    return result.best.val_loss, as_seen, images


def needs_bfloat16() -> None:
    try:
        training._check_bfloat16(torch.device("cpu"))
    except ParamsError:
        pytest.skip("this processor cannot train in bfloat16")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_val_is_asked_in_full_precision_and_as_it_will_be_in_use(
    data: dict[str, Windows], precision: str
) -> None:
    if precision == "bfloat16":
        needs_bfloat16()
    y = torch.from_numpy(data["val"].y)
    told, as_seen, images = validated(data, precision=precision)
    both = float(F.cross_entropy((as_seen + images) / 2, y))
    assert told == pytest.approx(both, abs=2e-6)
    told, as_seen, _ = validated(data, precision=precision, augment=("rotate", "scale"))
    assert told == pytest.approx(float(F.cross_entropy(as_seen, y)), abs=2e-6)


def test_precision_is_what_is_asked_for(data: dict[str, Windows]) -> None:
    needs_bfloat16()
    losses = {}
    for precision in ("float32", "bfloat16", "auto"):
        settings = replace(SETTINGS, epochs=1, precision=precision)
        result = train(small_model(), data["train"], data["val"], settings, centre=0)
        losses[precision] = result.best.train_loss
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.01)
    is_faster = training._multiplies_bfloat16(torch.device("cpu"))
    assert losses["auto"] == losses["bfloat16" if is_faster else "float32"]


@pytest.mark.parametrize(
    ("capabilities", "is_faster"),
    [
        ({"avx512_bf16": True, "amx_bf16": True}, True),
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({}, False),
    ],
)
def test_bfloat16_is_taken_where_it_is_faster(
    capabilities: dict[str, bool], is_faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert training._multiplies_bfloat16(torch.device("cpu")) == is_faster


@pytest.mark.skipif(platform.machine() != "x86_64", reason="it is asked of x86_64 alone")
def test_torch_tells_whether_a_processor_multiplies_bfloat16() -> None:
    assert isinstance(torch.cpu.get_capabilities()["avx512_bf16"], bool)


def test_a_processor_without_bfloat16_says_so_before_it_trains(
    data: dict[str, Windows], monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = torch.nn.LSTM.forward

    def without(lstm: torch.nn.LSTM, x: torch.Tensor) -> Any:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("could not create a primitive descriptor")
        return forward(lstm, x)

    monkeypatch.setattr(torch.nn.LSTM, "forward", without)
    settings = replace(SETTINGS, epochs=1, precision="bfloat16")
    with pytest.raises(ParamsError, match=r"train\.precision: this processor cannot"):
        train(small_model(), data["train"], data["val"], settings, centre=0)
    for precision in ("auto", "float32"):
        settings = replace(SETTINGS, epochs=1, precision=precision)
        if not training._multiplies_bfloat16(torch.device("cpu")) or precision == "float32":
            train(small_model(), data["train"], data["val"], settings, centre=0)


def test_a_check_of_bfloat16_draws_no_random_numbers() -> None:
    before = torch.random.get_rng_state()
    with contextlib.suppress(ParamsError):
        training._check_bfloat16(torch.device("cpu"))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_without_val_the_last_of_all_epochs_is_kept(data: dict[str, Windows]) -> None:
    model = small_model()
    settings = replace(SETTINGS, patience=1)
    result = train(model, data["train"], Windows.empty(SPEC), settings, centre=0)
    assert len(result.history) == 6
    assert result.best == result.history[-1]
    assert result.best.val_macro_f1 is None
    assert equal(result.state, dict(model.state_dict()))


def epoch(number: int, f1: float, loss: float) -> Epoch:
    return Epoch(number, 0.1, 1.0, loss, f1, f1)


def test_best_is_by_f1_then_by_loss_then_the_first() -> None:
    rows = [epoch(1, 0.5, 1), epoch(2, 0.9, 0.8), epoch(3, 0.9, 0.7), epoch(4, 0.9, 0.7)]
    assert training.best(rows).epoch == 3


def test_stops_when_f1_has_not_risen_for_so_long() -> None:
    rows = [epoch(1, 0.5, 1), epoch(2, 0.9, 0.8), epoch(3, 0.9, 0.7), epoch(4, 0.8, 0.6)]
    assert training.is_finished(rows, replace(SETTINGS, patience=2))
    assert not training.is_finished(rows, replace(SETTINGS, patience=3))
    assert not training.is_finished([], SETTINGS)
    assert training.is_finished([*rows, rows[0], rows[0]], SETTINGS)


def test_learning_rate_rises_once_and_falls_to_nothing() -> None:
    rates = np.array([training.learning_rate(p) for p in np.linspace(0, 1, 101)])
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[30] == pytest.approx(1)
    assert rates[100] == pytest.approx(0, abs=1e-9)
    assert (np.diff(rates[:31]) > 0).all()
    assert (np.diff(rates[30:]) < 0).all()


def test_balanced_weights_make_labels_equal() -> None:
    y = torch.tensor([0] * 6 + [1] * 3 + [3])
    weights = training.balanced_weights(y, 4)
    assert weights[2] == 0
    totals = [float(weights[label] * (y == label).sum()) for label in (0, 1, 3)]
    assert totals == pytest.approx([10 / 3] * 3)


def test_macro_f1_is_sklearns() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 5, 100):
        y, named = rng.integers(0, 3, n), rng.integers(0, 4, n)
        ours = training.macro_f1(torch.from_numpy(y), torch.from_numpy(named), 4)
        expected = f1_score(y, named, average="macro", zero_division=0)
        assert ours == pytest.approx(expected, abs=1e-6)


def test_run_that_diverges_says_so(data: dict[str, Windows]) -> None:
    settings = replace(SETTINGS, learning_rate=1e30)
    with pytest.raises(ParamsError, match=r"train\.learning_rate: the loss is (nan|inf)"):
        train(small_model(), data["train"], data["val"], settings, centre=0)


def test_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert training.pick_device("auto").type == "cpu"
    with pytest.raises(ParamsError, match=r"train\.device"):
        training.pick_device("cuda")


def test_real_shoppers_are_told_apart(real_data: Path, tmp_path: Path) -> None:
    """With the defaults of params.yaml; every fifth clip of each label is kept for the test."""
    settings = params.load(ROOT / "params.yaml")
    labels = LABELS[:3]
    csv = reader("landmarks_csv", {})
    root = Material(real_data / "data/csv", tmp_path)
    clips = [clip for clip in csv.read(root).clips if clip.split and clip.label in labels]
    held = {
        clip.clip_id for label in labels for clip in [c for c in clips if c.label == label][::5]
    }
    splits = [replace(c, split="test" if c.clip_id in held else "train") for c in clips]
    seen = ((clip, csv.landmarks(root, clip)) for clip in splits)
    windows = segment_all(seen, settings.segment.spec(), labels, settings.segment.min_share).windows
    fitted = scaling.fit(settings.segment.scaling, windows["train"].x, windows["train"].valid)
    scaled = {k: replace(w, x=fitted.transform(w.x, w.valid)) for k, w in windows.items()}
    torch.manual_seed(0)
    model = models.build(settings.train.model, 3)
    options = settings.train.model_dump(exclude={"model", "dropout", "device", "seeds"})
    fit = Settings(**options, seed=0)
    model.load_state_dict(train(model, scaled["train"], scaled["val"], fit, fitted.centre).state)
    test = scaled["test"]
    watcher = Classifier(TorchNetwork(model), fitted, test.spec, labels)
    right = watcher.scaled(test.x, test.valid).argmax(axis=1) == test.y
    assert right.mean() > 0.8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_trains_on_a_gpu_and_resumes_there(data: dict[str, Windows]) -> None:
    snapshots: list[Snapshot] = []
    whole = train(
        small_model(),
        *(data["train"], data["val"], SETTINGS, 0, "cuda"),
        on_epoch=lambda _, snapshot: snapshots.append(snapshot()),
    )
    again = train(
        small_model(), data["train"], data["val"], SETTINGS, 0, "cuda", resume=snapshots[2]
    )
    assert {tensor.device.type for tensor in whole.state.values()} == {"cpu"}
    for key, value in whole.state.items():
        torch.testing.assert_close(again.state[key], value, atol=1e-2, rtol=1e-2)
