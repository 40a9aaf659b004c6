#!/usr/bin/env sh
# Create .venv and install the package into it, with the extras named as the first argument, e.g. "[dev]".
#
#     sh cookbook/runs/setup.sh "[langchain]"
#
# torch's CPU build comes first: anything that depends on torch would otherwise fetch the CUDA build, gigabytes large.
# A torch that already stands in .venv stays as it is, so a GPU build installed by hand is respected.
set -eu
cd "$(dirname "$0")/../.."
extras="${1:-}"
python="${PYTHON:-python3}"

"$python" - <<'CHECK'
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit(f"Python 3.11 to 3.13 is needed, this is {sys.version.split()[0]}. Set PYTHON=python3.12, for example.")
CHECK

[ -x .venv/bin/python ] || "$python" -m venv .venv
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }

if ! .venv/bin/python -c "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is None)"; then
    echo "Installing torch (CPU build) ..." >&2
    pip install --no-deps torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu
fi
echo "Installing gist-compressor$extras ..." >&2
pip install --quiet --editable ".$extras"
