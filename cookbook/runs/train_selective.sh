#!/usr/bin/env sh
# The shipped weights: all-MiniLM-L6-v2 with an interaction that is trained, made longer and trained on, in int8, then other languages.
#
#     sh cookbook/runs/train_selective.sh DATA OUT [START]
#
# DATA holds the question-answering sets named in core/gist_core/training/mix.py; needs the extra "train". START is a selective
# checkpoint to go on from: version 5.0 went on from 4.4, which stands in core/gist_core/weights/selective of commit 05d2349 (how that
# came about is in the same file there). Without START the first two commands make a start; what a call without a question keeps is
# then query_free.sh's to teach, before the third. The last command gives calls without a question the scores that START gives them.
# Commit d6e6ab8 made what ships; since then the third command itself holds those calls to what its start says (decision 19), and stores
# all layers of the interaction as changes of rank 92, where what ships has two whole and two of rank 32 (decision 21).
# Ships as core/gist_core/weights/selective: OUT/languages/checkpoint. From START on two hours on two cores with AVX-512; a run that
# was stopped goes on where it was.
set -eu
if [ $# -lt 3 ]; then
    gist train selective --data "$1" --out "$2/first" --steps 1000 --seed 13
    gist train languages --data "$1" --out "$2/foreign" --start "$2/first/checkpoint" --steps 600 --seed 44
fi
gist train selective --data "$1" --out "$2/longer" --start "${3:-$2/foreign/checkpoint}" --branch-layers 4 --steps 600 --seed 61
gist train selective --data "$1" --out "$2" --start "$2/longer/checkpoint" --steps 600 --seed 62 --version 5.0
gist train languages --data "$1" --out "$2/languages" --start "$2/checkpoint" --steps 160 --seed 63 --version 5.0
gist train rating --data "$1" --model "$2/languages/checkpoint" --mode free --version 5.0 --like "${3:-$2/foreign/checkpoint}"
