#!/usr/bin/env bash
# install.sh REQUIREMENTS...: makes .venv when there is none and installs these files into it; does nothing when they have not changed.
set -euo pipefail
cd "$(dirname "$0")"

find_python() {
    local candidates=(python3 python3.14 python3.13 python3.12 python3.11) candidate
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "install.sh: ${PYTHON:-Python}: Python 3.11 or newer was not found; install it, or name it: PYTHON=/path/to/python3" >&2
    return 3
}

# Asked for pip and not for python: a run that was stopped while .venv was made leaves one without the other.
if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    python=$(find_python)
    "$python" -m venv .venv
fi

# Each file is kept as it was installed: demo.sh and test.sh install different ones into the same .venv.
installed=.venv/installed
arguments=()
changed=false
for file in "$@"; do
    arguments+=(-r "$file")
    cmp -s "$file" "$installed/$file" || changed=true
done
if $changed; then
    echo "installing $* into .venv (once; PyTorch is large, so it takes a few minutes)" >&2
    [ -t 2 ] || arguments+=(--quiet)
    # Gone until pip has succeeded, so that a run which is stopped half way is made up for.
    rm -rf "$installed"
    # One call for all files: torch's pin must be known when sentence-transformers asks for torch.
    .venv/bin/python -m pip install --disable-pip-version-check "${arguments[@]}" >&2
    mkdir "$installed"
    cp "$@" "$installed"
fi
