"""Pages in Markdown, read as far as tests ask of them: blocks of code, code in the text, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.people import ROOT

PAGES: Final = (
    *(ROOT / name for name in ("README.md", "README.ko.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)

_FENCED: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REMARK: Final = re.compile(r"<!--\s*([a-z ]+):\s*(.*?)\s*-->\n\Z", re.DOTALL)
_SPAN: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK: Final = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    place: str
    """Page and line."""
    language: str
    code: str
    remark: tuple[str, str]
    """Of the HTML comment right above it: ``<!-- not run: it takes minutes -->``."""
    follows: bool
    """Whether nothing stands between it and the block before it."""

    def remarked(self, word: str) -> str:
        """What the comment says after this word; empty where it says nothing of the kind."""
        return self.remark[1] if self.remark[0] == word else ""


def blocks(text: str, page: str) -> list[Block]:
    return list(_blocks(text, page))


def _blocks(text: str, page: str) -> Iterator[Block]:
    end = 0
    for found in _FENCED.finditer(text):
        between = text[end : found.start()]
        remark = _REMARK.search(between)
        said = (remark[1], " ".join(remark[2].split())) if remark else ("", "")
        follows = end > 0 and not (between[: remark.start()] if remark else between).strip()
        place = f"{page}, line {text[: found.start()].count(chr(10)) + 1}"
        yield Block(place, found[1], found[2], said, follows)
        end = found.end()


def spans(text: str) -> list[str]:
    """What stands between backticks in the running text."""
    return [" ".join(span.split()) for span in _SPAN.findall(_FENCED.sub("", text))]


def links(text: str) -> list[str]:
    return _LINK.findall(_SPAN.sub("", _FENCED.sub("", text)))


def anchors(text: str) -> set[str]:
    """What links to a page's headings may end in, as GitHub makes them of the headings."""
    named = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(text))
    return {name.strip().replace(" ", "-") for name in named}
