"""Metadata of one picture -> grouped, aligned lines for people, and the coordinates as a link.

Knows labels and units; what the values mean is exif's knowledge. Nothing here is escaped for a terminal yet.
"""

from __future__ import annotations

from collections.abc import Iterator

from image_catalog.exif import Exif
from image_catalog.reading import Metadata

Group = list[tuple[str, str | None]]

# To show it upright, as ExifTool words it.
_ORIENTATIONS = (
    "upright",
    "shown mirrored",
    "shown turned by 180°",
    "shown mirrored and turned by 180°",
    "shown mirrored and turned by 270° clockwise",
    "shown turned by 90° clockwise",
    "shown mirrored and turned by 90° clockwise",
    "shown turned by 270° clockwise",
)


def lines(metadata: Metadata, raw: bool = False) -> Iterator[str]:
    """The lines for one picture; a value of several lines is indented under itself. `raw`: all EXIF tags as they stand too."""
    groups = [*_groups(metadata)]
    if raw:
        groups.append(("Raw tags", list(metadata.exif.raw.items())))
    shown = [(title, [(label, text) for label, text in group if text]) for title, group in groups]
    width = max((len(label) for _, group in shown for label, _ in group), default=0)
    for title, group in shown:
        if group:
            yield title
        for label, text in group:
            indent = " " * (width + 4)
            yield f"  {label:<{width}}  " + text.replace("\n", "\n" + indent)


def coordinates(exif: Exif) -> str | None:
    """`38.525211, -109.557984`: degrees, north and east positive, to a decimetre; None without a position."""
    if exif.latitude is None or exif.longitude is None:
        return None
    return f"{exif.latitude:.6f}, {exif.longitude:.6f}"


def geo_link(exif: Exif) -> str | None:
    """`geo:38.525211,-109.557984` (RFC 5870), with the altitude where it is known; None without a position."""
    if exif.latitude is None or exif.longitude is None:
        return None
    altitude = "" if exif.altitude is None else f",{exif.altitude:g}"
    return f"geo:{exif.latitude:.6f},{exif.longitude:.6f}{altitude}"


def _groups(metadata: Metadata) -> Iterator[tuple[str, Group]]:
    exif = metadata.exif
    yield "Picture", _picture(metadata)
    yield "Date", _date(exif)
    yield "Camera", _camera(exif)
    yield "Exposure", _exposure(exif)
    yield "Place", _place(metadata)
    yield "Description", _description(exif)


def _picture(metadata: Metadata) -> Group:
    header, orientation = metadata.header, metadata.exif.orientation
    size = None
    if header is not None:
        size = f"{header.width} × {header.height} ({header.width * header.height / 1e6:.1f} megapixels)"
    stored = f"{orientation} ({_ORIENTATIONS[orientation - 1]})" if orientation else None
    return [("Format", header.format if header else None), ("Size", size), ("Orientation", stored)]


def _date(exif: Exif) -> Group:
    taken = None
    if exif.taken_at is not None:
        subseconds = f".{exif.subseconds}" if exif.subseconds else ""
        taken = f"{exif.taken_at.replace('T', ' ')}{subseconds} {exif.utc_offset or ''}".rstrip()
    return [("Taken", taken), ("GPS time (UTC)", exif.gps_time and exif.gps_time.replace("T", " ").rstrip("Z"))]


def _camera(exif: Exif) -> Group:
    return [
        ("Make", exif.camera_make),
        ("Model", exif.camera_model),
        ("Lens", exif.lens),
        ("Software", exif.software),
    ]


def _exposure(exif: Exif) -> Group:
    focal_length = _with_unit(exif.focal_length, "mm")
    if focal_length and exif.focal_length_35mm:
        focal_length += f" ({exif.focal_length_35mm:g} mm on 35 mm film)"
    return [
        ("Exposure", exif.exposure_text()),
        ("Aperture", None if exif.aperture is None else f"f/{exif.aperture:g}"),
        ("ISO", None if exif.iso is None else str(exif.iso)),
        ("Focal length", focal_length or None),
        ("Correction", None if not exif.exposure_bias else f"{exif.exposure_bias:+.2g} EV"),
        ("Flash", None if exif.flash is None else "fired" if exif.flash else "did not fire"),
    ]


def _place(metadata: Metadata) -> Group:
    exif, place = metadata.exif, metadata.place
    return [
        ("Coordinates", coordinates(exif)),
        ("Altitude", _with_unit(exif.altitude, "m")),
        ("Direction", _with_unit(exif.direction, "° from north", "")),
        ("Nearest town", place.text("en") if place else None),
        ("По-русски", place.text("ru") if place else None),
        ("Location", exif.location),
    ]


def _description(exif: Exif) -> Group:
    return [
        ("Title", exif.title),
        ("Caption", exif.caption),
        ("Keywords", ", ".join(exif.keywords)),
        ("Rating", None if exif.rating is None else "rejected" if exif.rating < 0 else "★" * exif.rating),
        ("Creator", exif.creator),
        ("Copyright", exif.copyright),
    ]


def _with_unit(value: float | None, unit: str, space: str = " ") -> str:
    return "" if value is None else f"{value:g}{space}{unit}"
