from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yololstm import drawing
from yololstm.clips import NORMAL, Span
from yololstm.drawing import Image, Person, Scene, Status, Strip, Timeline
from yololstm.skeleton import BONES, JOINTS, N_JOINTS

LABELS = ("theft", "assault", "damage", NORMAL)
COLOURS = drawing.palette(LABELS)
WIDTH, HEIGHT = 640, 480
NO_BAGS = np.empty((0, 4), dtype=np.float32)


def frame(width: int = WIDTH, height: int = HEIGHT) -> Image:
    return np.full((height, width, 3), 128, dtype=np.uint8)


def timeline(*labels: str | None, truth: list[Span] | None = None) -> Timeline:
    statuses = [
        None if label is None else Status(label, None if label == NORMAL else 0.9)
        for label in labels
    ]
    return Timeline(10.0, statuses or [None], truth)


def strip(width: int = WIDTH, height: int = HEIGHT, line: Timeline | None = None) -> Strip:
    return drawing.strip(line or timeline(), width, height, COLOURS)


def person(
    *,
    x: float = 320.0,
    top: float = 120.0,
    status: Status | None = None,
    confidence: float = 1.0,
    track: int = 1,
) -> Person:
    """A stick figure in a box of 80 by 240 pixels."""
    across = {"LEFT": 1, "RIGHT": -1, "HEAD": 0}
    at = {
        **{"HEAD": (0, 10), "SHOULDER": (24, 40), "ELBOW": (34, 80), "WRIST": (38, 110)},
        **{"HIP": (16, 130), "KNEE": (18, 180), "ANKLE": (20, 230)},
    }
    places = [(at[joint.split("_")[0]], across[joint.split("_")[-1]]) for joint in JOINTS]
    xy = [(x + side * dx, top + dy) for (dx, dy), side in places]
    return Person(
        track=track,
        box=np.array([x - 40, top, x + 40, top + 240], dtype=np.float32),
        xy=np.array(xy, dtype=np.float32),
        confidence=np.full(N_JOINTS, confidence, dtype=np.float32),
        status=status,
    )


def scene(*persons: Person, bags: np.ndarray = NO_BAGS, status: Status | None = None) -> Scene:
    return Scene(5.0, persons, bags, status)


def draw(drawn: Scene, image: Image | None = None) -> Image:
    return drawing.draw(frame() if image is None else image, drawn, strip(), COLOURS)


def pixels_of(image: Image, colour: drawing.Colour) -> int:
    return int((np.abs(image.astype(int) - colour).max(axis=-1) <= 2).sum())


def shows(image: Image, x: float, y: float, colour: drawing.Colour) -> bool:
    """Whether a pixel at or beside (x, y) has that colour, give or take a smoothed edge."""
    around = image[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2].astype(int)
    return bool((np.abs(around - colour).max(axis=-1) < 12).any())


@pytest.mark.parametrize("label", LABELS)
def test_every_bone_has_the_colour_of_the_label(label: str) -> None:
    p = person(status=Status(label, 0.9))
    image = draw(scene(p))
    for bone in BONES:
        assert shows(image, *p.xy[list(bone)].mean(axis=0), COLOURS[label])


def test_a_joint_stands_out_from_its_bones() -> None:
    p = person()
    image = draw(scene(p))
    for x, y in p.xy.round().astype(int):
        assert image[y, x].min() > 230


def test_the_frame_itself_stays_as_it_was() -> None:
    image = frame()
    draw(scene(person()), image)
    assert (image == 128).all()


def test_absent_joints_and_their_bones_are_left_out() -> None:
    p = person(status=Status("theft", 0.9))
    wrist, elbow = JOINTS.index("WRIST_LEFT"), JOINTS.index("ELBOW_LEFT")
    (x, y), forearm = p.xy[wrist].copy(), p.xy[[wrist, elbow]].mean(axis=0)
    p.xy[wrist] = np.nan
    image = draw(scene(p))
    assert tuple(image[round(y), round(x)]) == (128, 128, 128)
    assert not shows(image, *forearm, COLOURS["theft"])
    assert shows(image, *p.xy[elbow] - (2, 12), COLOURS["theft"])


def test_unsure_joints_are_fainter_and_unseen_ones_absent() -> None:
    bodies = [
        draw(scene(person(status=Status("theft", 0.9), confidence=c)))[140:340, 285:355]
        for c in (0.9, 0.3, 0.05)
    ]
    marked = [int((body != 128).any(axis=-1).sum()) for body in bodies]
    assert marked[0] > marked[1] > marked[2] == 0


def test_a_person_without_any_joint_still_has_a_box_and_a_number() -> None:
    p = person(status=Status("theft", 0.9))
    p.xy[:] = np.nan
    p.confidence[:] = 0
    image = draw(scene(p))
    assert shows(image, 290, 120, COLOURS["theft"])
    assert pixels_of(image[90:120], COLOURS["theft"]) > 300


def test_bags_have_corners_of_their_own_colour() -> None:
    plain = draw(scene())
    image = draw(scene(bags=np.array([[100, 300, 160, 360]], dtype=np.float32)))
    assert (image != plain).any()
    cool = {tuple(image[300, 101]), tuple(image[359, 160])}
    assert not cool & {*COLOURS.values(), (128, 128, 128)}


def test_tags_of_persons_who_touch_do_not_cover_each_other() -> None:
    statuses = [Status("theft", 0.9), Status("assault", 0.8), Status("damage", 0.7)]
    together = scene(*(person(x=300 + 4 * i, status=s) for i, s in enumerate(statuses)))
    apart = [scene(person(x=300 + 4 * i, status=s)) for i, s in enumerate(statuses)]
    for status, alone in zip(statuses, apart, strict=True):
        colour = COLOURS[status.label]
        tag = pixels_of(draw(alone)[60:121], colour)
        assert pixels_of(draw(together)[60:200, 250:450], colour) > 0.9 * tag


def test_the_status_is_named_in_its_colour() -> None:
    image = draw(scene(status=Status("assault", 0.93)))
    assert pixels_of(image[:60, :200], COLOURS["assault"]) > 1000
    assert pixels_of(draw(scene())[:60, :200], COLOURS["assault"]) == 0


def test_persons_alone_can_be_marked() -> None:
    theft = scene(person(status=Status("theft", 0.9)))
    marked, whole = drawing.mark(frame(), theft, COLOURS), draw(theft)
    body = slice(130, 350), slice(280, 360)
    np.testing.assert_array_equal(marked[body], whole[body])
    assert pixels_of(marked[:120], COLOURS["theft"]) > 500  # their tag
    assert not (marked[380:] != frame()[380:]).any()
    assert not (marked[:60] != frame()[:60]).any()


def test_text_differs_with_what_it_says() -> None:
    images = [
        draw(scene(person(status=status, track=track)))
        for status, track in [
            (None, 1),
            (None, 2),
            (Status("theft", 0.91), 1),
            (Status("theft", 0.92), 1),
            (Status(NORMAL), 1),
        ]
    ]
    for a, b in combinations(images, 2):
        assert (a != b).any()


def test_labels_in_hangul_are_drawn_and_told_apart() -> None:
    labels = ("절도", "폭행", NORMAL)
    colours = drawing.palette(labels)
    line = drawing.strip(timeline(), WIDTH, HEIGHT, colours)
    theft, assault = (
        # In one colour, so that only the words differ.
        drawing.draw(frame(), scene(status=Status(x, 0.9)), line, dict.fromkeys(labels, (9, 9, 9)))
        for x in labels[:2]
    )
    assert (theft != assault).any()


def test_the_timeline_shows_prediction_truth_and_moment() -> None:
    line = timeline(
        *[NORMAL] * 50, *["theft"] * 50, truth=[Span(2.5, 5.0, "assault"), Span(9, 10, "odd")]
    )
    s = strip(line=line)
    image = s.image

    def column(share: float) -> Image:
        return image[:, s.left + round(share * (s.right - s.left))][:, None]

    height = pixels_of(column(0.75), COLOURS["theft"])
    assert height > 3 * pixels_of(column(0.2), COLOURS[NORMAL]) > 0
    assert pixels_of(column(0.2), COLOURS["assault"]) == 0
    assert pixels_of(column(0.3), COLOURS["assault"]) > 0
    assert pixels_of(column(0.95), drawing.UNKNOWN) > 0

    drawn = drawing.draw(frame(), scene(), s, COLOURS)
    playhead = (drawn[-len(image) :].min(axis=-1) > 220).all(axis=0)
    (at,) = {round(float(np.flatnonzero(playhead).mean()))}
    assert at == pytest.approx((s.left + s.right) / 2, abs=1.5)


def test_without_truth_the_timeline_has_no_row_for_it() -> None:
    assert len(strip(line=timeline("theft", truth=[])).image) > len(
        strip(line=timeline("theft")).image
    )


def test_probable_is_higher_than_improbable() -> None:
    def height(probability: float) -> int:
        line = Timeline(10.0, [Status("theft", probability)], None)
        return pixels_of(strip(line=line).image[:, -40:], COLOURS["theft"])

    assert height(0.9) > height(0.6) > 0


def test_text_and_lines_grow_with_the_frame() -> None:
    shares = []
    for width, height in [(854, 480), (1920, 1080)]:
        s = strip(width, height)
        shares.append(len(s.image) / height)
    assert shares[0] == pytest.approx(shares[1], rel=0.4)


def test_labels_have_colours_that_even_the_colour_blind_tell_apart() -> None:
    """Distance in lightness and hue after Viénot's (1999) simulation of a missing red or green."""
    protan = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    deutan = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    colours = np.array([COLOURS[label] for label in LABELS], dtype=float)
    for matrix in (np.eye(3), protan, deutan):
        # The simulation is of linear light.
        linear = (colours / 255) ** 2.2
        seen = (linear @ matrix.T).clip(0, 1) ** (1 / 2.2) * 255
        assert all(np.abs(a - b).max() > 35 for a, b in combinations(seen, 2))


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(16, 400),
    height=st.integers(16, 400),
    box=st.tuples(*[st.floats(-1e5, 1e5, width=32)] * 4),
    holes=st.sets(st.integers(0, N_JOINTS - 1)),
    n=st.integers(0, 6),
)
def test_any_person_on_any_frame_is_drawn(
    width: int, height: int, box: tuple[float, ...], holes: set[int], n: int
) -> None:
    p = person(status=Status("a label that is far too long for the frame", 0.5))
    p.xy[list(holes)] = np.nan
    odd = Person(p.track, np.array(box, dtype=np.float32), p.xy * 1e6, p.confidence, None)
    line = strip(width, height, timeline("theft", None, truth=[Span(-5, 90, "theft")]))
    image = drawing.draw(frame(width, height), scene(*[p, odd] * n), line, COLOURS)
    assert image.shape == (height, width, 3)
    assert (image != 128).any()


def test_the_canvas_is_dark_and_of_the_size_asked_for() -> None:
    canvas = drawing.canvas(300, 200)
    assert canvas.shape == (200, 300, 3)
    assert canvas.max() < 60
