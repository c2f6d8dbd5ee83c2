from __future__ import annotations

import os
import signal
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from tests.people import LABELS, project
from tests.stages.running import run_well
from yololstm import cluster, members
from yololstm.errors import ParamsError
from yololstm.members import Job
from yololstm.training import Result, Settings

SETTINGS = Settings(
    epochs=4,
    patience=4,
    batch=32,
    learning_rate=0.003,
    weight_decay=0.01,
    label_smoothing=0.1,
    class_weights=True,
    augment=("mirror", "scale"),
    precision="auto",
    seed=0,
)


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = project(tmp_path_factory.mktemp("members"), {"train": 2, "val": 1, "test": 1})
    run_well("segment", folder)
    return folder / "data/windows"


@pytest.fixture
def jobs(windows: Path, tmp_path: Path) -> list[Job]:
    args = {"hidden": 8}
    return [
        Job("bilstm", args, LABELS, replace(SETTINGS, seed=seed), "cpu", windows, tmp_path)
        for seed in (7, 3)
    ]


def equal(a: Result, b: Result) -> bool:
    same = all(torch.equal(value, b.state[name]) for name, value in a.state.items())
    return same and a.history == b.history


def test_the_same_in_one_process_as_in_two(jobs: list[Job], tmp_path: Path) -> None:
    here = members.train_all(jobs, workers=1)
    there = members.train_all([replace(j, cache=tmp_path / "other") for j in jobs], workers=2)
    assert all(equal(a, b) for a, b in zip(here, there, strict=True))
    assert not equal(here[0], here[1])
    alone = members.train_all([replace(jobs[1], cache=tmp_path / "alone")])
    assert equal(alone[0], here[1]), "a seed's model depends on the other seeds"


def test_a_seed_that_is_done_is_not_taught_again(jobs: list[Job], tmp_path: Path) -> None:
    (first,) = members.train_all(jobs[:1])
    told: list[int] = []
    for _, result in cluster.spread(
        members.train_member, jobs, cluster.Workers(1), on_report=told.append
    ):
        assert isinstance(result, Result)
        assert equal(result, first) == (len(told) == 1)
    assert told == [4, 0, 1, 1, 1, 1]
    for job in jobs:
        job.resume_file().remove()
    assert not list(tmp_path.iterdir())


def die_after(epochs: int, job: Job) -> None:
    told = 0

    def on_report(n: int) -> None:
        nonlocal told
        told += n
        if told == epochs:
            os.kill(os.getpid(), signal.SIGKILL)

    list(cluster.spread(members.train_member, [job], cluster.Workers(1), on_report=on_report))


def test_killed_it_goes_on_to_the_same_end(jobs: list[Job], tmp_path: Path) -> None:
    whole = members.train_all([replace(jobs[0], cache=tmp_path / "whole")])
    process = get_context("spawn").Process(target=die_after, args=(2, jobs[0]))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    kept = jobs[0].resume_file().load()
    assert kept is not None
    assert len(kept.history) == 2
    assert equal(members.train_all(jobs[:1])[0], whole[0])


def test_resume_files_are_told_apart_by_all_that_matters(jobs: list[Job]) -> None:
    job = jobs[0]
    others = [
        jobs[1],
        replace(job, args={"hidden": 9}),
        replace(job, model="lstm"),
        replace(job, labels=LABELS[::-1]),
        replace(job, device="cuda"),
        replace(job, settings=replace(job.settings, augment=())),
    ]
    members.train_all([job])
    assert job.resume_file().load() is not None
    assert [other.resume_file().load() for other in others] == [None] * len(others)


def test_each_output_has_a_cache_of_its_own() -> None:
    outputs = ["data/trained.safetensors", "data/folds/0/trained.safetensors", "/data/a/../b.st"]
    folders = {members.cache_of(Path(output)) for output in outputs}
    assert len(folders) == 3
    assert {folder.parent for folder in folders} == {Path(".cache/train")}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_goes_wrong_in_a_process_is_told(jobs: list[Job], workers: int) -> None:
    bad = [replace(job, settings=replace(job.settings, learning_rate=1e30)) for job in jobs]
    with pytest.raises(ParamsError, match=r"train\.learning_rate"):
        members.train_all(bad, workers)
