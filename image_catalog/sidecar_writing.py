"""Descriptions as XMP sidecars (photo.jpg.xmp), so that other programs find them, too.

Knows what a sidecar of ours looks like and when a file may be written; the originals are never touched, and neither is another
program's sidecar unless that is asked for. XMP: ISO 16684-1; dc:description is a language alternative, dc:subject a bag.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from image_catalog import __version__, image_files, sidecars
from image_catalog.errors import ImageError

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
   xmp:CreatorTool={creator}>
   <dc:description><rdf:Alt>{texts}</rdf:Alt></dc:description>{subject}
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""


def packet(row: dict[str, Any]) -> bytes:
    """The sidecar of one image: `row` has description, tags (a JSON list) and language."""
    text = _xml(row["description"])
    texts = f'<rdf:li xml:lang="x-default">{text}</rdf:li>'
    if row["language"]:
        texts += f"<rdf:li xml:lang={quoteattr(_clean(row['language']))}>{text}</rdf:li>"
    tags = "".join(f"<rdf:li>{_xml(tag)}</rdf:li>" for tag in json.loads(row["tags"] or "[]"))
    subject = f"\n   <dc:subject><rdf:Bag>{tags}</rdf:Bag></dc:subject>" if tags else ""
    creator = f'"image-catalog {__version__} {sidecars.NO_MARK.decode()}"'
    unmarked = _PACKET.format(creator=creator, texts=texts, subject=subject).encode()
    return unmarked.replace(sidecars.NO_MARK, sidecars.mark_of(unmarked), 1)


def write(row: dict[str, Any], force: bool) -> bool:
    """Write the sidecar of one image beside it; False when it is there already. Raises ImageError when it may not be written."""
    path = row["path_bytes"] + b".xmp"
    content = packet(row)
    try:
        if os.path.lexists(path):
            before = b"" if os.path.islink(path) else _content(path)
            if before == content:
                return False
            if not force and not sidecars.is_ours(before):
                raise ImageError(os.fsdecode(path), "is another program's sidecar", "--force replaces it", kind="foreign sidecar")
        _replace(path, content)
    except OSError as error:
        raise ImageError(os.fsdecode(path), f"cannot be written ({error.strerror})", kind="read-only") from None
    return True


def signature(path: bytes) -> image_files.FoundFile | None:
    """What a scan will find of the sidecar of a picture, so that it need not be read again."""
    return image_files.found_file(path + b".xmp")


def _content(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _replace(path: bytes, content: bytes) -> None:
    folder, name = os.path.split(path)
    # The hidden name of a moment: 255 bytes are the most that a name may have.
    unfinished = os.path.join(folder, b".%s.%d.tmp" % (name[:200], os.getpid()))
    try:
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            file.write(content)
        os.replace(unfinished, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub(" ", text)


def _xml(text: str) -> str:
    return escape(_clean(text))
