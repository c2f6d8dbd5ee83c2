"""One model for each seed, taught side by side; killed, each goes on from its last epoch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from yololstm import models, scaling, training
from yololstm.checkpoint import ResumeFile
from yololstm.cluster import Workers, report, spread
from yololstm.console import progress
from yololstm.errors import YololstmError
from yololstm.storage import read_json, read_windows
from yololstm.training import Epoch, Result, TakeSnapshot


@dataclass(frozen=True)
class Job:
    """One member to teach; what a process needs to know."""

    model: str
    """Its name in models.MODELS."""
    args: Mapping[str, Any]
    """Of its constructor, beside the number of labels."""
    labels: tuple[str, ...]
    settings: training.Settings
    device: str
    windows: Path
    """The folder of train.npz, val.npz and scaling.json."""
    cache: Path
    """The folder of its resume file; see cache_of."""

    def resume_file(self) -> ResumeFile:
        files = [self.windows / name for name in ("train.npz", "val.npz", "scaling.json")]
        known = [self.model, self.args, self.labels, asdict(self.settings), self.device]
        return ResumeFile(self.cache, known, files)


def cache_of(output: Path) -> Path:
    """Where the runs that end in ``output`` keep their resume files, and no others do."""
    return Path(".cache/train") / re.sub(r"\W+", "-", str(output.with_suffix(""))).strip("-")


def train_member(job: Job) -> Result:
    """Raises DataError, and as training.train. Tells cluster.report of epochs. Its resume file
    stays, so that a run with several members takes up those that are done."""
    train, val = (read_windows(job.windows / f"{split}.npz") for split in ("train", "val"))
    fitted = scaling.from_dict(read_json(job.windows / "scaling.json"))
    training.make_repeatable(job.settings.seed)
    model = models.build(job.model, len(job.labels), **job.args)
    kept = job.resume_file()
    begun = kept.load()
    report(len(begun.history) if begun else 0)

    def keep(_: Epoch, snapshot: TakeSnapshot) -> None:
        kept.save(snapshot())
        report(1)

    known = val[val.y >= 0]
    return training.train(model, train, known, job.settings, fitted.centre, job.device, keep, begun)


def train_all(jobs: Sequence[Job], workers: int = 0) -> list[Result]:
    """One result a job, in their order, with a progress bar. workers: as for cluster.spread; the
    results are the same to the last bit however many there are."""
    results = {}
    total = sum(job.settings.epochs for job in jobs)
    with progress("train", total=total, unit="epochs") as advance:
        for job, result in spread(train_member, jobs, Workers(workers), advance):
            if isinstance(result, YololstmError):
                raise result
            results[job.settings.seed] = result
            advance(job.settings.epochs - len(result.history))
    return [results[job.settings.seed] for job in jobs]
