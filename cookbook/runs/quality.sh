#!/usr/bin/env sh
# The results table of the README: the default model beside head truncation, BM25 and all-MiniLM-L6-v2, test split.
#
#     sh cookbook/runs/quality.sh DATA OUT [MODEL]
#
# Needs the extra "train" and sentence-transformers. Rows go to OUT/rows.jsonl, the table to OUT/report.md.
set -eu
gist evaluate --data "$1" --out "$2" --model "${3:-default}"
