#!/usr/bin/env bash
# GPU queue: one long run, taken up again in each window, scored as it goes.
#
#   OUT=/some/folder DATA=/path/to/cifar10 [STATE=/folder/of/pieces] bash benchmarks/gpu/long_run.sh
#
# MINUTES (7) of training a call; NAME (cifar10/reacgan). STATE holds what the call before left in $OUT:
# state.tar.* pieces of PIECE (15m) bytes. On a machine that stays, RUN names a folder beside $OUT that
# holds the run, and nothing needs to be put back. Writes to $OUT: the pieces, journal.jsonl, scores.jsonl,
# samples.png, curve.txt (score over images and minutes). The same bits as an uninterrupted run.
set -euo pipefail
OUT="$(realpath -m "${OUT:?set OUT to a folder}")"
DATA="$(realpath "${DATA:?set DATA to CIFAR-10}")"
STATE="${STATE:+$(realpath "$STATE")}"
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
MINUTES="${MINUTES:-7}"
DEVICE="${DEVICE:-cuda}"
NAME="${NAME:-cifar10/reacgan}"
PIECE="${PIECE:-15m}"
RUN="$(realpath -m "${RUN:-$OUT/run}")"
mkdir -p "$RUN"
if [[ -n "$STATE" && ! -d "$RUN/checkpoints" ]] && compgen -G "$STATE/state.tar.*" >/dev/null; then
  cat "$STATE"/state.tar.* | tar -x -C "$RUN"
fi

# shellcheck disable=SC2086 # words are wanted
python -m reacgan train "$NAME" --data "$DATA" --device "$DEVICE" --minutes "$MINUTES" --out "$RUN" \
  --set "training.precision=${TRAIN_PRECISION:-bfloat16}" report.keep_checkpoints=1 ${SET:-}
# shellcheck disable=SC2086
python -m reacgan evaluate "$RUN" --reference "$DATA" --extractor "${EXTRACTOR:-domain}" \
  --metrics "${METRICS:-fid,kid,is,prdc}" --device "$DEVICE" ${EVALUATE:-}

rm -f "$OUT"/state.tar.*
tar -C "$RUN" -cf - checkpoints experiment.json environment.json journal.jsonl scores.jsonl |
  split -b "$PIECE" - "$OUT/state.tar."
cp "$RUN/journal.jsonl" "$RUN/scores.jsonl" "$OUT/"
cp "$(find "$RUN/samples" -name '0*.png' | sort | tail -n 1)" "$OUT/samples.png"

RUN="$RUN" python - <<'PYTHON' | tee "$OUT/curve.txt"
import json, os, pathlib

run = pathlib.Path(os.environ["RUN"])
lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
minutes, seen, at = 0.0, 0, {}
for line in lines:
    if line.get("images_per_second"):
        minutes += (line["images_seen"] - seen) / line["images_per_second"] / 60
        seen = line["images_seen"]
        at[seen] = minutes
print(f"{seen:,} images in {minutes:.1f} minutes of training, {lines[-1].get('images_per_second')} images/s last")
print(f"{'images':>12} {'minutes':>8}  score")
for line in (run / "scores.jsonl").read_text().splitlines():
    held = json.loads(line)
    images = held.get("images_seen", held.get("protocol", {}).get("images_seen"))
    print(f"{images if images is not None else '':>12} {at.get(images, minutes):8.1f}  {held.get('metric')} {held.get('value')}")
PYTHON
