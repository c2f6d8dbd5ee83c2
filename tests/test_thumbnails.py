from __future__ import annotations

import zipfile
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.test_census import clip
from tests.test_video import B_FRAMES, STEADY_MS, Decoding, moving
from yololstm import thumbnails, video
from yololstm.census import Example
from yololstm.clips import Box, Clip, Span
from yololstm.material import Material
from yololstm.page import Picture

WIDTH, HEIGHT, N_FRAMES = 640, 360, 12


def write_video(path: Path) -> None:
    """Frame i is of brightness 20 i; 3 frames a second."""
    with video.writing(path, Fraction(3), WIDTH, HEIGHT) as writer:
        for i in range(N_FRAMES):
            writer.write(np.full((HEIGHT, WIDTH, 3), 20 * i, dtype=np.uint8))


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    write_video(root / "sound.mp4")
    (root / "empty.mp4").write_bytes(b"")
    (root / "torn.mp4").write_bytes((root / "sound.mp4").read_bytes()[:2000])
    with zipfile.ZipFile(root / "part.zip", "w") as part:
        part.write(root / "sound.mp4", "in/a.mp4")
    return root


def example(path: str, *spans: Span) -> Example:
    filmed: Clip = clip("t", "theft", path=path, spans=spans, n_frames=N_FRAMES)
    return Example("theft", filmed, spans[0] if spans else None)


def picture_of(root: Path, shown: Example) -> Picture:
    [picture] = thumbnails.pictures(Material(root, root.parent / "cache"), [shown])
    assert picture.example == shown
    return picture


def decoded(jpeg: bytes) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(image)[..., ::-1]


@pytest.mark.parametrize(("start_s", "frame"), [(0.0, 0), (1.0, 3), (1.3333, 4), (3.6667, 11)])
def test_frame_at_the_start_of_the_span(root: Path, start_s: float, frame: int) -> None:
    picture = picture_of(root, example("sound.mp4", Span(start_s, 4, "theft")))
    image = decoded(picture.jpeg)
    assert image.shape == (180, 320, 3)
    assert abs(image.mean() - 20 * frame) < 3


def test_long_video_is_not_decoded_from_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding = Decoding(monkeypatch)
    moving(tmp_path / "a.mp4", STEADY_MS, "libx264", **B_FRAMES)
    shown = example("a.mp4", Span(STEADY_MS[50] / 1000, 4, "theft"))
    assert decoding.during(lambda: picture_of(tmp_path, shown)) <= 21
    frame = list(video.read(tmp_path / "a.mp4"))[50]
    assert picture_of(tmp_path, shown).jpeg == thumbnails.thumbnail(frame.image, None)


def test_clip_without_span_is_shown_a_little_later(root: Path) -> None:
    image = decoded(picture_of(root, example("sound.mp4")).jpeg)
    assert abs(image.mean() - 20 * 6) < 3


def test_box_is_drawn_where_it_is(root: Path) -> None:
    box = Box(200, 100, 400, 300)
    image = decoded(picture_of(root, example("sound.mp4", Span(1, 4, "theft", box))).jpeg)
    coloured = np.ptp(image.astype(int), axis=2) > 80
    rows, columns = np.nonzero(coloured)
    assert np.allclose([columns.min(), columns.max()], [100, 200], atol=2)
    assert np.allclose([rows.min(), rows.max()], [50, 150], atol=2)
    assert not coloured[60:140, 110:190].any()


def test_colours_are_not_swapped() -> None:
    red = np.zeros((48, 64, 3), dtype=np.uint8)
    red[..., 0] = 200
    assert np.allclose(decoded(thumbnails.thumbnail(red, None)).mean((0, 1)), [200, 0, 0], atol=6)


@pytest.mark.parametrize(
    ("size", "thumb"),
    [((1080, 1920), (180, 320)), ((1920, 1080), (320, 180)), ((30, 40), (30, 40))],
)
def test_thumbnails_are_small(size: tuple[int, int], thumb: tuple[int, int]) -> None:
    jpeg = thumbnails.thumbnail(np.zeros((*size, 3), dtype=np.uint8), Box(0, 0, *size[::-1]))
    assert decoded(jpeg).shape[:2] == thumb


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("empty.mp4", "the file is empty"),
        ("torn.mp4", "cannot be decoded"),
        ("gone.mp4", "no such file"),
    ],
)
def test_clip_that_cannot_be_decoded_says_why(root: Path, path: str, told: str) -> None:
    picture = picture_of(root, example(path, Span(1, 4, "theft")))
    assert picture.jpeg == b""
    assert told in picture.missing
    assert str(root) not in picture.missing


def test_span_after_the_end_of_the_video_says_so(root: Path) -> None:
    picture = picture_of(root, example("sound.mp4", Span(9, 10, "theft")))
    assert (picture.jpeg, picture.missing) == (b"", "the video ends before 9.00 s")


def test_rows_of_a_csv_have_no_picture(root: Path) -> None:
    assert picture_of(root, example("walk.csv#row=2-89")).missing == ""


def test_video_in_a_zip_is_shown(root: Path) -> None:
    picture = picture_of(root, example("part.zip/in/a.mp4", Span(1, 4, "theft")))
    assert decoded(picture.jpeg).shape == (180, 320, 3)


def test_many_pictures_come_in_order_and_alike(root: Path) -> None:
    shown = [example("sound.mp4", Span(i / 3, 4, "theft")) for i in range(8)]
    material = Material(root, root.parent / "cache")
    first, second = (thumbnails.pictures(material, shown) for _ in range(2))
    assert first == second
    assert [picture.example for picture in first] == shown
    means = [decoded(picture.jpeg).mean() for picture in first]
    assert means == sorted(means)
