"""What all tests share, also those in several processes: one model cache, and scripts that Python compiles once."""

from __future__ import annotations

import os

import pytest
import real_models


def pytest_configure(config: pytest.Config) -> None:
    """In the first process, before others begin: they inherit its environment.

    A model is made ready for searches once a cache, for 20 s; a script that is compiled at each start takes twice as long, as it
    does for no user.
    """
    if not hasattr(config, "workerinput"):
        real_models.use_own_cache()
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads of torch that wait leave the cores to the other processes
