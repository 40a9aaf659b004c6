#!/usr/bin/env sh
# The default model beside LLMLingua-2 by its own package (random weights: for time alone), its time up to 1,000,000
# tokens and the memory of such a call. On the CPU. Writes OUT/speed.jsonl if OUT is given.
#
#     sh cookbook/runs/peers_speed.sh [OUT] [--short]
#
# Needs llmlingua (pip install llmlingua==0.2.2) and, for a while, 3 GB of disk.
set -eu
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"
python "$(dirname "$0")/peers_speed.py" "$@"
