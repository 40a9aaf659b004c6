#!/usr/bin/env sh
# The shipped weights: fine-tune all-MiniLM-L6-v2, go on from there, trim, fit the fusions, store in int8.
#
#     sh cookbook/runs/train_selective.sh DATA OUT [START]
#
# DATA holds the question-answering sets named in core/gist_core/training/mix.py; needs the extra "train". START is a selective
# checkpoint to go on from: version 3.0 went on from 2.0, which stands in core/gist_core/weights/selective of commit 5491284. Without
# one the first command makes it; what a call without a question keeps is then query_free.sh's to teach, before the second.
# A run that was stopped goes on where it was. Ships as core/gist_core/weights/selective: OUT/checkpoint. An hour and a half on two
# cores with AVX-512 and bfloat16; the first command was not run since the mix changed.
set -eu
if [ $# -lt 3 ]; then
    gist train selective --data "$1" --out "$2/first" --steps 1000 --seed 13
fi
gist train selective --data "$1" --out "$2" --start "${3:-$2/first/checkpoint}" --steps 1600 --seed 21 --version 3.0
