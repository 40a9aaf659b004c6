#!/usr/bin/env sh
# The chat-memory tables of the README: evidence, answers and values kept at 4x, 10x and 20x, beside simpler memories.
#
#     sh cookbook/runs/memory_quality.sh DATA OUT [MODEL]
#
# Needs the extra "train" and sentence-transformers. Rows go to OUT/rows.jsonl, the tables to OUT/report.md.
set -eu
gist evaluate-memory --data "$1" --out "$2" --model "${3:-default}"
