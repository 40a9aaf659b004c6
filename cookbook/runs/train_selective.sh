#!/usr/bin/env sh
# The shipped weights: fine-tune all-MiniLM-L6-v2, trim, fit the fusion, store in int8. About an hour on two CPU cores.
#
#     sh cookbook/runs/train_selective.sh DATA OUT
#
# DATA holds the question-answering sets named in core/gist_core/training/mix.py; needs the extra "train".
# A run that was stopped goes on where it was. Ships as core/gist_core/weights/selective: OUT/checkpoint.
set -eu
gist train selective --data "$1" --out "$2" --steps 1000 --seed 13
