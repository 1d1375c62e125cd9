#!/usr/bin/env bash
# install.sh REQUIREMENTS...: makes .venv when there is none and installs these files into it, once for each state of them.
set -euo pipefail
cd "$(dirname "$0")"

find_python() {
    local name
    for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "install.sh: Python 3.11 or newer is needed and was not found; install it, or name it: PYTHON=/path/to/python3" >&2
    exit 3
}

[ -x .venv/bin/python ] || "$(find_python)" -m venv .venv

# One stamp per set of files: demo.sh and test.sh install different ones into the same .venv.
stamp=".venv/installed-$(echo "$@" | cksum | cut -d' ' -f1)"
state=$(cat "$@" | cksum)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$state" ]; then
    echo "installing $* into .venv (once; PyTorch makes it take a few minutes)" >&2
    arguments=()
    for file in "$@"; do arguments+=(-r "$file"); done
    # One call for all files: torch's pin must be known when sentence-transformers asks for torch.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "${arguments[@]}" >&2
    echo "$state" >"$stamp"
fi
