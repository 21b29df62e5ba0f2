#!/usr/bin/env bash
# GPU queue: a window of a suite of experiments; the next call goes on where it was stopped.
#
#   OUT=/some/folder SUITE=collapse DATA="tiny_imagenet=/path cifar10=/path" [STATE=/folder/of/pieces] \
#     bash benchmarks/gpu/suite.sh
#
# MINUTES (4.5) a call; SEEDS (1); ONLY trials; SCALE (full); SET further values. WEIGHTS=inception scores as
# published and needs those weights; without it a classifier of the images scores. STATE holds what the call before left in
# $OUT: state.tar.* pieces of PIECE (15m) bytes. On a machine that stays, RUNS names a folder beside $OUT that
# holds the runs. Writes to $OUT: the pieces, the report (Markdown, figures, JSON), and prints its table last.
set -euo pipefail
OUT="$(realpath -m "${OUT:?set OUT to a folder}")"
SUITE="${SUITE:?set SUITE to a suite (reacgan experiments suites)}"
STATE="${STATE:+$(realpath "$STATE")}"
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
RUNS="$(realpath -m "${RUNS:-$OUT/runs}")"
SCALE="${SCALE:-full}"
mkdir -p "$RUNS" "$OUT"
if [[ -n "$STATE" && ! -d "$RUNS/$SCALE" ]] && compgen -G "$STATE/state.tar.*" >/dev/null; then
  cat "$STATE"/state.tar.* | tar -x -C "$RUNS"
fi

# A run that is told to end saves its state; 143 says so, and anything else is a failure.
code=0
# shellcheck disable=SC2086 # words are wanted
timeout --signal=TERM --kill-after=60 "$(python -c "print(int(${MINUTES:-4.5} * 60))")" \
  python -m reacgan experiments run "$SUITE" --scale "$SCALE" --seeds "${SEEDS:-1}" --out "$RUNS" \
  --device "${DEVICE:-cuda}" $([[ "${WEIGHTS:-}" == inception ]] || echo --by-domain) ${DATA:+--data $DATA} ${ONLY:+--only $ONLY} \
  --set "training.precision=${TRAIN_PRECISION:-auto}" report.keep_checkpoints=1 ${SET:-} || code=$?
[[ $code == 0 || $code == 124 || $code == 143 ]] || echo "the suite ended with $code" >&2

rm -f "$OUT"/state.tar.*
tar -C "$RUNS" --exclude=reports -cf - "$SCALE" | split -b "${PIECE:-15m}" - "$OUT/state.tar."
if python -m reacgan experiments report "$SUITE" --scale "$SCALE" --out "$RUNS" --to "$OUT/report"; then
  grep '^|' "$OUT/report/report.md"
else
  find "$RUNS" -name journal.jsonl -print -exec tail -n 1 {} \;
fi
