"""Labelled video on disk, read into clips. One reader for each kind of data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from yololstm.catalogue import Found, OnItem
from yololstm.clips import NORMAL, Clip
from yololstm.datasets.aihub import AihubReader
from yololstm.datasets.aihub_outdoor import AihubOutdoorReader
from yololstm.datasets.folder import FolderReader
from yololstm.datasets.landmarks_csv import LandmarksCsvReader
from yololstm.errors import ParamsError
from yololstm.landmarks import Landmarks
from yololstm.material import Material

__all__ = ["READERS", "WITHOUT_VIDEO", "WITH_KEYPOINTS", "DatasetReader", "Found", "reader"]


class DatasetReader(Protocol):
    def read(self, material: Material, on_item: OnItem | None = None) -> Found:
        """All clips of a data set.

        A clip's split is "test" or "val" only where the data set itself says so; UNLABELLED where
        it has no labels; else "train", out of which the index holds some back.
        on_item: called whenever one more file has been looked at.
        Raises DataError where there is no such folder.
        """
        ...

    def landmarks(self, material: Material, clip: Clip) -> Landmarks | None:
        """What the data set itself knows about the persons of a clip that ``read`` gave.

        None where it knows nothing. Raises AnnotationError where the file no longer fits the clip.
        """
        ...


def _folder(events: Mapping[str, str], labels: Sequence[str]) -> FolderReader:
    own = {label.lower(): label for label in (*labels, *events.values(), NORMAL)}
    return FolderReader({**own, **events})


READERS: Final[Mapping[str, Callable[[Mapping[str, str], Sequence[str]], DatasetReader]]] = {
    "aihub": lambda events, _: AihubReader(events),
    "aihub_outdoor": lambda events, _: AihubOutdoorReader(events),
    "folder": _folder,
    "landmarks_csv": lambda *_: LandmarksCsvReader(),
}
"""By kind, what makes a reader of it; see reader."""
WITHOUT_VIDEO: Final = frozenset({"landmarks_csv"})
"""Kinds of data set that bring landmarks in place of video."""
WITH_KEYPOINTS: Final = WITHOUT_VIDEO | {"aihub"}


def reader(kind: str, label_map: Mapping[str, str], labels: Sequence[str] = ()) -> DatasetReader:
    """kind: one of READERS.

    label_map: the data set's own word for an event -> its label. labels: further labels that the
    folders of a ``folder`` data set may bear. Raises ParamsError for another kind.
    """
    if kind not in READERS:
        raise ParamsError("data.kind", f"{kind!r} is unknown", f"Known are {', '.join(READERS)}")
    return READERS[kind]({event.lower(): label for event, label in label_map.items()}, labels)
