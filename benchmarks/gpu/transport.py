"""The newest state of a run in fewer bytes, in pieces, for machines that little can be brought back from.

    python benchmarks/gpu/transport.py pack RUN $OUT [--piece 15]
    python benchmarks/gpu/transport.py unpack FOLDER_OF_PIECES RUN

For transport alone: both networks keep every bit; Adam's moments, and what the averaged generator is away
from the generator, are rounded to bfloat16 (8 bits of mantissa). The state of ``cifar10/reacgan`` is 115 MB
instead of 181. A run that goes on from it is a good continuation, but not the uninterrupted run to the bit:
``unpack`` writes that into its journal. Everything else of the run's folder but samples and the model goes
along as it is.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
import tarfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from reacgan.files import digest_of
from reacgan.records import sealed
from reacgan.training.checkpoint import list_checkpoints, read_manifest

FILES = ("experiment.json", "environment.json", "journal.jsonl", "scores.jsonl")
MESSAGE = (
    "the state was carried with Adam's moments and the average's distance rounded to bfloat16: from here "
    "on the run is not the uninterrupted one to the bit"
)


def narrow(parts: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    """Of a checkpoint's tensors: moments as bfloat16, the average as its difference from the generator."""
    average = {
        name: (value - parts["generator"][name]).bfloat16() if wide(value) else value
        for name, value in parts["average"].items()
    }
    moments = {
        part: {
            name: value.bfloat16() if wide(value) else value for name, value in parts[part].items()
        }
        for part in ("g_optimizer", "d_optimizer")
    }
    return {**parts, **moments, "average": average}


def widen(parts: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    """The inverse of :func:`narrow`, in the types of the generator's tensors."""
    average = {
        name: value.float().to(parts["generator"][name].dtype) + parts["generator"][name]
        if value.dtype == torch.bfloat16
        else value
        for name, value in parts["average"].items()
    }
    moments = {
        part: {
            name: value.float() if value.dtype == torch.bfloat16 else value
            for name, value in parts[part].items()
        }
        for part in ("g_optimizer", "d_optimizer")
    }
    return {**parts, **moments, "average": average}


def wide(tensor: Tensor) -> bool:
    """Whether it is of floating point and more than a few numbers (Adam's counts stay exact)."""
    return tensor.is_floating_point() and tensor.numel() > 1


def pack(run: Path, out: Path, piece: int) -> list[Path]:
    """Write ``state.tar.000``, ...: the newest checkpoint and the files beside it."""
    newest = list_checkpoints(run / "checkpoints")[-1]
    read_manifest(newest)
    parts = {file.stem: load_file(file) for file in newest.glob("*.safetensors")}
    buffer = io.BytesIO()
    scratch = out / ".packing"
    scratch.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for part, tensors in narrow(parts).items():
            save_file(tensors, scratch / f"{part}.safetensors")
            archive.add(scratch / f"{part}.safetensors", f"state/{part}.safetensors")
        archive.add(newest / "state.json", "state/state.json")
        for name in FILES:
            if (run / name).exists():
                archive.add(run / name, name)
    shutil.rmtree(scratch)
    for old in out.glob("state.tar.*"):
        old.unlink()
    data, pieces = buffer.getvalue(), []
    for index, start in enumerate(range(0, len(data), piece)):
        pieces.append(out / f"state.tar.{index:03d}")
        pieces[-1].write_bytes(data[start : start + piece])
    return pieces


def unpack(folder: Path, run: Path) -> Path:
    """Put a run's folder together from pieces; returns its checkpoint."""
    data = b"".join(path.read_bytes() for path in sorted(folder.glob("state.tar.*")))
    run.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(run, filter="data")
    state = run / "state"
    parts = {file.stem: load_file(file) for file in state.glob("*.safetensors")}
    manifest = json.loads((state / "state.json").read_text())
    final = run / "checkpoints" / f"{manifest['images_seen']:012d}"
    final.mkdir(parents=True)
    digests = {}
    for part, tensors in widen(parts).items():
        save_file(tensors, final / f"{part}.safetensors")
        digests[f"{part}.safetensors"] = digest_of(final / f"{part}.safetensors")
    (final / "state.json").write_text(
        json.dumps(sealed({**manifest, "digests": digests}), indent=2)
    )
    shutil.rmtree(state)
    with (run / "journal.jsonl").open("a") as journal:
        event = {"kind": "transport", "message": MESSAGE}
        journal.write(json.dumps({"images_seen": manifest["images_seen"], "event": event}) + "\n")
    return final


def main() -> None:
    """One of the two."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("pack", "unpack"))
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--piece", type=float, default=15.0, help="MB of a piece")
    given = parser.parse_args()
    if given.what == "unpack":
        print(unpack(given.source, given.target))
        return
    pieces = pack(given.source, given.target, int(given.piece * 1e6))
    print(f"{len(pieces)} pieces, {sum(path.stat().st_size for path in pieces) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
