#!/usr/bin/env bash
# GPU queue, first entry: is everything right on this GPU, how fast is it beside the textbook step, where does the
# time go, does bfloat16 stay finite while the score falls, how long does an evaluation take. Under 6 minutes.
#
#   OUT=/some/folder DATA=/path/to/cifar10 [STATE=/folder/of/the/call/before] bash benchmarks/gpu/first.sh
#
# DATA is CIFAR-10: its binary archive, or class folders. WHEELS, a folder of wheels, is installed first where
# pydantic or cyclopts are missing. Stages that are done are not made again: STATE is what the call before
# left in its $OUT. Writes $OUT/first.json and $OUT/first.txt, one page, printed last. DEVICE=cpu,
# MINUTES, NUM, STAGES, and SET="model.generator.width=8 ..." try it without a GPU.
set -euo pipefail
OUT="$(realpath -m "${OUT:?set OUT to a folder}")"
DATA="$(realpath "${DATA:?set DATA to CIFAR-10}")"
STATE="${STATE:+$(realpath "$STATE")}"
WHEELS="${WHEELS:+$(realpath "$WHEELS")}"
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$OUT"
if [[ -n "$WHEELS" ]]; then
  python -c "import pydantic, cyclopts" 2>/dev/null ||
    python -m pip install --quiet --no-index --find-links "$WHEELS" pydantic cyclopts pytest pytest-timeout pytest-xdist
fi
if [[ -n "$STATE" && ! -f "$OUT/first.json" ]]; then
  cp -r "$STATE"/. "$OUT"/
fi
# shellcheck disable=SC2086 # words are wanted
python benchmarks/gpu/first.py --out "$OUT" --data "$DATA" --device "${DEVICE:-cuda}" \
  --minutes "${MINUTES:-5.5}" --num "${NUM:-50000}" ${STAGES:+--stages $STAGES} ${SET:+--set $SET}
