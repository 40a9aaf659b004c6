#!/usr/bin/env sh
# What a threshold keeps, set by set: the share of answers and of tokens, test split.
#
#     sh cookbook/runs/thresholds.sh DATA OUT
#
# The table goes to OUT/thresholds.md, that of two whole test sides to OUT/whole/thresholds.md.
set -eu
gist evaluate --data "$1" --out "$2" --alone --thresholds
gist evaluate --data "$1" --out "$2/whole" --alone --thresholds --limit 660 --set covidqa --set fairytaleqa
