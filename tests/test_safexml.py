from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yololstm import safexml
from yololstm.errors import AnnotationError

MIB = 2**20


def refused(content: bytes) -> str:
    with pytest.raises(AnnotationError) as caught:
        safexml.parse(content, "a.xml")
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_elements_know_their_line() -> None:
    root = safexml.parse(b"<a>\n<!-- said\n --><b c='1'/>\n</a>", "a.xml")
    (inner,) = root
    assert (inner.tag, inner.get("c"), inner.sourceline) == ("b", "1", 3)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp949"])
def test_any_encoding_that_is_declared_is_read(encoding: str) -> None:
    xml = f'<?xml version="1.0" encoding="{encoding}"?><track label="절도_start"/>'
    assert safexml.parse(xml.encode(encoding), "a.xml").get("label") == "절도_start"


@pytest.mark.parametrize(
    ("content", "place", "problem"),
    [
        (b"", "a.xml:1", "not XML"),
        (b"\0\0\0", "a.xml:1", "not XML"),
        (b"<a>\n<b>\n</a>", "a.xml:3", "not XML"),
        (b"<a>\n\xff</a>", "a.xml:2", "not XML"),
        (b'<?xml version="1.0" encoding="none"?><a/>', "a.xml:1", "not XML"),
        (b"<!DOCTYPE a><a/>", "a.xml:1", "document type"),
        (b'<!DOCTYPE a SYSTEM "http://nowhere/a.dtd"><a/>', "a.xml:1", "document type"),
        ("<!DOCTYPE a><a/>".encode("utf-16"), "a.xml:1", "document type"),
    ],
)
def test_what_is_no_such_xml_is_refused(content: bytes, place: str, problem: str) -> None:
    told = refused(content)
    assert told.startswith(f"{place}: ")
    assert problem in told


@pytest.mark.parametrize(
    "document_type",
    [
        '<!DOCTYPE a [<!ENTITY s SYSTEM "file://{0}">]>',
        '<!DOCTYPE a SYSTEM "file://{0}">',
        '<!DOCTYPE a [<!ENTITY % s SYSTEM "file://{0}"> %s;]>',
    ],
)
def test_no_other_file_is_opened(tmp_path: Path, document_type: str) -> None:
    """Were it opened, the parser would complain of what stands in it."""
    secret = tmp_path / "secret"
    secret.write_text("<<< secret", encoding="utf-8")
    told = refused(f"{document_type.format(secret)}<a b='x'>&s;</a>".encode())
    assert "document type" in told


def test_nothing_larger_than_the_limit_is_looked_at() -> None:
    told = refused(b"<a>" + b" " * safexml.MAX_BYTES + b"</a>")
    assert f"more than {safexml.MAX_BYTES} bytes" in told


TENFOLD = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(12))
LAUGHS = f'<!DOCTYPE a [<!ENTITY l0 "ha">{TENFOLD}]>'
LONG = f'<!DOCTYPE a [<!ENTITY x "{"y" * 100_000}">]>'
#: What comes first, what is repeated how often, and what comes last.
HARMFUL = {
    "laughs": (f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a>', "&l12;", 1, "</a>"),
    "laughs in an attribute": (
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a b="',
        "&l12;",
        1,
        '"/>',
    ),
    "a long entity, often": (f"{LONG}<a>", '<b c="&x;"/>', 20_000, "</a>"),
    "deep": ("", "<a>", MIB, ""),
    "a huge attribute": ('<a b="', "x", 15 * MIB, '"/>'),
    "a huge name": ("<", "a", 15 * MIB, "/>"),
    "a huge text": ("<a>", "x", 15 * MIB, "</a>"),
    "one attribute, often": ("<a", " b=''", 3 * MIB, "/>"),
    "many attributes": ("<a>", "<a b='' c='' d='' e='' f=''/>", MIB // 2, "</a>"),
    "many elements": ("<a>", "<a/>", 4_000_000, "</a>"),
}


@pytest.mark.parametrize("kind", HARMFUL)
def test_harm_takes_little_time_and_memory(kind: str, tmp_path: Path) -> None:
    """What costs most is the tree of half a million elements with attributes: 0.6 GB."""
    first, repeated, times, last = HARMFUL[kind]
    harmful = tmp_path / "a.xml"
    harmful.write_text(first + repeated * times + last, encoding="utf-8")
    program = f"""
        import contextlib, resource, pathlib
        from yololstm import safexml
        from yololstm.errors import AnnotationError
        content = pathlib.Path({str(harmful)!r}).read_bytes()
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        before = peak()
        with contextlib.suppress(AnnotationError):
            safexml.parse(content, "a.xml")
        print(peak() - before)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    assert int(ran.stdout) < 1000


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(AnnotationError):
        safexml.parse(content, "a.xml")


@given(st.text(alphabet="<>&;/!?[]a='\"\n %#x0-", max_size=60))
def test_any_markup_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(AnnotationError):
        safexml.parse(f"<a>{text}</a>".encode(), "a.xml")
