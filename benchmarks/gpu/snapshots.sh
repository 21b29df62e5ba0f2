#!/usr/bin/env bash
# GPU queue: what do snapshots, sheets and saves cost, which work out statistics that fit the average.
#
#   OUT=/some/folder DATA=/path/to/cifar10 bash benchmarks/gpu/snapshots.sh
#
# Trains NAME (cifar10/reacgan) for IMAGES (640,000) twice: as it is, and with neither snapshots nor sheets.
# Writes both journals to $OUT and prints whole seconds and their ratio last. DEVICE=cpu, SET and IMAGES
# try it without a GPU.
set -euo pipefail
OUT="$(realpath -m "${OUT:?set OUT to a folder}")"
DATA="$(realpath "${DATA:?set DATA to CIFAR-10}")"
cd "$(dirname "$0")/../.."
NAME="${NAME:-cifar10/reacgan}"
IMAGES="${IMAGES:-640000}"
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$OUT"

seconds() {  # seconds between the first and the last line of the journal that was written to $1
  local run="$OUT/run-$1"
  shift
  # shellcheck disable=SC2086 # words are wanted
  python -m reacgan train "$NAME" --data "$DATA" --device "${DEVICE:-cuda}" --images "$IMAGES" \
    --out "$run" --set "training.precision=${PRECISION:-bfloat16}" report.journal_every=10000 \
    "$@" ${SET:-} >"$run.log" 2>&1
  cp "$run/journal.jsonl" "$run.jsonl"
  python - "$run/journal.jsonl" <<'PY'
import pathlib
import sys

folder = pathlib.Path(sys.argv[1]).parent
begun = (folder / "environment.json").stat().st_mtime
print(f"{(folder / 'journal.jsonl').stat().st_mtime - begun:.2f}")
PY
  rm -rf "$run"
}

without="$(seconds without watch.action=off report.samples_every=1000000000)"
with="$(seconds with)"
python - "$with" "$without" <<'PY' | tee "$OUT/snapshots.txt"
import sys

with_snapshots, bare = map(float, sys.argv[1:])
print(f"with snapshots and sheets {with_snapshots:.1f} s, without {bare:.1f} s: "
      f"{with_snapshots / bare - 1:+.2%}")
PY
