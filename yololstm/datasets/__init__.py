"""Labelled video on disk, read into clips. One reader for each kind of data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from yololstm.catalogue import Found, OnItem
from yololstm.clips import NORMAL, Clip
from yololstm.datasets.aihub import AihubReader
from yololstm.datasets.folder import FolderReader
from yololstm.datasets.landmarks_csv import LandmarksCsvReader
from yololstm.errors import ParamsError
from yololstm.landmarks import Landmarks

__all__ = ["DatasetReader", "Found", "reader"]


class DatasetReader(Protocol):
    def read(self, root: Path, on_item: OnItem | None = None) -> Found:
        """All clips below ``root``.

        A clip's split is "test" or "val" only where the data set itself says so; UNLABELLED where
        it has no labels; else "train", out of which the index holds some back.
        on_item: called whenever one more file has been looked at.
        Raises DataError where there is no such folder.
        """
        ...

    def landmarks(self, root: Path, clip: Clip) -> Landmarks | None:
        """What the data set itself knows about the persons of a clip that ``read`` gave.

        None where it knows nothing. Raises AnnotationError where the file no longer fits the clip.
        """
        ...


def reader(kind: str, label_map: Mapping[str, str], labels: Sequence[str] = ()) -> DatasetReader:
    """kind: aihub, folder or landmarks_csv.

    label_map: the data set's own word for an event -> its label. labels: further labels that the
    folders of a ``folder`` data set may bear. Raises ParamsError for another kind.
    """
    events = {event.lower(): label for event, label in label_map.items()}
    match kind:
        case "aihub":
            return AihubReader(events)
        case "folder":
            own = {label.lower(): label for label in (*labels, *label_map.values(), NORMAL)}
            return FolderReader(own | events)
        case "landmarks_csv":
            return LandmarksCsvReader()
        case _:
            raise ParamsError(
                "data.kind", f"{kind!r} is unknown", "Known are aihub, folder, landmarks_csv"
            )
