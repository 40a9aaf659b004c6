#!/usr/bin/env sh
# The speed table of the README: end to end beside the bare network, cold start, peak memory. On the CPU.
#
#     sh cookbook/runs/speed.sh
set -eu
python "$(dirname "$0")/speed.py"
