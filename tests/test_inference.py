from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.people import LABELS, acting, landmarks
from yololstm import models
from yololstm.augmentation import flipped
from yololstm.events import Rule
from yololstm.inference import Classifier
from yololstm.scaling import BodyScaling, MinMaxScaling, Scaling
from yololstm.segmentation import segment
from yololstm.trained import Checkpoint, TorchNetwork
from yololstm.windows import WindowSpec

SPEC = WindowSpec(fps=3, length=16, hop=4, max_gap_s=1.0, min_valid=0.5)
SCALINGS = [BodyScaling(), MinMaxScaling((0.0,) * 26, (1280.0,) * 26)]


def trained(model: str = "bilstm", scaling: Scaling = SCALINGS[0], n: int = 1) -> Checkpoint:
    torch.manual_seed(0)
    members = tuple(dict(models.build(model, 4).state_dict()) for _ in range(n))
    return Checkpoint(model, {}, members, scaling, SPEC, LABELS)


def classifier(model: str = "bilstm", scaling: Scaling = SCALINGS[0]) -> Classifier:
    return trained(model, scaling).classifier()


def windows(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(0, 1, (n, 16, 26)).astype(np.float32), rng.random((n, 16, 13)) > 0.2


@pytest.mark.parametrize("model", sorted(models.MODELS))
def test_probabilities_do_not_depend_on_the_batch(model: str) -> None:
    x, valid = windows(23)
    whole = classifier(model).scaled(x, valid)
    assert whole.shape == (23, 4)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-6)
    for batch in (1, 7, 22):
        np.testing.assert_allclose(
            classifier(model).scaled(x, valid, batch=batch), whole, atol=1e-6
        )


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda s: s.kind)
def test_classify_is_segment_then_scale_then_forward(scaling: Scaling) -> None:
    rng = np.random.default_rng(0)
    times = np.arange(40) / 3
    seen = landmarks({t: (times, acting(LABELS[t], times, rng)) for t in (1, 2)})
    watcher = classifier(scaling=scaling)
    predictions = watcher.classify(seen)
    cut = segment(seen, SPEC).windows
    expected = watcher.scaled(scaling.transform(cut.x, cut.valid), cut.valid)
    np.testing.assert_array_equal(predictions.probability, expected)
    assert predictions.track.tolist() == [1] * 7 + [2] * 7
    np.testing.assert_allclose(predictions.start_s, cut.start_s)


def test_last_seconds_alone_say_the_same_as_the_whole() -> None:
    """Live sees a window at a time; the file is cut at once."""
    rng = np.random.default_rng(0)
    times = np.arange(40) / 3
    seen = landmarks({1: (times, acting("theft", times, rng))})
    watcher = classifier()
    whole = watcher.classify(seen)
    for i, start in enumerate(range(0, 25, 4)):
        part = watcher.classify(seen[slice(start, start + 16)])
        np.testing.assert_allclose(part.probability, whole.probability[i : i + 1], atol=1e-5)


def test_nobody_gives_no_predictions() -> None:
    predictions = classifier().classify(landmarks({}))
    assert len(predictions) == 0
    assert predictions.probability.shape == (0, 4)


def test_temperature_softens_and_keeps_the_order() -> None:
    x, valid = windows(9)
    warm = replace(trained(), temperature=4).classifier()
    sharp, soft = classifier().scaled(x, valid), warm.scaled(x, valid)
    assert (soft.max(axis=1) < sharp.max(axis=1)).all()
    np.testing.assert_array_equal(soft.argmax(axis=1), sharp.argmax(axis=1))


def test_rule_comes_with_the_weights() -> None:
    kept = replace(trained(), rule=Rule({"theft": 0.9}))
    assert kept.classifier().rule.threshold("theft") == 0.9


@pytest.mark.parametrize("mirrored", [False, True])
def test_members_are_averaged_as_logits(mirrored: bool) -> None:
    x, valid = windows(9)
    whole = replace(trained(n=3), mirrored=mirrored)
    alone = [replace(whole, members=(one,)).classifier().logits(x, valid) for one in whole.members]
    assert np.abs(alone[0] - alone[1]).max() > 0.01
    together = whole.classifier().logits(x, valid)
    np.testing.assert_allclose(together, np.mean(alone, axis=0), atol=1e-6)


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda s: s.kind)
def test_mirror_images_are_the_same_to_what_was_taught_them_alone(scaling: Scaling) -> None:
    x, valid = windows(9)
    everyone = torch.ones(len(x), dtype=torch.bool)
    images = flipped(torch.from_numpy(x), torch.from_numpy(valid), everyone, scaling.centre)
    taught, untaught = (
        replace(trained(scaling=scaling, n=2), mirrored=each).classifier() for each in (True, False)
    )
    said, of_images = (taught.logits(*pair) for pair in ((x, valid), [t.numpy() for t in images]))
    np.testing.assert_allclose(said, of_images, atol=1e-5)
    said, of_images = (untaught.logits(*pair) for pair in ((x, valid), [t.numpy() for t in images]))
    assert np.abs(said - of_images).max() > 0.01


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda s: s.kind)
def test_what_is_said_of_a_classifier_makes_it_again(scaling: Scaling) -> None:
    kept = replace(trained(scaling=scaling), temperature=1.5, rule=Rule({"theft": 0.9}, min_s=2))
    whole = kept.classifier()
    said = json.loads(json.dumps(whole.to_dict()))
    again = Classifier.from_dict(TorchNetwork(kept.network()), said)
    assert again.to_dict() == whole.to_dict()
    x, valid = windows(5)
    np.testing.assert_array_equal(again.scaled(x, valid), whole.scaled(x, valid))


@pytest.mark.parametrize(
    "wrong",
    [{"joints": ["HEAD"]}, {"scaling": {"kind": "odd"}}, {"spec": {}}, {"rule": {"leave": 2}}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_cannot_be_a_classifier_is_refused(wrong: dict[str, object]) -> None:
    said = classifier().to_dict()
    with pytest.raises((TypeError, ValueError)):
        Classifier.from_dict(lambda x, valid: x, said | wrong)


def test_dropout_is_off() -> None:
    x, valid = windows(4)
    watcher = classifier()
    np.testing.assert_array_equal(watcher.scaled(x, valid), watcher.scaled(x, valid))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_says_what_the_cpu_says() -> None:
    x, valid = windows(50)
    kept = replace(trained(n=2), mirrored=True)
    gpu = kept.classifier("cuda").scaled(x, valid)
    cpu = kept.classifier().scaled(x, valid)
    np.testing.assert_allclose(gpu, cpu, atol=1e-3)
