#!/usr/bin/env sh
# The shipped weights: all-MiniLM-L6-v2 with an interaction that is trained, made longer and trained on, in int8, then other languages.
#
#     sh cookbook/runs/train_selective.sh DATA OUT [START]
#
# DATA holds the question-answering sets named in core/gist_core/training/mix.py; needs the extra "train". START is a selective
# checkpoint to go on from: version 6.0 went on from 5.0, which stands in core/gist_core/weights/selective of commit d6e6ab8 (how that
# came about is in the same file there, and what was run for 6.0 in the file here). Without START the first two commands make a start;
# what a call without a question keeps is then query_free.sh's to teach, before the third. The last command gives calls without a
# question the scores that START gives them. What thresholds lose is learned on the way; 6.0 was made before that was so, and had it
# from `gist train calibrate`, once as it stands and once with `--mode foreign`, as version 6.1.
# Ships as core/gist_core/weights/selective: OUT/languages/checkpoint. From START on three hours on two cores with AVX-512; a run that
# was stopped goes on where it was.
set -eu
if [ $# -lt 3 ]; then
    gist train selective --data "$1" --out "$2/first" --steps 1000 --seed 13
    gist train languages --data "$1" --out "$2/foreign" --start "$2/first/checkpoint" --steps 600 --seed 44
fi
gist train selective --data "$1" --out "$2/before" --start "${3:-$2/foreign/checkpoint}" --steps 700 --seed 64
gist train selective --data "$1" --out "$2" --start "$2/before/full-precision" --branch-layers 6 --steps 900 --seed 65 --version 6.0
gist train languages --data "$1" --out "$2/languages" --start "$2/checkpoint" --steps 200 --seed 66 --version 6.0
gist train rating --data "$1" --model "$2/languages/checkpoint" --mode free --version 6.0 --like "${3:-$2/foreign/checkpoint}"
