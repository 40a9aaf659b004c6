#!/usr/bin/env sh
# What the default keeps when nothing is asked, learned from a language model: train it, and measure it beside the one embedded. Version
# 2.0 is what this made of version 1.1; later ones were held to what the one before said.
#
#     sh cookbook/runs/query_free.sh DATA OUT
#
# DATA holds lm_*.jsonl.xz and the question sets; OUT is where cookbook/runs/cotrain.sh has written (its language model says what
# matters, and the generator of its selective policy reads the gists). Needs the extra "train".
set -eu
cd "$(dirname "$0")/../.."
gist=.venv/bin/gist
"$gist" train query-free --data "$1" --questions "$1" --model "$2/lm/checkpoint" --out "$2/query-free"
"$gist" train measure-gists --data "$1" --model "$2/lm/checkpoint" --context 512 --local 32 --future 64 --run "$2/selective" \
    --checkpoint "$2/query-free/checkpoint" --episodes 150 --out "$2/measured-query-free"
