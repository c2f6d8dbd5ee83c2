"""Training, an epoch at a time, so that it can be put down and taken up.

All that is drawn at random in an epoch follows from the seed and the epoch's number: a run that was
killed and resumed ends with the same bytes as one that was not.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from yololstm.augmentation import Augmentation
from yololstm.errors import ParamsError
from yololstm.models import both_ways
from yololstm.windows import Windows

State = dict[str, Tensor]

_WARM_UP: Final = 0.3
"""Share of all steps in which the learning rate rises."""
_FORWARD_BATCH: Final = 4096


@dataclass(frozen=True)
class Settings:
    epochs: int
    patience: int
    """Epochs without a better macro-F1 on val before training stops."""
    batch: int
    learning_rate: float
    """At its peak: it rises to it and falls to nothing, once, along cosines."""
    weight_decay: float
    label_smoothing: float
    class_weights: bool
    """Weigh each label by the inverse of its share of the training windows."""
    augment: Sequence[str]
    """What is done to the training windows: names of augmentation.Augmentation's fields."""
    precision: str
    """Of the passes that teach: float32, bfloat16, or auto for bfloat16 where the hardware
    multiplies it faster. It is as wide in range as float32, so that no loss scaling is needed,
    which float16 would be."""
    seed: int

    @property
    def mirrored(self) -> bool:
        """Mirror images are taught, and so are asked for."""
        return "mirror" in self.augment


class Epoch(NamedTuple):
    epoch: int
    """From 1 up."""
    learning_rate: float
    """At its end."""
    train_loss: float
    """What is minimised: over augmented windows, with weights, smoothing and dropout."""
    val_loss: float | None
    """Plain cross-entropy; None, as what follows, where there are no val windows."""
    val_accuracy: float | None
    val_macro_f1: float | None


@dataclass(frozen=True)
class Snapshot:
    """All that is needed to go on after an epoch."""

    history: tuple[Epoch, ...]
    tensors: State


@dataclass(frozen=True)
class Result:
    history: tuple[Epoch, ...]
    best: Epoch
    state: State
    """Of the model after the best epoch, on the CPU."""


TakeSnapshot = Callable[[], Snapshot]


def train(
    model: nn.Module,
    train: Windows,
    val: Windows,
    settings: Settings,
    centre: float,
    device: torch.device | str = "cpu",
    on_epoch: Callable[[Epoch, TakeSnapshot], None] | None = None,
    resume: Snapshot | None = None,
) -> Result:
    """Fit ``model`` to ``train`` and keep the epoch that does best on ``val``.

    train, val: scaled windows with y >= 0; centre: of their scaling. Without val windows every
    epoch is trained and the last one kept. on_epoch is called after each with the epoch and a
    function that makes a snapshot, which ``resume`` takes.
    Raises ParamsError where the loss stops being a number, and where the processor has no bfloat16
    to train in.
    """
    if settings.precision == "bfloat16":
        _check_bfloat16(torch.device(device))
    run = _Run(model, train, val, settings, centre, torch.device(device))
    if resume is not None:
        run.restore(resume)
    while not is_finished(run.history, settings):
        run.epoch()
        if on_epoch is not None:
            on_epoch(run.history[-1], run.snapshot)
    return Result(tuple(run.history), best(run.history), _to_cpu(run.best_state))


def best(history: Sequence[Epoch]) -> Epoch:
    """The greatest macro-F1 on val, among equals the smallest loss; the last without val."""
    return max(history, key=_merit)


def is_finished(history: Sequence[Epoch], settings: Settings) -> bool:
    if len(history) in (0, settings.epochs):
        return len(history) == settings.epochs
    scores = [epoch.val_macro_f1 for epoch in history if epoch.val_macro_f1 is not None]
    return bool(scores) and len(scores) - 1 - int(np.argmax(scores)) >= settings.patience


def learning_rate(progress: float) -> float:
    """The share of the peak at ``progress`` (0..1) of training: from 1/25 up to 1, down to 0.
    Source: Smith & Topin, arXiv:1708.07120."""
    if progress < _WARM_UP:
        return 1 - 0.96 * (1 + math.cos(math.pi * progress / _WARM_UP)) / 2
    return (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP))) / 2


def balanced_weights(y: Tensor, n_labels: int) -> Tensor:
    """(n_labels,) inverse to how often each label occurs, 1 on average over windows; 0 where it
    never does."""
    count = torch.bincount(y, minlength=n_labels).float()
    return torch.where(count > 0, len(y) / count.clamp(min=1) / (count > 0).sum(), 0)


def macro_f1(y: Tensor, named: Tensor, n_labels: int) -> float:
    """The mean F1 of the labels that occur in either."""
    pairs = torch.bincount(y * n_labels + named, minlength=n_labels**2).reshape(n_labels, n_labels)
    total = pairs.sum(0) + pairs.sum(1)
    return float((2 * pairs.diagonal() / total.clamp(min=1))[total > 0].mean())


def make_repeatable(seed: int) -> None:
    """Seed torch and take its freedoms away, for the whole process. One thread, because two add up
    in another order than one."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(1)
    # As use_deterministic_algorithms, which imports torch's compiler besides: 1.6 s.
    torch.set_deterministic_debug_mode("error")
    torch.manual_seed(seed)


def pick_device(name: str) -> torch.device:
    """name: auto, cpu or cuda. Raises ParamsError where there is no such device."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ParamsError("train.device", "no CUDA device is to be seen", "Set it to auto or cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


class _Run:
    def __init__(
        self,
        model: nn.Module,
        train: Windows,
        val: Windows,
        settings: Settings,
        centre: float,
        device: torch.device,
    ) -> None:
        self.history: list[Epoch] = []
        self.best_state: State = {}
        self._model = model.to(device)
        self._train, self._val = _Data.of(train, device), _Data.of(val, device)
        self._settings = settings
        self._centre = centre
        self._device = device
        self._augmentation = Augmentation.of(settings.augment)
        self._weight = self._class_weights()
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def epoch(self) -> None:
        number = len(self.history) + 1
        with _seeded(self._settings.seed, number, self._device) as generator:
            train_loss = self._fit(number, generator)
        rate = float(self._optimizer.param_groups[0]["lr"])
        epoch = _epoch(number, rate, train_loss, self._measure())
        for loss in (epoch.train_loss, epoch.val_loss):
            if loss is not None and not math.isfinite(loss):
                problem = f"the loss is {loss} in epoch {number}"
                raise ParamsError("train.learning_rate", problem, "Lower it")
        self.history.append(epoch)
        if best(self.history) is self.history[-1]:
            self.best_state = _copy(self._model.state_dict())

    def snapshot(self) -> Snapshot:
        return Snapshot(
            tuple(self.history),
            {
                **_prefixed("model", self._model.state_dict()),
                **_prefixed("best", self.best_state),
                **{
                    f"optimizer.{parameter}.{name}": value.cpu().clone()
                    for parameter, values in self._optimizer.state_dict()["state"].items()
                    for name, value in values.items()
                },
            },
        )

    def restore(self, snapshot: Snapshot) -> None:
        self.history = list(snapshot.history)
        self._model.load_state_dict(_without_prefix("model", snapshot.tensors))
        self.best_state = _without_prefix("best", snapshot.tensors)
        state: dict[int, State] = {}
        for key, value in _without_prefix("optimizer", snapshot.tensors).items():
            parameter, name = key.split(".")
            state.setdefault(int(parameter), {})[name] = value
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": state})

    def _fit(self, number: int, generator: torch.Generator) -> float:
        """One pass over the training windows; the mean loss."""
        self._model.train()
        n, size = len(self._train.y), self._settings.batch
        order = torch.randperm(n, generator=generator, device=self._device)
        batches = torch.split(order, size)
        total = torch.zeros((), device=self._device)
        for i, rows in enumerate(batches):
            done = (number - 1 + i / len(batches)) / self._settings.epochs
            self._set_rate(done)
            loss = self._loss(self._train[rows], generator)
            self._optimizer.zero_grad()
            torch.autograd.backward(loss)
            self._optimizer.step()
            total += loss.detach() * len(rows)
        self._set_rate(number / self._settings.epochs)
        return float(total) / n

    def _loss(self, data: _Data, generator: torch.Generator) -> Tensor:
        x, valid = data.x, data.valid
        if self._settings.augment:
            x, valid = self._augmentation(x, valid, self._centre, generator)
        with self._autocast():
            logits = self._model(x, valid)
        return F.cross_entropy(
            logits.float(),
            data.y,
            weight=self._weight,
            label_smoothing=self._settings.label_smoothing,
        )

    def _set_rate(self, done: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = self._settings.learning_rate * learning_rate(done)

    @torch.no_grad()
    def _measure(self) -> tuple[float, float, float] | None:
        """Loss, accuracy and macro-F1 on val."""
        if not len(self._val.y):
            return None
        self._model.eval()
        rows = torch.split(torch.arange(len(self._val.y), device=self._device), _FORWARD_BATCH)
        logits = torch.cat([self._logits(self._val[part]) for part in rows])
        loss = F.cross_entropy(logits, self._val.y)
        named = logits.argmax(dim=1)
        right = (named == self._val.y).float().mean()
        return float(loss), float(right), macro_f1(self._val.y, named, logits.shape[1])

    def _logits(self, data: _Data) -> Tensor:
        """As they will be in use, in full precision."""
        if self._settings.mirrored:
            return both_ways(self._model, data.x, data.valid, self._centre)
        logits: Tensor = self._model(data.x, data.valid)
        return logits

    def _autocast(self) -> torch.autocast:
        precision, device = self._settings.precision, self._device
        half = precision == "bfloat16" or (precision == "auto" and _multiplies_bfloat16(device))
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=half)

    def _class_weights(self) -> Tensor | None:
        if not self._settings.class_weights:
            return None
        with torch.no_grad():
            n_labels = self._model.eval()(self._train.x[:1], self._train.valid[:1]).shape[1]
        return balanced_weights(self._train.y, n_labels)


@dataclass(frozen=True)
class _Data:
    """Windows on the device, all of them: 100 000 windows of 16 steps are 170 MB."""

    x: Tensor
    valid: Tensor
    y: Tensor

    @classmethod
    def of(cls, windows: Windows, device: torch.device) -> _Data:
        arrays = (windows.x, windows.valid, windows.y)
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))

    def __getitem__(self, rows: Tensor) -> _Data:
        return _Data(self.x[rows], self.valid[rows], self.y[rows])


def _check_bfloat16(device: torch.device) -> None:
    """Raises ParamsError where an LSTM does not run in it, which no list of a processor's
    capabilities tells."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        lstm = nn.LSTM(1, 1, device=device)
        try:
            with torch.autocast(device.type, dtype=torch.bfloat16):
                lstm(torch.zeros(1, 1, 1, device=device))
        except RuntimeError as error:
            problem = "this processor cannot train in bfloat16"
            raise ParamsError("train.precision", problem, "Set it to auto or float32") from error


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Every processor with AMX has this, too.
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


@contextmanager
def _seeded(seed: int, epoch: int, device: torch.device) -> Iterator[torch.Generator]:
    """A generator for what takes one; dropout takes none, so torch's own are seeded as well, and
    afterwards left as they were."""
    drawn = np.random.SeedSequence((seed, epoch)).generate_state(2, np.uint64) >> np.uint64(1)
    ours, torchs = drawn.tolist()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(torchs)
        yield torch.Generator(device).manual_seed(ours)


def _epoch(
    number: int, rate: float, train_loss: float, val: tuple[float, float, float] | None
) -> Epoch:
    loss, accuracy, f1 = (round(v, 6) for v in val) if val else (None, None, None)
    return Epoch(number, round(rate, 8), round(train_loss, 6), loss, accuracy, f1)


def _merit(epoch: Epoch) -> tuple[float, float, int]:
    if epoch.val_macro_f1 is None or epoch.val_loss is None:
        return 0.0, 0.0, epoch.epoch
    return epoch.val_macro_f1, -epoch.val_loss, -epoch.epoch


def _prefixed(prefix: str, state: Mapping[str, Any]) -> State:
    return {f"{prefix}.{name}": value for name, value in _to_cpu(state).items()}


def _without_prefix(prefix: str, tensors: State) -> State:
    start = f"{prefix}."
    return {key.removeprefix(start): t for key, t in tensors.items() if key.startswith(start)}


def _copy(state: Mapping[str, Tensor]) -> State:
    return {name: value.detach().clone() for name, value in state.items()}


def _to_cpu(state: Mapping[str, Tensor]) -> State:
    return {name: value.detach().cpu().clone() for name, value in state.items()}
