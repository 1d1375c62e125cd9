"""The short form of the torture, as part of the tests; the long one and the self-check are run by hand (run.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parent / "run.py"


@pytest.mark.timeout(400)
@pytest.mark.skipif(os.name != "posix", reason="kills and limits as POSIX has them")
def test_the_catalog_survives_the_short_torture() -> None:
    done = subprocess.run([sys.executable, str(RUN), "--fast"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
