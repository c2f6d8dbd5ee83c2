from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

from tests.test_census import LABELS, clip, shop
from yololstm import census
from yololstm.clips import Clip, Span
from yololstm.errors import Problem
from yololstm.page import Findings, Picture, render

NOTHING = Findings([], [], [])


class _Tags(HTMLParser):
    """Elements in order, and whether each that was opened was closed."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(
    clips: list[Clip], findings: Findings = NOTHING, title: str = "shop", jpeg: bytes = b"jpeg"
) -> str:
    pictures = [Picture(example, jpeg) for example in census.examples(clips, LABELS)]
    return render(title, census.count(clips, LABELS), findings, pictures)


def text_of(page: str) -> str:
    body = page.partition("<body>")[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def problems(n: int, remedy: str = "Mend it", place: str = "a/{}.xml:3") -> list[Problem]:
    return [Problem(place.format(i), f"broken {i}", remedy) for i in range(n)]


def test_headline_numbers() -> None:
    findings = Findings(problems(2), problems(3), problems(1))
    assert text_of(page_of(shop(), findings)).startswith(
        " shop 12 clips 6 takes 2.0 min of video 2 left out for faults"
        " 3 left out without a label 1 to be looked at "
    )


def test_table_has_sums_and_marks_what_was_never_filmed() -> None:
    clips = [c for c in shop() if (c.store, c.camera, c.label) != ("SMA", "CB", "theft")]
    page = page_of(clips)
    assert page.count('<td class="number zero">0</td>') == 1
    assert '<th rowspan="2">DYA</th>' in page
    text = text_of(page)
    assert " Store Camera theft assault normal all DYA CA 1 1 1 3 CB 1 1 1 3 SMA " in text
    assert " SMA CA 1 1 1 3 CB 0 1 1 2 all 3 4 4 11 " in text


def test_label_without_clips_is_marked_in_every_row() -> None:
    clips = [c for c in shop() if c.label != "assault"]
    assert page_of(clips).count("zero") == page_of([]).count("zero") + 5


def test_lengths_are_told_and_drawn() -> None:
    page = page_of([*shop(), clip("long", "theft", n_frames=60)])
    text = text_of(page)
    assert " theft 3 1.0 min 5 10.0 – 10.0 – 20.0 s 5 3.0 s " in text
    assert " normal 2 0.7 min 4 10.0 s 0 " in text
    charts = re.findall(r"<svg.*?</svg>", page)
    assert len(charts) == 5
    bars = [[float(bar.get("x", "nan")) for bar in ET.fromstring(c).iter("rect")] for c in charts]
    assert bars[0] == [64.0, 124.0]  # 10 s is in the middle of the scale, 20 s at its end
    assert bars[2] == [64.0]


def test_examples_show_picture_take_and_span() -> None:
    page = page_of(shop())
    images = _Tags(page).of("img")
    assert len(images) == 9
    assert {image["src"] for image in images} == {"data:image/jpeg;base64,anBlZw=="}
    assert " DYA-theft_CA take DYA-theft store DYA, camera CA 2.00 to 5.00 s of 10.00 s " in (
        text_of(page)
    )


def test_example_that_cannot_be_shown_says_so() -> None:
    examples = census.examples(shop()[:2], LABELS)
    pictures = [Picture(examples[0], missing="the file is empty"), Picture(examples[1])]
    page = render("shop", census.count(shop(), LABELS), NOTHING, pictures)
    assert " no picture: the file is empty " in text_of(page)
    assert page.count("no picture") == 1
    assert not _Tags(page).of("img")


def test_problems_are_grouped_by_what_is_to_be_done() -> None:
    alone = [*problems(2, "Drop it"), *problems(1, "Burn it")]
    faults = [*problems(5, "Fetch it"), *problems(30, "Mend it"), *alone]
    page = page_of(shop(), Findings(faults, problems(1, "Map it"), []))
    text = text_of(page)
    for name in ("Faults 38 left out", "Without a label 1 left out"):
        assert name in text
    assert "To be looked at" not in text
    assert re.findall(r"\d+ (?:Mend it|Fetch it|Map it|See beside each what to do)", text) == [
        *("30 Mend it", "5 Fetch it", "3 See beside each what to do", "1 Map it"),
    ]
    assert text.count("a/0.xml:3 broken 0") == 5
    assert "a/1.xml:3 broken 1 Drop it" in text


def test_what_was_not_opened_stands_first() -> None:
    hidden = problems(2, "Fetch it", "{}.zip")
    page = page_of(shop(), Findings(problems(1), [], [], hidden))
    text = text_of(page)
    assert " of video 2 not opened at all 1 left out for faults " in text
    assert " Not opened 2 missing with all they hold, by what is to be done about them. " in text
    assert "0.zip broken 0 1.zip broken 1" in text
    assert [a["id"] for _, a in _Tags(page).tags if "id" in a] == ["unreadable", "fault"]
    assert "not opened" not in text_of(page_of(shop(), Findings(problems(1), [], [])))


def test_sound_data_are_said_to_be_sound() -> None:
    assert "Nothing wrong was found" in text_of(page_of(shop()))
    assert "Nothing wrong" not in text_of(page_of(shop(), Findings([], [], problems(1))))


def test_whatever_comes_from_the_data_set_is_escaped() -> None:
    bad = "<script>alert('\"&')</script>"
    evil = replace(
        clip(bad, bad, bad, bad),
        clip_id=bad,
        path=bad,
        actors=bad,
        spans=(Span(0, 1, bad), Span(2, 3, f"{bad}2")),
    )
    found = [Problem(bad, bad, bad)]
    examples = census.examples([evil], [bad])
    pictures = [Picture(examples[0], b"x"), Picture(examples[0], missing=bad)]
    findings = Findings(found * 3, found, found)
    page = render(bad, census.count([evil], [bad]), findings, pictures)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&#39;&#34;&amp;&#39;)&lt;/script&gt;") > 20
    tags = _Tags(page)
    assert tags.open == []
    assert not tags.of("script")


def test_page_is_whole_and_fetches_nothing() -> None:
    page = page_of(shop(), Findings(problems(30), problems(1), problems(2)))
    tags = _Tags(page)
    assert tags.open == []
    attributes = [name for _, having in tags.tags for name in having]
    assert not {"srcset", "onclick", "onload"}.intersection(attributes)
    ids = {a["id"] for _, a in tags.tags if "id" in a}
    links = [str(a["href"]) for _, a in tags.tags if "href" in a]
    assert {link.removeprefix("#") for link in links} == ids == {"fault", "unmapped", "doubt"}
    assert all(str(a["src"]).startswith("data:") for _, a in tags.tags if "src" in a)
    assert not re.search(r"https?:|url\(|@import", page)
    assert {"link", "script", "iframe"}.isdisjoint(tag for tag, _ in tags.tags)


def test_same_values_give_the_same_page() -> None:
    findings = Findings(problems(3), problems(2), problems(4))
    assert page_of(shop(), findings) == page_of(shop(), findings)


def test_nothing_found_is_a_page_too() -> None:
    page = page_of([], Findings(problems(1), [], []))
    assert _Tags(page).open == []
    assert " 0 clips 0 takes 0.0 min of video 1 left out for faults " in text_of(page)


def test_ten_thousand_clips_make_a_small_page_soon() -> None:
    labels = [*LABELS, "damage", "fall"]
    clips = [
        clip(
            f"C_3_12_{i}_BU_07-31_16-15-01",
            labels[i % 5],
            f"C{'ABCDEFGH'[i % 8]}",
            f"S{i % 7}",
            actors=f"DF{i % 50}_M{i % 11}",
            n_frames=150 + i % 90,
        )
        for i in range(10_000)
    ]
    found = problems(10_000, "Fetch the file again", "Training/원천데이터/이상행동 절도/{}.xml:3")
    start = time.process_time()
    doubts = census.doubts(clips, labels)
    examples = census.examples(clips, labels)
    pictures = [Picture(example, b"0" * 20_000) for example in examples]
    page = render("x", census.count(clips, labels), Findings(found, [], doubts), pictures)
    assert time.process_time() - start < 30
    assert len(page.encode()) < 5e6
