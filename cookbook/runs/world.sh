#!/usr/bin/env sh
# Co-training in the controlled world: three seeds of the selective policy, one of the generative one; prints the table.
#
#     sh cookbook/runs/world.sh OUT
#
# About 35 minutes on two CPU cores, most of it three times the same recipe; a run that was stopped goes on.
set -eu
cd "$(dirname "$0")/../.."
.venv/bin/gist train world --out "$1"
