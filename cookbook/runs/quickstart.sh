#!/usr/bin/env sh
# The first command of the README: set everything up in .venv, then compress a real speech around a question.
#
#     sh cookbook/runs/quickstart.sh
#
# Writes .venv/ and kept.html (open it in a browser: what was kept, what was dropped). Needs Python 3.11 to 3.13.
set -eu
cd "$(dirname "$0")/../.."
sh cookbook/runs/setup.sh

.venv/bin/gist compress cookbook/data/speeches/1961-kennedy.txt \
    --query "By when should the nation land a man on the moon?" \
    --tokens 150 --html kept.html
echo "Kept and dropped text side by side: kept.html" >&2
