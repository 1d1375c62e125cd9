#!/usr/bin/env bash
# Runs every test; arguments go to pytest: ./test.sh tests/test_search.py -x
# On a fresh machine it needs Python 3.11+ and git, and makes .venv itself.
set -euo pipefail
cd "$(dirname "$0")"
./install.sh requirements.txt requirements-offline.txt requirements-dev.txt
# worksteal: a process that is done takes over what another has left. More than 4 would load more models than they save time.
exec .venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal "$@"
