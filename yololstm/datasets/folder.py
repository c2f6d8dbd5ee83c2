"""Videos sorted into folders by label: ``<root>/<label>/*.mp4``.

Where the splits are made already: ``<root>/{train,val,test}/<label>/*.mp4``. A clip shows its
label from end to end. A trailing camera, ``_CA`` or ``_cam2``, is no part of the take's name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Final

from yololstm import video
from yololstm.catalogue import Found, OnItem, collect, video_clip, whole_clip
from yololstm.clips import SPLITS, Clip
from yololstm.errors import AnnotationError
from yololstm.landmarks import Landmarks
from yololstm.material import Material

_CAMERA: Final = re.compile(r"(?P<take>.+)_(?P<camera>C[A-Z]|CAM\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class FolderReader:
    labels: Mapping[str, str]
    """What a folder may be called, in lower case -> the label of its clips."""

    def read(self, material: Material, on_item: OnItem | None = None) -> Found:
        listing = material.listing(video.SUFFIXES)
        return collect(partial(self._clips, material), listing.paths, on_item, listing=listing)

    def landmarks(self, material: Material, clip: Clip) -> Landmarks | None:
        return None

    def _clips(self, material: Material, path: PurePosixPath) -> Iterable[Clip]:
        split, folder = _split_and_folder(path)
        label = self._label(folder, path)
        named = _CAMERA.fullmatch(path.stem)
        stem, camera = (named["take"], named["camera"].upper()) if named else (path.stem, "")
        facts = material.video_facts(path)
        spans = whole_clip(label, float(facts.info.n_frames / facts.info.fps))
        # Files are often numbered anew in every label's folder, so the label is part of the take.
        take = f"{label}/{stem}"
        yield video_clip(path, facts, take=take, camera=camera, split=split, spans=spans)

    def _label(self, folder: str, path: PurePosixPath) -> str:
        if folder in self.labels:
            return self.labels[folder]
        known = sorted(self.labels)
        near = difflib.get_close_matches(folder, known, n=1, cutoff=0.5)
        nearest = f"the nearest label is {near[0]}" if near else f"labels are {', '.join(known)}"
        problem = f"folder {folder!r} is no label" if folder else "it lies in no label's folder"
        raise AnnotationError(str(path), problem, f"Move it into <label>/; {nearest}")


def _split_and_folder(path: PurePosixPath) -> tuple[str, str]:
    """The split and the lower-case name of the label's folder; empty for a file with none."""
    folders = [part.lower() for part in path.parts[:-1]]
    if len(folders) >= 2 and folders[0] in SPLITS:
        return folders[0], folders[1]
    return "train", folders[0] if folders else ""
