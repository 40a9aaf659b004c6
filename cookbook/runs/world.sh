#!/usr/bin/env sh
# Co-training in the controlled world: three seeds of the selective policy, one of the generative one; prints the table.
#
#     sh cookbook/runs/world.sh OUT
#
# Half an hour on one CPU core; a run that was stopped goes on.
set -eu
cd "$(dirname "$0")/../.."
.venv/bin/gist train world --out "$1"
