#!/usr/bin/env bash
# GPU queue: a full evaluation of 50,000 fakes of 32 px with every metric of one pass, timed (target: 60 s).
#
#   OUT=/some/folder RUN=/a/run/or/model DATA=/path/to/cifar10 bash benchmarks/gpu/evaluation.sh
#
# NUM (50000) fakes. EXTRACTOR (inception) takes WEIGHTS, a local file. The first pass also looks at the real
# images; the second one has them in the cache, and is the figure to keep. Without RUN, a few images
# are trained on first. Writes to $OUT: evaluation.json, evaluation-*.txt. Passes that are there are kept.
set -euo pipefail
OUT="$(realpath -m "${OUT:?set OUT to a folder}")"
DATA="$(realpath "${DATA:?set DATA to CIFAR-10}")"
RUN="${RUN:+$(realpath "$RUN")}"
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
DEVICE="${DEVICE:-cuda}"
NUM="${NUM:-50000}"
EXTRACTOR="${EXTRACTOR:-inception}"
mkdir -p "$OUT"
if [[ -z "$RUN" ]]; then
  RUN="$OUT/run"
  # shellcheck disable=SC2086
  [[ -d "$RUN/model" ]] || python -m reacgan train "${NAME:-cifar10/reacgan}" --data "$DATA" \
    --device "$DEVICE" --out "$RUN" --images "${IMAGES:-6400}" --set report.keep_checkpoints=1 ${SET:-}
fi
for pass in first second; do
  file="$OUT/evaluation-$pass.txt"
  if [[ -f "$file" ]] && tail -n 1 "$file" | grep -q '^seconds '; then
    continue
  fi
  began=$(date +%s.%N)
  # shellcheck disable=SC2086
  python -m reacgan evaluate "$RUN" --reference "$DATA" --extractor "$EXTRACTOR" --num "$NUM" \
    --device "$DEVICE" --out "$OUT/scores-$pass" ${WEIGHTS:+--weights "$WEIGHTS"} ${EVALUATE:-} >"$file" 2>&1
  echo "seconds $(python -c "import time; print(round(time.time() - $began, 2))")" >>"$file"
done
OUT="$OUT" NUM="$NUM" EXTRACTOR="$EXTRACTOR" python - <<'PYTHON'
import json, os, pathlib

from reacgan.devices import describe_machine

out = pathlib.Path(os.environ["OUT"])
seconds = {
    name: float((out / f"evaluation-{name}.txt").read_text().split()[-1]) for name in ("first", "second")
}
facts = {"fakes": int(os.environ["NUM"]), "extractor": os.environ["EXTRACTOR"]}
held = {**facts, "seconds": seconds, "environment": describe_machine()}
(out / "evaluation.json").write_text(json.dumps(held, indent=1) + "\n")
print(f"{facts['fakes']:,} fakes, {facts['extractor']}: {seconds} seconds")
PYTHON
