#!/usr/bin/env sh
# What int8 costs: the shipped checkpoint and the same one in full precision on the same questions.
#
#     sh cookbook/runs/quantisation.sh DATA RUN OUT
#
# RUN is the folder that train_selective.sh wrote.
set -eu
for kind in checkpoint full-precision; do
    gist evaluate --data "$1" --out "$3/$kind" --model "$2/$kind" --set nq20_even --alone
done
