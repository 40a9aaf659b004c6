#!/usr/bin/env sh
# What a reader makes of compressed contexts: exact match, F1 and answers that flip, multi-document sets, test split.
#
#     sh cookbook/runs/reader.sh DATA OUT [MODEL]
#
# Trains a small extractive reader from all-MiniLM-L6-v2 (OUT/reader; a run that was stopped goes on), then measures. Needs the extras "train"
# and "evaluate". An hour on one CPU core, and as much for what it reads.
set -eu
gist train reader --data "$1" --out "$2/reader"
gist evaluate --data "$1" --out "$2" --model "${3:-default}" --reader "$2/reader/checkpoint" \
    --set nq20_even --set nolicence_squadshifts_new_wiki_10doc \
    --system head --system bm25 --system "minilm sentences + passages"
