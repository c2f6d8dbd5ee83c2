"""Everything that a user can cause and mend, as one tree of exceptions.

YololstmError
  ParamsError         a key, type or range in params.yaml or on the command line
  DataError           something is wrong with the material
    VideoError          a file cannot be decoded, or not to its end
    AnnotationError     a label file (XML, CSV) says something impossible
    LandmarksError      a landmarks file is broken or of another format
  WeightsError        a model file is absent, damaged or not the one asked for
  CheckpointError     a checkpoint is damaged or does not fit this version
  WorkerError         a process died or hung over its work, or the cluster is out of reach
  EmptyError          a step would go on with nothing: no clips, no windows, one class
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong, told so that its reader can mend it.

    place: file, and within it the line, frame or key; problem: what is wrong there;
    remedy: what to do about it. Reports list these; errors carry one.
    """

    place: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}. {self.remedy}."


class YololstmError(Exception):
    """Base of every error of ours. Survives a trip between processes."""

    def __init__(self, place: str | Path, problem: str, remedy: str) -> None:
        super().__init__(str(place), problem, remedy)
        self.problem = Problem(str(place), problem, remedy)

    def __str__(self) -> str:
        return str(self.problem)


class ParamsError(YololstmError): ...


class DataError(YololstmError): ...


class VideoError(DataError): ...


class AnnotationError(DataError): ...


class LandmarksError(DataError): ...


class WeightsError(YololstmError): ...


class CheckpointError(YololstmError): ...


class WorkerError(YololstmError): ...


class EmptyError(YololstmError): ...
