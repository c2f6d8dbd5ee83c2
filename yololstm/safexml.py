"""XML that is not trusted: no entity, document type or address in it is followed."""

from __future__ import annotations

from typing import Final, TypeAlias

from lxml import etree

from yololstm.errors import AnnotationError

Element: TypeAlias = etree._Element
XPath = etree.XPath

MAX_BYTES: Final = 16 * 2**20
"""Three people's 17 keypoints over a minute at 30 frames a second. The tree of an XML file can be
40 times its size."""

_SHOWN: Final = 160
_GET_AGAIN: Final = "Mend that line, or fetch the file again"


def parse(content: bytes, place: str) -> Element:
    """The root. Comments and processing instructions are left out; elements know their line.

    Raises AnnotationError, with the line, where it is not XML, is larger than MAX_BYTES, or
    declares a document type.
    """
    if len(content) > MAX_BYTES:
        raise AnnotationError(place, f"more than {MAX_BYTES} bytes", "Take it out of the data")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        problem = f"not XML ({' '.join(error.msg.split())[:_SHOWN]})"
        raise AnnotationError(f"{place}:{error.lineno or 1}", problem, _GET_AGAIN) from error
    if root.getroottree().docinfo.internalDTD is not None:
        problem = "it declares a document type, which no annotation needs"
        raise AnnotationError(f"{place}:1", problem, _GET_AGAIN)
    return root
