#!/usr/bin/env sh
# Chat memory over 10,000 turns: time a turn, text the model reads, memory, and prompts a provider's cache knows. On the CPU.
#
#     sh cookbook/runs/memory_speed.sh [TURNS_FILE]
#
# TURNS_FILE has one turn a line; without it, made-up small talk. Needs the extra "memory". About 10 minutes on two cores.
set -eu
python "$(dirname "$0")/memory_speed.py" "$@"
