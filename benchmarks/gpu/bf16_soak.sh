#!/usr/bin/env bash
# GPU queue: does bfloat16 training stay finite, by every way of computing attention?
#
#   OUT=/some/folder [DATA=/path/to/cifar10] bash benchmarks/gpu/bf16_soak.sh
#
# STEPS (3000) of G at SEEDS (0 1 2) for each of WAYS (plain efficient math, and cudnn at the first seed),
# within LIMIT (290) seconds in all; DEVICE (cuda); EVERY (100) G steps a look; SET further values. Without
# DATA the images are rendered signs. Writes $OUT/bf16_soak.json, prints a table that names the first tensor
# that was not finite, and ends with 1 where one was in a way that the package takes.
set -euo pipefail
OUT="$(realpath -m "${OUT:?set OUT to a folder}")"
DATA="${DATA:+$(realpath "$DATA")}"
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$OUT"
# shellcheck disable=SC2086 # words are wanted
python benchmarks/gpu/bf16_soak.py --out "$OUT/bf16_soak.json" --device "${DEVICE:-cuda}" \
  ${DATA:+--data "$DATA"} --ways ${WAYS:-plain efficient math cudnn} --seeds ${SEEDS:-0 1 2} \
  --steps "${STEPS:-3000}" --every "${EVERY:-100}" --limit "${LIMIT:-290}" ${SET:+--set $SET} | tee "$OUT/bf16_soak.txt"
