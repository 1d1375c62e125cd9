"""XMP and IPTC blocks -> what people wrote about a picture, as lists of texts by property name.

Knows the two notations; which property counts for what is exif's decision. XMP: ISO 16684-1; IPTC-IIM 4.2, record 2.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from image_catalog.metadata_text import clean_text, decoded

Properties = dict[str, list[str]]

_LARGEST_PACKET = 4 << 20
_MOST_VALUES = 500
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_ARRAYS = frozenset({f"{_RDF}Bag", f"{_RDF}Seq", f"{_RDF}Alt"})
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_PREFIXES = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
    "http://www.metadataworkinggroup.com/schemas/regions/": "mwg-rs",
    "http://ns.microsoft.com/photo/1.2/t/RegionInfo#": "MP",
    "http://ns.microsoft.com/photo/1.2/t/Region#": "MPReg",
}
# Names of the data sets of record 2 that are read, by the XMP property with the same meaning.
_IPTC_NAMES = {
    5: "dc:title",
    25: "dc:subject",
    55: "date",
    60: "time",
    80: "dc:creator",
    90: "photoshop:City",
    92: "Iptc4xmpCore:Location",
    95: "photoshop:State",
    101: "photoshop:Country",
    105: "photoshop:Headline",
    116: "dc:rights",
    120: "dc:description",
}


def parse_xmp(packet: bytes | str) -> Properties:
    """Properties of an XMP packet or sidecar, keyed `prefix:name`; nothing when it is damaged.

    A packet with a document type is refused: XMP has none, and entities are how XML grows without bound.
    """
    raw = packet.encode("utf-8", "surrogatepass") if isinstance(packet, str) else packet
    begin, end = raw.find(b"<x:xmpmeta"), raw.rfind(b"</x:xmpmeta>")
    if begin >= 0 and end >= 0:
        raw = raw[begin : end + len(b"</x:xmpmeta>")]
    raw = raw.strip(b"\0 \r\n\t")
    if len(raw) > _LARGEST_PACKET or re.search(rb"<!(DOCTYPE|ENTITY)", raw, re.IGNORECASE):
        return {}
    try:
        root = ElementTree.fromstring(raw)  # noqa: S314 - no document type, bounded
    except (ElementTree.ParseError, ValueError, LookupError):
        return {}
    found: Properties = {}
    for element in root.iter():
        if element.tag == f"{_RDF}Description" or element.get(f"{_RDF}parseType") == "Resource":
            _collect(element, found)
    return found


def _collect(element: ElementTree.Element, found: Properties) -> None:
    """Properties stand as attributes of a structure (rdf:Description, or parseType="Resource") or as its child elements."""
    for name, value in element.attrib.items():
        _add(found, name, [value])
    for child in element:
        _add(found, child.tag, _values(child))


def _add(found: Properties, tag: str, values: list[str]) -> None:
    namespace, _, name = tag[1:].partition("}")
    prefix = _PREFIXES.get(namespace)
    if prefix is None:
        return
    texts = [text for value in values[:_MOST_VALUES] if (text := clean_text(value))]
    if texts:
        found.setdefault(f"{prefix}:{name}", []).extend(texts)


def _values(element: ElementTree.Element) -> list[str]:
    """The text of a simple property, or the items of an array; of language alternatives only one."""
    array = next((child for child in element if child.tag in _ARRAYS), None)
    if array is None:
        return [element.text or ""]
    items = array.findall(f"{_RDF}li")
    if array.tag == f"{_RDF}Alt":
        items.sort(key=lambda item: item.get(_LANGUAGE) != "x-default")
        return [next((item.text for item in items if item.text and item.text.strip()), "")]
    return [item.text or "" for item in items]


def parse_iptc(image: Any) -> Properties:
    """IPTC of an image that Pillow opened (JPEG and TIFF have it), under the names of the XMP properties."""
    from PIL import IptcImagePlugin

    try:
        records = IptcImagePlugin.getiptcinfo(image) or {}
    except Exception:  # SyntaxError, struct.error, ... on damaged blocks
        return {}
    found: Properties = {}
    for (record, number), value in records.items():
        name = _IPTC_NAMES.get(number) if record == 2 else None
        if name is not None:
            values = value if isinstance(value, list) else [value]
            texts = [clean_text(decoded(item)) for item in values[:_MOST_VALUES] if isinstance(item, bytes)]
            found[name] = [text for text in texts if text]
    return found
