"""extract_exif.py as its user runs it: readable text, JSON, coordinates; every file without EXIF named; exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from picture_files import camera_exif, dng, exif_block, jpeg_with_looping_ifd, save, xmp_packet, xmp_text
from running import ROOT, run_script

import extract_exif
from image_catalog import exif_text
from image_catalog.exif import Exif
from image_catalog.reading import Metadata


def run(*arguments: str | bytes | Path, cwd: Path | None = None) -> tuple[int, str, list[str]]:
    done = run_script("extract_exif.py", *arguments, cwd=cwd)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr.splitlines()


def as_json(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("suffix", [".heic", ".avif", ".webp", ".png", ".tif", ".jpg"])
def test_date_camera_and_coordinates_of_every_format(tmp_path: Path, suffix: str) -> None:
    code, output, errors = run(save(tmp_path / f"a{suffix}", exif=camera_exif()))
    assert (code, errors) == (0, [])
    for text in ("2014-02-15 18:30:05.42 +03:00", "Canon EOS 600D", "43.585000, 39.720000", "Сочи", "1/250 s", "f/5.6"):
        assert text in output


def test_text_is_grouped_and_aligned(tmp_path: Path) -> None:
    _, output, _ = run(save(tmp_path / "a.jpg", exif=camera_exif(6)))
    lines = output.splitlines()
    assert lines[0] == str(tmp_path / "a.jpg")
    groups = [line for line in lines[1:] if line and not line.startswith(" ")]
    assert groups == ["Picture", "Date", "Camera", "Exposure", "Place"]
    columns = {len(match[0]) for line in lines if (match := re.match(r"  \S.*?  +(?=\S)", line))}
    assert len(columns) == 1


def test_json_has_stable_names(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", exif=camera_exif(6))
    code, output, errors = run("--json", path)
    (found,) = as_json(output)
    assert (code, errors) == (0, [])
    assert found["raw"]["Image Make"] == "Canon"
    known = {name: value for name, value in found.items() if name != "raw"}
    assert known == {
        "path": str(path),
        "format": "JPEG",
        "width": 240,
        "height": 320,
        "place": "Sochi, Krasnodar Krai, Russia",
        "place_ru": "Сочи, Краснодарский край, Россия",
        "geo": "geo:43.585000,39.720000,12.5",
        "taken_at": "2014-02-15T18:30:05",
        "utc_offset": "+03:00",
        "subseconds": "42",
        "camera_make": "Canon",
        "camera_model": "Canon EOS 600D",
        "lens": "EF-S15-85mm f/3.5-5.6 IS USM",
        "focal_length": 85.0,
        "aperture": 5.6,
        "exposure_time": 0.004,
        "iso": 400,
        "flash": False,
        "orientation": 6,
        "latitude": 43.585,
        "longitude": 39.72,
        "altitude": 12.5,
        "direction": 90.0,
        "gps_time": "2014-02-15T15:30:05Z",
    }


def test_gps(tmp_path: Path) -> None:
    with_gps, without = save(tmp_path / "a.jpg", exif=camera_exif()), save(tmp_path / "b.jpg", exif=exif_block({271: "X"}))
    code, output, errors = run("--gps", with_gps, without)
    assert code == 1
    place = "Sochi, Krasnodar Krai, Russia"
    assert output == f"{with_gps}\t43.585000, 39.720000\tgeo:43.585000,39.720000,12.5\t{place}\n"
    assert errors == [f"extract_exif.py: {without}: no GPS position"]


def test_files_without_exif_are_named_and_the_others_printed(tmp_path: Path) -> None:
    good = save(tmp_path / "good.jpg", exif=camera_exif())
    plain = [save(tmp_path / name) for name in ("plain.jpg", "plain.tif", "plain.png")]
    (tmp_path / "no.jpg").write_bytes(b"<html>")
    code, output, errors = run(*plain, good, tmp_path / "no.jpg", tmp_path / "missing.jpg")
    assert code == 1
    assert "Canon EOS 600D" in output
    assert errors == [
        *(f"extract_exif.py: {path}: no EXIF data" for path in plain),
        f"extract_exif.py: {tmp_path / 'no.jpg'}: not an image (HTML)",
        f"extract_exif.py: {tmp_path / 'missing.jpg'}: there is no such file",
    ]


def test_captions_are_printed_even_without_exif(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", xmp=xmp_packet(elements=xmp_text("dc:description", "Бабушка\nв саду")))
    code, output, errors = run(path)
    assert code == 1 and errors[0].endswith("no EXIF data")
    assert re.search(r"^  Caption +Бабушка\n +в саду$", output, re.MULTILINE)


def test_a_folder_without_pictures_is_said(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    save(tmp_path / "sub" / "a.jpg", exif=camera_exif())
    (tmp_path / "notes.txt").write_text("none")
    code, out, err = run(str(tmp_path))
    assert (code, out) == (1, "")
    assert err[0].endswith("no pictures in this folder; -r goes into its subfolders")
    assert run("-r", str(tmp_path))[0] == 0


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", exif=camera_exif())
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, str(ROOT / "extract_exif.py"), str(path)], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 3
    assert done.stderr == "extract_exif.py: output: No space left on device; free some space and run again\n"


def test_folders(tmp_path: Path) -> None:
    save(tmp_path / "photos" / "a.jpg", exif=camera_exif())
    save(tmp_path / "photos" / "sub" / "b.heic", exif=camera_exif())
    (tmp_path / "photos" / "notes.txt").write_text("no image, and no failure")
    code, output, errors = run("--json", "photos", cwd=tmp_path)
    assert (code, errors, [found["path"] for found in as_json(output)]) == (0, [], ["photos/a.jpg"])
    code, output, errors = run("--json", "-r", "photos", cwd=tmp_path)
    assert (code, errors) == (0, [])
    assert [found["path"] for found in as_json(output)] == ["photos/a.jpg", "photos/sub/b.heic"]


def test_a_file_that_fails_is_an_object_too(tmp_path: Path) -> None:
    (tmp_path / "no.jpg").write_bytes(b"")
    code, output, _ = run("--json", tmp_path / "no.jpg")
    assert code == 1
    assert as_json(output) == [
        {"path": str(tmp_path / "no.jpg"), "error": {"kind": "not an image", "reason": "not an image (empty file)"}}
    ]


def test_names_that_begin_with_a_dash(tmp_path: Path) -> None:
    save(tmp_path / "-rf.jpg", exif=camera_exif())
    code, output, _ = run("--", "-rf.jpg", cwd=tmp_path)
    assert code == 0
    assert output.startswith("-rf.jpg\n")


def test_names_that_are_no_utf8_and_values_that_are_no_text(tmp_path: Path) -> None:
    name = b"caf\xe9 \x1b[2J.jpg"
    save(tmp_path / "a.jpg", exif=exif_block({0x010F: "Ca\x1b[31mnon", 0x010E: b"\x9b2J\xe2\x80\xaetxt"}))
    os.rename(tmp_path / "a.jpg", os.path.join(bytes(tmp_path), name))
    for arguments in ((name,), (b"--raw", name), (b"--json", name), (b"-r", b".")):
        code, output, errors = run(*arguments, cwd=tmp_path)
        assert (code, errors) == (0, [])
        assert all(char.isprintable() or char == "\n" for char in output)
    (found,) = as_json(run("--json", name, cwd=tmp_path)[1])
    assert os.fsencode(found["path"]) == name


def test_raw_tags(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", exif=camera_exif())
    assert "EXIF LensModel" not in run(path)[1]
    assert re.search(r"^  EXIF LensModel +EF-S15-85mm", run("--raw", path)[1], re.MULTILINE)


def test_a_file_that_names_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg_with_looping_ifd())
    code, output, _ = run(tmp_path / "a.jpg")
    assert code == 0
    assert "Abc" in output


def test_a_camera_raw_file(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.dng").write_bytes(dng(b""))
    code, output, errors = run(tmp_path / "IMG_1.dng")
    assert (code, errors) == (0, [])
    assert "Raw One" in output


@pytest.mark.parametrize("arguments", [[], ["--gps", "--raw", "a.jpg"], ["--no-such-option", "a.jpg"]])
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        extract_exif.main(arguments)
    assert caught.value.code == 2


# The text itself


def test_the_link_follows_rfc_5870() -> None:
    assert exif_text.geo_link(Exif(latitude=-33.5, longitude=151.25)) == "geo:-33.500000,151.250000"
    assert exif_text.geo_link(Exif(latitude=-33.5, longitude=151.25, altitude=-3.5)) == "geo:-33.500000,151.250000,-3.5"
    assert exif_text.geo_link(Exif()) is None
    assert exif_text.coordinates(Exif()) is None


def test_values_at_the_edges() -> None:
    exif = Exif(orientation=8, rating=-1, exposure_bias=-0.67, altitude=0.0, direction=0.0, taken_at="2014-02-15T00:00:00")
    text = "\n".join(exif_text.lines(Metadata(None, exif, None)))
    for part in ("8 (shown turned by 270° clockwise)", "rejected", "-0.67 EV", " 0 m", "0° from north", "2014-02-15 00:00:00"):
        assert part in text
    assert "Size" not in text
