"""The clips of an index to landmarks: taken from the store, or extracted in many processes."""

from __future__ import annotations

import functools
import json
import platform
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from yololstm import cluster, fingerprint, landmark_store, seeding, storage
from yololstm.clips import Clip
from yololstm.cluster import Workers, spread
from yololstm.console import progress, remark, warn
from yololstm.datasets import WITH_KEYPOINTS, WITHOUT_VIDEO, DatasetReader, reader
from yololstm.detector import checksum
from yololstm.errors import (
    AnnotationError,
    DataError,
    LandmarksError,
    ParamsError,
    Problem,
    VideoError,
    WorkerError,
    YololstmError,
)
from yololstm.landmark_store import LandmarkStore
from yololstm.landmarks import Landmarks, Source
from yololstm.material import Material
from yololstm.outcomes import Outcome
from yololstm.settings import ExtractionSettings
from yololstm.storage import LandmarksFormat

_LOOKING: Final = "yololstm.extractor:look"
_READING: Final = "yololstm.datasets:reader"
_WRITING: Final = "yololstm.storage:landmarks_to_parquet"
_COUNTING: Final = "yololstm.outcomes:Outcome"
_BENEATH: Final = frozenset({"scipy", "torchvision"})
"""Libraries that compute for those that we call."""
_N_REASONS: Final = 3


@dataclass(frozen=True)
class Recipe:
    """How landmarks are made. On the same machine, the same recipe makes the same of the same clip.

    Which processor computes is no part of it, so that machines with CUDA and without share a store.
    Where there is CUDA the detector computes in half precision, whose boxes differ by more than the
    last bits: what is taken from a store may not be what this machine would have made.

    kind: of the data set. settings: None where nothing is looked for in the video, and the data
    set's own keypoints are taken.
    """

    kind: str
    settings: ExtractionSettings | None

    @functools.cached_property
    def name(self) -> str:
        """16 hexadecimal digits."""
        if self.settings is None:
            return _computed(self.kind, _READING, "yololstm.extraction:_nobody", _WRITING)
        named = {"weights": self.settings.weights, "pose_model": self.settings.pose_model}
        files = {name: path for name, path in named.items() if path is not None}
        looking = fingerprint.code(_LOOKING)
        # Which is what a model in a folder is for.
        exported = any(path.is_dir() for path in files.values())
        beneath = _BENEATH | ({"openvino"} if exported else set())
        return _digest(
            asdict(self.settings) | {name: path.name for name, path in files.items()},
            {name: checksum(path) for name, path in files.items()},
            fingerprint.code(_LOOKING, _WRITING).digest,
            fingerprint.versions(looking.libraries | beneath),
        )[:16]

    @functools.cached_property
    def counting(self) -> str:
        """Likewise, how they are counted and compared with the data set's own keypoints."""
        return _computed(self.kind, _READING, _COUNTING)

    @property
    def names(self) -> tuple[str, str]:
        """All that two machines must have in common."""
        return self.name, self.counting

    def key(self, clip: Clip) -> str:
        """Of a clip's landmarks. Empty where nothing says what they are made of."""
        if self.settings is not None:
            return f"{self.name}/{clip.sha256}"
        if not clip.annotation_sha256:
            return ""
        return f"{self.name}/{_digest(clip.sha256, *_annotated(clip))}"

    def outcome_key(self, clip: Clip) -> str:
        return f"{self.counting}/{_digest(self.key(clip), *_annotated(clip))}"


def _annotated(clip: Clip) -> tuple[str, ...]:
    """Errors name the files."""
    return clip.path, clip.annotation, clip.annotation_sha256


def _computed(kind: str, *roots: str) -> str:
    code = fingerprint.code(*roots)
    return _digest(kind, code.digest, fingerprint.versions(code.libraries))[:16]


def _digest(*parts: Any) -> str:
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def looks_at_video(kind: str, source: str) -> bool:
    """source: ``video`` or ``annotations``. Raises ParamsError where this kind of data set has no
    keypoints of its own."""
    if source == "annotations" and kind not in WITH_KEYPOINTS:
        problem = f"a data set of kind {kind} brings no keypoints"
        raise ParamsError("extract.source", problem, "Set it to video")
    return source == "video" and kind not in WITHOUT_VIDEO


# --- one clip ---


@dataclass(frozen=True)
class Job:
    """One clip; what a process needs to know."""

    clip: Clip
    material: Material
    recipe: Recipe
    stored: Path | None = None
    """Where its landmarks lie already, which are then only counted."""
    names: tuple[str, str] | None = None
    """Of the recipe, see Recipe.names, where it is carried out by processes that may be of another
    machine, with code, libraries and weights of its own."""


@dataclass(frozen=True)
class Extracted:
    outcome: Outcome
    content: bytes
    """The landmarks' file, Parquet."""


def extract_clip(job: Job) -> Extracted:
    """Raises DataError for the faults of a clip, WeightsError for ours.

    Each process loads its models once, for all clips that it is given.
    """
    if job.names is not None:
        _check_same(job.recipe, job.names)
    landmarks = _stored(job)
    if landmarks is None:
        landmarks = _made(job)
    truth, doubt = None, None
    if job.recipe.settings is not None:
        try:
            truth = _own(job)
        except DataError as error:
            doubt = error.problem
    return Extracted(
        Outcome.of(job.clip, landmarks, truth, doubt), storage.landmarks_to_parquet(landmarks)
    )


def _stored(job: Job) -> Landmarks | None:
    if job.stored is None or (content := landmark_store.read(job.stored)) is None:
        return None
    try:
        return storage.landmarks_from_parquet(content, job.stored)
    except LandmarksError as error:
        # As they were committed, which nobody has looked into.
        warn(f"{job.stored}: {error.problem.problem}. It is extracted again.")
        return None


def _made(job: Job) -> Landmarks:
    if job.recipe.settings is None:
        landmarks = _own(job) or _nobody(job.clip)
    else:
        with job.material.local(job.clip.path) as path:
            cluster.still_at_work()
            _check_unchanged(path, job.clip)
            cluster.still_at_work()
            # Here, because it takes seconds to import, and who finds all in the store needs none.
            from yololstm.extractor import look

            landmarks = look(path, job.recipe.settings, on_frame=cluster.still_at_work)
    source = replace(landmarks.source, key=job.recipe.key(job.clip))
    return replace(landmarks, source=source)


def _own(job: Job) -> Landmarks | None:
    """What the data set itself knows."""
    clip = job.clip
    if clip.annotation and job.material.facts(clip.annotation).sha256 != clip.annotation_sha256:
        raise AnnotationError(clip.annotation, *_CHANGED)
    return _reader(job.recipe.kind).landmarks(job.material, clip)


def _nobody(clip: Clip) -> Landmarks:
    """Of a clip without keypoints."""
    source = Source(clip.width, clip.height, clip.fps, clip.n_frames, "no keypoints")
    return Landmarks.empty(source)


@functools.cache
def _reader(kind: str) -> DatasetReader:
    """For landmarks only, which no label has a part in."""
    return reader(kind, {})


def _check_same(recipe: Recipe, names: tuple[str, str]) -> None:
    if _names_here(recipe.kind, recipe.settings) != names:
        problem = "its code, libraries or weights are not those of the machine that gives it work"
        remedy = "Install the same version there, from the same requirements.txt"
        raise YololstmError(f"worker on {platform.node()}", problem, remedy)


@functools.cache
def _names_here(kind: str, settings: ExtractionSettings | None) -> tuple[str, str]:
    """Found anew: a recipe from elsewhere may bring its own with it."""
    return Recipe(kind, settings).names


_CHANGED: Final = ("it is not the file that was indexed", "Run the index stage again")


def _check_unchanged(path: Path, clip: Clip) -> None:
    if path.is_file() and storage.sha256(path) != clip.sha256:
        raise VideoError(path, *_CHANGED)


# --- many clips ---


def _clear(folder: Path) -> None:
    if folder.is_symlink():
        # Neither is what it points at ours to empty, nor would it fill again.
        problem, remedy = "it is a link", "Delete the link; to have the disk of another folder,"
        raise YololstmError(folder, problem, f"{remedy} set that of DVC's cache: dvc cache dir")
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        problem = f"it cannot be emptied ({error.strerror})"
        remedy = "See that it is a folder of yours, and that nothing else writes to it"
        raise YololstmError(folder, problem, remedy) from error


def _of_clip(clip: Clip, error: YololstmError) -> Problem:
    """Its place is that in the data set; where it lies differs from machine to machine."""
    remedy = error.problem.remedy
    if isinstance(error, WorkerError):
        # What DVC knows of does not change by it.
        remedy += "; then dvc repro -sf extract"
    return replace(error.problem, place=clip.path, remedy=remedy)


def _summary(left_out: Sequence[Problem], n: int) -> str:
    """How many, and why, the commonest first."""
    counts = Counter(problem.problem for problem in left_out).most_common(_N_REASONS)
    reasons = [f"{count}: {problem}" for problem, count in counts]
    if (others := len(left_out) - sum(count for _, count in counts)) > 0:
        reasons.append(f"{others}: other reasons")
    return f"extract: {len(left_out)} of {n} clips are left out ({'; '.join(reasons)})"


@dataclass(frozen=True)
class Extraction:
    """Clips of one data set, by one recipe, into one folder: a file for each.

    index: the file that lists the clips, under the path that it is committed by; see seeding.seed.
    """

    recipe: Recipe
    material: Material
    store: LandmarkStore
    out: Path
    format: LandmarksFormat
    extract: Callable[[Job], Extracted] = extract_clip
    index: Path | None = None

    def run(self, clips: Sequence[Clip], workers: Workers) -> tuple[list[Outcome], list[Problem]]:
        """Outcomes ordered by clip_id, and the clips left out for faults, which are also told.

        What the store has is taken from it, the rest is extracted and put there, clip by clip as
        each is done: who starts again after a crash has lost no more than was in work. Of what was
        in the folder nothing stays. Raises YololstmError where it cannot be emptied.
        """
        outcomes: list[Outcome] = []
        left_out: list[Problem] = []
        jobs: list[Job] = []
        self._seed(clips)
        _clear(self.out)
        with progress("extract", total=len(clips), unit="clips") as advance:
            for clip in clips:
                found = self._taken(clip, self.recipe.names if workers.scheduler else None)
                if isinstance(found, Job):
                    jobs.append(found)
                else:
                    outcomes.append(found)
                    advance(1)
            remark(f"extract: {len(outcomes)} of {len(clips)} clips are stored, {len(jobs)} to do")
            begun_s, frames = time.monotonic(), 0
            for job, result in spread(self.extract, jobs, workers):
                if isinstance(result, DataError | WorkerError):
                    left_out.append(_of_clip(job.clip, result))
                    warn(left_out[-1])
                elif isinstance(result, YololstmError):
                    raise result
                else:
                    self._keep(job.clip, result)
                    outcomes.append(result.outcome)
                    frames += result.outcome.frames
                    if result.outcome.doubt is not None:
                        warn(result.outcome.doubt)
                speed = frames / (time.monotonic() - begun_s)
                advance(1, f"{speed:.0f} frames/s  {len(left_out)} failed")
        self.store.prune()
        if left_out:
            warn(_summary(left_out, len(clips)))
        return sorted(outcomes, key=lambda outcome: outcome.clip.clip_id), sorted(left_out)

    def _seed(self, clips: Sequence[Clip]) -> None:
        """With what was extracted elsewhere, and committed."""
        keys = {key: clip.sha256 for clip in clips if (key := self.recipe.key(clip))}
        wanted = {key: clip for key, clip in keys.items() if not self.store.path(key).exists()}
        if wanted:
            seeding.seed(self.store, wanted, self.out, self.index)

    def _taken(self, clip: Clip, names: tuple[str, str] | None) -> Outcome | Job:
        """Out of the store; or what must still be done."""
        job = Job(clip, self.material, self.recipe, names=names)
        key = self.recipe.key(clip)
        content = self.store.get(key) if key else None
        if content is None:
            return job
        numbers = self.store.get(self.recipe.outcome_key(clip))
        if numbers is None:
            return replace(job, stored=self.store.path(key))
        self._write(clip, content)
        return Outcome.from_json(clip, numbers)

    def _keep(self, clip: Clip, extracted: Extracted) -> None:
        if key := self.recipe.key(clip):
            self.store.put(key, extracted.content)
            self.store.put(self.recipe.outcome_key(clip), extracted.outcome.to_json())
        self._write(clip, extracted.content)

    def _write(self, clip: Clip, content: bytes) -> None:
        path = self.out / f"{clip.clip_id}.{self.format}"
        if self.format == "csv":
            storage.write_landmarks(path, storage.landmarks_from_parquet(content, path))
        else:
            with storage.atomic(path) as temporary:
                temporary.write_bytes(content)
