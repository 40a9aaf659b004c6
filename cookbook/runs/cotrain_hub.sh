#!/usr/bin/env sh
# The real thing: a hub model as teacher, generator and writer, on one GPU, with LoRA. Needs a network and the extra "train".
#
#     sh cookbook/runs/cotrain_hub.sh DATA OUT [MODEL]
#
# NOT RUN by its authors, who could reach no hub: what follows is an estimate. Qwen/Qwen3-0.6B on a GPU of 24 GB, C of
# 1,024 tokens: about 14 GB with gradient checkpointing and 4 episodes at once (0.6 B parameters in bf16 1.2 GB twice, log-
# probabilities of 128 x 151,936 tokens in float32 78 MB a gist, the activations of 4 episodes), 4 GB more while the writer imitates,
# which holds three gists of each context at once; and 10 to 20 seconds a step: 17 forward passes over short gists for each of
# 16 episodes, one pass forward and back over two of them. 1,500 steps: 4 to 8 hours a policy. The same recipe ran on a GPU with a
# model of 29 million parameters (cotrain_gpu.sh), and runs in the tests on tiny Llama and Qwen2 models
# (tests/training/test_hub_recipe.py).
set -eu
cd "$(dirname "$0")/../.."
gist=.venv/bin/gist
model="${3:-Qwen/Qwen3-0.6B}"
sizes="--context 1024 --local 64 --future 128"
memory="--lora --gradient-checkpointing --micro 4"
"$gist" train cotrain --data "$1" --model "$model" --out "$2/selective" $sizes $memory --steps 1500 --warm-steps 150
"$gist" train cotrain --data "$1" --model "$model" --out "$2/generative" $sizes $memory --policy generative \
    --start "$2/selective/checkpoint" --generator "$2/selective/generator" --imitation-steps 500 --warm-steps 0 --steps 1500 \
    --policy-rate 1e-4
"$gist" train measure-gists --data "$1" --model "$model" $sizes --run "$2/selective" --run "$2/generative" --out "$2/measured"
