#!/usr/bin/env sh
# The shipped weights: fine-tune all-MiniLM-L6-v2, go on from there, trim, fit the fusions, store in int8, learn other languages.
#
#     sh cookbook/runs/train_selective.sh DATA OUT [START]
#
# DATA holds the question-answering sets named in core/gist_core/training/mix.py; needs the extra "train". START is a selective
# checkpoint to go on from: version 4.0 went on from 3.0, which stands in core/gist_core/weights/selective of commit 8fb9dc5 (how that
# came about is in the same file there). Version 4.1 is the network of 4.0, commit 86daa9e, with the fusions that these commands learn
# now: gist train rating --data DATA --model FOLDER --version 4.1 --mode query, and again --mode foreign. Without START the first
# command makes a start; what a call without a question keeps is then query_free.sh's to teach, before the second. A run that was
# stopped goes on where it was. Version 4.3 is 4.1, commit 35bf3d4, and what the third command taught it: it reads other languages,
# and English as before (4.2, of commit 306b74e, had learned them from text that stands on the test side now: decision 3). Ships as
# core/gist_core/weights/selective: OUT/languages/checkpoint, as version 4.4, with a rating for the rows of tables (decision 18), the
# last command's. Two hours and a half on two cores with AVX-512. The first two commands were not run since the mix changed: that of
# 3.0 and 4.0 stands in commit 86daa9e.
set -eu
if [ $# -lt 3 ]; then
    gist train selective --data "$1" --out "$2/first" --steps 1000 --seed 13
fi
gist train selective --data "$1" --out "$2" --start "${3:-$2/first/checkpoint}" --steps 1200 --seed 34 --version 4.1
gist train languages --data "$1" --start "$2/checkpoint" --out "$2/languages" --steps 600 --seed 44 --version 4.3
gist train rating --data "$1" --model "$2/languages/checkpoint" --mode rows --version 4.4
