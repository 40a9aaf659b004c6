#!/usr/bin/env sh
# The results table of the README: the default model beside head, BM25 and all-MiniLM-L6-v2, test split.
#
#     sh cookbook/runs/quality.sh DATA OUT [MODEL]
#
# Needs the extra "evaluate". Rows go to OUT/rows.jsonl; report.md, report.json and report.html beside them. The picture goes to
# OUT/quality.svg, what whole sentences could keep to OUT/ceiling.md, one set beside every baseline that can be had to OUT/every,
# and the whole test sides of the sets that have 200 questions or more (of FairytaleQA 660) to OUT/whole. Two hours and a half on one core.
set -eu
beside_six() {
    gist evaluate "$@" --system head --system tail --system "random sentences" --system bm25 --system "minilm sentences" \
        --system "minilm sentences + passages"
}
beside_six --data "$1" --out "$2" --model "${3:-default}"
python "$(dirname "$0")/ceiling.py" "$1" "$2"
gist evaluate --data "$1" --out "$2/every" --model "${3:-default}" --set nq20_even
beside_six --data "$1" --out "$2/whole" --model "${3:-default}" --limit 1000 --set policyqa --set friendsqa \
    --set nolicence_squadshifts_new_wiki_10doc --set nolicence_squadshifts_amazon_reviews --set nolicence_squadshifts_reddit \
    --set covidqa
beside_six --data "$1" --out "$2/whole" --model "${3:-default}" --limit 660 --set fairytaleqa
python - "$2" <<'END'
import sys
from pathlib import Path

from gist_core.evaluation.report.charts import write_picture
from gist_core.evaluation.rows import read_rows

out = Path(sys.argv[1])
write_picture(read_rows(out / "rows.jsonl"), out / "quality.svg", "all sets")
END
