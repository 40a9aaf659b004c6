#!/usr/bin/env sh
# Co-training on real text with a language model of our own: the model, both policies, and the table of all controls.
#
#     sh cookbook/runs/cotrain.sh DATA OUT
#
# DATA holds text (lm_*.jsonl.xz, or any .txt, .md, .rst, .jsonl); needs the extra "train". On two cores with AVX-512 and bfloat16:
# 22 minutes for the language model, 37 for the selective policy, 33 for the generative one, 12 for the table; without
# these the language model alone took three times as long. A run that was stopped goes on.
set -eu
cd "$(dirname "$0")/../.."
gist=.venv/bin/gist
sizes="--context 512 --local 32 --future 64"
"$gist" train lm --data "$1" --out "$2/lm" --steps 1000
"$gist" train cotrain --data "$1" --model "$2/lm/checkpoint" --out "$2/selective" $sizes \
    --imitation-steps 200 --warm-steps 40 --steps 150
"$gist" train cotrain --data "$1" --model "$2/lm/checkpoint" --out "$2/generative" $sizes --policy generative --verbatim \
    --extract 2 --start "$2/selective/checkpoint" --generator "$2/selective/generator" \
    --imitation-steps 400 --warm-steps 0 --steps 60 --policy-rate 1e-4
"$gist" train measure-gists --data "$1" --model "$2/lm/checkpoint" $sizes --run "$2/selective" --run "$2/generative" \
    --episodes 300 --out "$2/measured"
