#!/usr/bin/env sh
# What a threshold keeps, set by set: the share of answers and of tokens, test split.
#
#     sh cookbook/runs/thresholds.sh DATA OUT
#
# The table goes to OUT/thresholds.md, that of two whole test sides to OUT/whole/thresholds.md, that of other languages to OUT/languages/thresholds.md.
# Half an hour on one core.
set -eu
gist evaluate --data "$1" --out "$2" --alone --thresholds
gist evaluate --data "$1" --out "$2/whole" --alone --thresholds --limit 660 --set covidqa --set fairytaleqa
gist evaluate --data "$1" --out "$2/languages" --alone --thresholds --set languages
