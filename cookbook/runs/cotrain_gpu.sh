#!/usr/bin/env sh
# Co-training on real text on one GPU: a language model of 29 million parameters, to which the policies of cotrain.sh move on.
#
#     sh cookbook/runs/cotrain_gpu.sh DATA OUT SELECTIVE
#
# DATA is as for cotrain.sh, SELECTIVE its selective run (OUT/selective there): the policy goes on from it with the larger model,
# and the writer imitates it. Needs the extra "train" and a GPU build of torch. On an H100: 2.5 minutes for the language model, 3
# for the selective policy, 7 for the generative one; the table takes an hour and more on a CPU. A run that was stopped goes on.
set -eu
cd "$(dirname "$0")/../.."
gist=.venv/bin/gist
sizes="--context 512 --local 32 --future 64"
"$gist" train lm --data "$1" --out "$2/lm" --steps 1200 --batch 64 --width 512 --layers 8 --heads 8 --vocabulary 8192
"$gist" train cotrain --data "$1" --model "$2/lm/checkpoint" --out "$2/selective" $sizes \
    --start "$3/checkpoint" --imitation-steps 0 --warm-steps 60 --steps 150
"$gist" train cotrain --data "$1" --model "$2/lm/checkpoint" --out "$2/generative" $sizes --policy generative --verbatim \
    --start "$3/checkpoint" --generator "$2/selective/generator" \
    --imitation-steps 400 --warm-steps 0 --steps 60 --batch 32 --micro 32 --policy-rate 1e-4
"$gist" train measure-gists --data "$1" --model "$2/lm/checkpoint" $sizes --run "$2/selective" --run "$2/generative" \
    --episodes 300 --out "$2/measured"
