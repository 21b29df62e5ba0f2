#!/usr/bin/env bash
# GPU queue: does everything hold on a GPU, how fast is the step, and a first CIFAR10 run.
#
#   OUT=/some/folder DATA=/path/to/cifar10 bash benchmarks/gpu/first_light.sh
#
# DATA is a folder with train/<class>/ and test/<class>/ (or the binary archive); MINUTES (5) of
# training. Writes to $OUT: check.txt, train_step.json, the run's journal, scores and samples, and its
# newest state in pieces under 15 MiB (cat state.tar.* | tar x puts it back). Prints a table last.
set -euo pipefail
OUT="$(realpath -m "${OUT:?set OUT to a folder}")"
DATA="$(realpath "${DATA:?set DATA to CIFAR-10}")"
cd "$(dirname "$0")/../.."
MINUTES="${MINUTES:-5}"
DEVICE="${DEVICE:-cuda}"
PRECISIONS="${PRECISIONS:-float32 bfloat16}"
NAME="${NAME:-cifar10/reacgan}"
BATCHES="${BATCHES:-64 128 256}"
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$OUT"

python -m reacgan doctor | tee "$OUT/doctor.txt"
# The tests that need a GPU, and those whose mathematics must hold there too.
python -m pytest -q -m gpu tests 2>&1 | tail -n 5 | tee "$OUT/check.txt" || true
# shellcheck disable=SC2086 # words are wanted
python benchmarks/train_step.py --experiment "$NAME" --device "$DEVICE" --precision $PRECISIONS \
  --batch $BATCHES --repeats 20 --d-steps 0 --out "$OUT/train_step.json" | tee "$OUT/train_step.txt"

RUN="$OUT/run"
python -m reacgan train "$NAME" --data "$DATA" --device "$DEVICE" --minutes "$MINUTES" --out "$RUN" \
  --set "training.precision=${TRAIN_PRECISION:-float32}" report.keep_checkpoints=1
# shellcheck disable=SC2086
python -m reacgan evaluate "$RUN" --reference "$DATA" --extractor domain --device "$DEVICE" \
  --metrics "${METRICS:-fid,kid,is,prdc,accuracy}" ${EVALUATE:-} | tee "$OUT/scores.txt"

tar -C "$RUN" -cf - checkpoints experiment.json environment.json journal.jsonl |
  split -b 15m - "$OUT/state.tar."
cp "$RUN/journal.jsonl" "$OUT/journal.jsonl"
cp "$(find "$RUN/samples" -name '0*.png' | sort | tail -n 1)" "$OUT/samples.png"
rm -rf "$RUN/checkpoints"

echo
tail -n 3 "$OUT/check.txt"
cat "$OUT/train_step.txt" "$OUT/scores.txt"
