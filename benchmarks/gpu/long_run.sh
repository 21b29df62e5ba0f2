#!/usr/bin/env bash
# GPU queue: one long run, taken up again in each window, scored as it goes.
#
#   OUT=/some/folder DATA=/path/to/cifar10 [STATE=/folder/of/pieces] bash benchmarks/gpu/long_run.sh
#
# MINUTES (4) of training a call; NAME (cifar10/reacgan). STATE holds what the call before left in $OUT:
# state.tar.* pieces of PIECE (16.5) MB, seven for the published size: moments are rounded to bfloat16 for
# transport (benchmarks/gpu/transport.py), so a run that was carried is not the uninterrupted one to the bit.
# On a machine that stays, the run in RUN (/tmp/long_run, outside of $OUT) goes on, and nothing is put back.
# Writes to $OUT: the pieces (journal and scores among them), and curve.txt (score over images and minutes).
set -euo pipefail
OUT="$(realpath -m "${OUT:?set OUT to a folder}")"
DATA="$(realpath "${DATA:?set DATA to CIFAR-10}")"
STATE="${STATE:+$(realpath "$STATE")}"
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
MINUTES="${MINUTES:-4}"
DEVICE="${DEVICE:-cuda}"
NAME="${NAME:-cifar10/reacgan}"
PIECE="${PIECE:-16.5}"
RUN="$(realpath -m "${RUN:-/tmp/long_run}")"
mkdir -p "$RUN" "$OUT"
if [[ -n "$STATE" && ! -d "$RUN/checkpoints" ]] && compgen -G "$STATE/state.tar.*" >/dev/null; then
  python benchmarks/gpu/transport.py unpack "$STATE" "$RUN"
fi

# shellcheck disable=SC2086 # words are wanted
python -m reacgan train "$NAME" --data "$DATA" --device "$DEVICE" --minutes "$MINUTES" --out "$RUN" \
  --set "training.precision=${TRAIN_PRECISION:-auto}" report.keep_checkpoints=1 ${SET:-}
# shellcheck disable=SC2086
python -m reacgan evaluate "$RUN" --reference "$DATA" --extractor "${EXTRACTOR:-domain}" \
  --metrics "${METRICS:-fid,kid,is,prdc}" --device "$DEVICE" ${EVALUATE:-}

python benchmarks/gpu/transport.py pack "$RUN" "$OUT" --piece "$PIECE"

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
