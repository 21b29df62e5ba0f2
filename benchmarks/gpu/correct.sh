#!/usr/bin/env bash
# GPU queue: does everything hold on CUDA? The tests marked gpu, in groups, each with a time limit.
#
#   OUT=/some/folder bash benchmarks/gpu/correct.sh
#
# A group that has passed is not run again, so a second call goes on where a cut one stopped. WHEELS, a
# folder of wheels, is installed first where a package is missing (pydantic, cyclopts, pytest-timeout).
# Writes to $OUT: correct-<group>.txt and correct.json. MARK (gpu) and GROUPS_OF_TESTS choose others.
set -euo pipefail
OUT="$(realpath -m "${OUT:?set OUT to a folder}")"
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
MARK="${MARK:-gpu}"
LIMIT="${LIMIT:-60}"
read -r -a GROUPS_HERE <<<"${GROUPS_OF_TESTS:-tests/kernels tests/training tests/models tests/metrics tests/extractors tests/data}"
mkdir -p "$OUT"
if [[ -n "${WHEELS:-}" ]]; then
  python -m pip install --quiet --no-index --find-links "$WHEELS" pydantic cyclopts pytest pytest-timeout
fi

for group in "${GROUPS_HERE[@]}"; do
  file="$OUT/correct-$(tr '/.' '--' <<<"$group").txt"
  if [[ -f "$file" ]] && tail -n 1 "$file" | grep -qE '^(passed|none)$'; then
    continue
  fi
  code=0
  timeout "$LIMIT" python -m pytest -q -m "$MARK" "$group" >"$file" 2>&1 || code=$?
  case "$code" in
    0) if grep -q ' passed' "$file"; then echo passed; else echo 'all skipped'; fi >>"$file" ;;
    5) echo none >>"$file" ;; # no test has this mark
    124) echo "ran past $LIMIT s" >>"$file" ;;
    *) echo "failed ($code)" >>"$file" ;;
  esac
done

OUT="$OUT" python - <<'PYTHON'
import json, os, pathlib

out = pathlib.Path(os.environ["OUT"])
found = {}
for file in sorted(out.glob("correct-*.txt")):
    lines = file.read_text().splitlines()
    counts = next((line for line in reversed(lines) if " passed" in line or " failed" in line), "")
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    found[file.stem.removeprefix("correct-")] = {"end": lines[-1], "counts": counts, "failed": failed}
(out / "correct.json").write_text(json.dumps(found, indent=1) + "\n")
for name, held in found.items():
    print(f"{name:32} {held['end']:16} {held['counts']}")
    print(*(f"    {line}" for line in held["failed"]), sep="\n", end="\n" if held["failed"] else "")
PYTHON
