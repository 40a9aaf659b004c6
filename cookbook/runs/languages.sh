#!/usr/bin/env sh
# The languages table of the README: eleven languages beside English (XQuAD), Japanese, Chinese, the default model beside BM25, test split.
#
#     sh cookbook/runs/languages.sh DATA OUT [MODEL]
#
# Needs the extra "evaluate". The table is under Languages in OUT/report.md. A quarter of an hour on a core.
set -eu
gist evaluate --data "$1" --out "$2" --model "${3:-default}" --set languages --system bm25
