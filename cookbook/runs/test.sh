#!/usr/bin/env sh
# The second command of the README: set everything up in .venv, then every check and every test.
#
#     sh cookbook/runs/test.sh
set -eu
cd "$(dirname "$0")/../.."
sh cookbook/runs/setup.sh "[dev]"

bin="$PWD/.venv/bin"
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
"$bin/lint-imports" --no-logo
"$bin/python" -m pytest -q
