"""The README says what the program does: options, exit codes and schema in step, both languages alike."""

from __future__ import annotations

import ast
import plistlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from running import ROOT, SCRIPTS

from image_catalog.catalog import Catalog

READMES = ("README.md", "README.ru.md")
_SHARED_OPTIONS = {"--help", "--version", "--debug"}


@cache
def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def options_of(script: str) -> frozenset[str]:
    """Every long option that --help of a script names in its usage."""
    done = subprocess.run([sys.executable, str(ROOT / script), "--help"], capture_output=True, text=True, check=True)
    return frozenset(re.findall(r"(?<![\w-])--[a-z][a-z-]+", done.stdout))


def commands_in(name: str) -> list[tuple[str, str]]:
    """(script, rest of the line) of every command that a README shows."""
    return re.findall(r"python3? (\w+\.py)([^\n`]*)", text_of(name))


@pytest.mark.parametrize("name", READMES)
def test_every_command_uses_options_that_exist(name: str) -> None:
    commands = commands_in(name)
    assert {script for script, _ in commands} >= set(SCRIPTS)
    for script, rest in commands:
        if script in SCRIPTS:
            used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", rest.split("#")[0]))
            assert used <= options_of(script), (script, rest)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("name", READMES)
def test_every_option_is_documented(script: str, name: str) -> None:
    missing = {option for option in options_of(script) - _SHARED_OPTIONS if option not in text_of(name)}
    assert not missing


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_help_says_what_it_does_and_shows_examples(script: str) -> None:
    done = subprocess.run([sys.executable, str(ROOT / script), "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.count(f"python {script}") >= 2
    assert "Goes in:" in done.stdout
    assert "Comes out:" in done.stdout


@pytest.mark.parametrize("name", READMES)
def test_the_schema_is_documented_whole(name: str, tmp_path: Path) -> None:
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        tables = [
            row[0]
            for row in catalog.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not row[0].startswith(("images_fts_", "sqlite_"))
        ]
        columns = [row[1] for row in catalog.db.execute("PRAGMA table_info(images)")]
    text = text_of(name)
    assert [word for word in tables + columns if f"`{word}`" not in text] == []


@pytest.mark.parametrize("name", READMES)
def test_every_exit_code_is_documented(name: str) -> None:
    rows = dict(re.findall(r"^\| (\d+|130, 143) \| ([^|]+) \|", text_of(name), re.MULTILINE))
    assert set(rows) >= {"0", "1", "2", "3", "75", "130, 143"}


def test_both_languages_say_the_same() -> None:
    english, russian = (text_of(name) for name in READMES)
    for pattern in (r"^#{1,3} ", r"^\| ", r"^```"):
        assert len(re.findall(pattern, english, re.MULTILINE)) == len(re.findall(pattern, russian, re.MULTILINE)), pattern
    assert [script for script, _ in commands_in("README.md")] == [script for script, _ in commands_in("README.ru.md")]


@pytest.mark.parametrize("name", READMES)
def test_every_file_that_is_named_exists(name: str) -> None:
    for file in re.findall(r"\]\((?!https?:|#)([^)]+)\)", text_of(name)):
        assert (ROOT / file).exists(), file


def test_every_import_is_in_the_requirements() -> None:
    """A clean machine must run with the requirement files alone."""
    names = {
        "PIL": "pillow",
        "exifread": "exifread",
        "faiss": "faiss-cpu",
        "sentence_transformers": "sentence-transformers",
        "pi_heif": "pi-heif",
        "Stemmer": "pystemmer",
    }
    required = set()
    for file in ROOT.glob("requirements*.txt"):
        if file.name != "requirements-dev.txt":
            required |= {
                re.split(r"[^\w.-]", line.strip())[0].lower().replace("_", "-")
                for line in file.read_text(encoding="utf-8").splitlines()
                if line.strip() and not line.startswith(("#", "-"))
            }
    imported = set()
    for file in [*ROOT.glob("*.py"), *(ROOT / "image_catalog").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    imported -= {*sys.stdlib_module_names, "image_catalog"}
    missing = {name for name in imported if names.get(name, name).lower().replace("_", "-") not in required}
    assert not missing


def test_the_house_holds() -> None:
    """Each outside thing has one owner, and scripts never import scripts."""
    owners = {
        "sqlite3": {"schema.py", *(path.name for path in (ROOT / "image_catalog").glob("catalog*.py"))},
        "requests": {"http_client.py"},
        "exifread": {"exif.py", "exif_tags.py"},
        "sentence_transformers": {"embedding_model.py"},
    }
    for file in (ROOT / "image_catalog").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for module, allowed in owners.items():
            if re.search(rf"^\s*(import|from) {module}\b", text, re.MULTILINE):
                assert file.name in allowed, f"{file.name} imports {module}"
        assert not re.search(rf"^\s*(import|from) ({'|'.join(s[:-3] for s in SCRIPTS)})\b", text, re.MULTILINE), file.name
    for script in SCRIPTS:
        text = (ROOT / script).read_text(encoding="utf-8")
        others = "|".join(other[:-3] for other in SCRIPTS if other != script)
        assert not re.search(rf"^\s*(import|from) ({others})\b", text, re.MULTILINE), script


@pytest.mark.parametrize("name", ["README.md", "README.ru.md"])
def test_the_plist_is_one_and_runs_our_scripts(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    found = re.search(r"```xml\n(.*?)```", text, re.DOTALL)
    assert found is not None
    plist = plistlib.loads(found[1].encode())
    assert "index_images.py ~/Pictures -r -q" in plist["ProgramArguments"][2]
    assert plist["StartCalendarInterval"] == {"Hour": 2, "Minute": 30}
