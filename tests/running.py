"""Where the scripts are, and how to run one as its user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = (
    "index_images.py",
    "create_faiss_index.py",
    "search_images.py",
    "describe_image.py",
    "extract_exif.py",
    "browse_images.py",
)


def run_script(
    script: str, *arguments: str | bytes | Path, cwd: Path | None = None, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, as from a shell; undecodable output shows as surrogates."""
    return subprocess.run(
        [sys.executable, str(ROOT / script), *(os.fspath(argument) for argument in arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        timeout=110,
    )
