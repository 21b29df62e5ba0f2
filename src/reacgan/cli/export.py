"""``reacgan export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reacgan.cli import streams
from reacgan.cli.answers import Json, answer
from reacgan.cli.options import Model

if TYPE_CHECKING:
    from reacgan.exporting import Exported


def export(
    model: Model,
    *,
    to: Literal["onnx", "torchscript", "torch-export", "safetensors"] | None = None,
    out: Path | None = None,
    output: Literal["float32", "uint8"] = "float32",
    half: bool = False,
    with_psi: bool = False,
    statistics: Literal["auto", "own", "moving", "standing"] = "auto",
    opset: int = 18,
    with_latents: int = 0,
    overwrite: bool = False,
    json_: Json = False,
) -> int:
    """Write a generator for other tools: ONNX, TorchScript.

    Inputs are z (standard normal) and class (an index), in batches of any size; the
    output is images. The file is run and compared with the generator. It holds class
    names, licence, and how a seed becomes z. safetensors holds weights alone, for
    reacgan.load.

    Example: reacgan export runs/photos --to onnx --out photos.onnx

    Parameters
    ----------
    to:
        The format; by default that of the ending of --out (.onnx, .torchscript, .pt2, .safetensors), or
        onnx where it has none.
    out:
        The file, or a folder for it; by default the model's name, in this folder.
    output:
        Of images: float32 from -1 to 1, or uint8 from 0 to 255.
    half:
        Convolutions and matrix products in float16: half as large, and close to the same images.
    with_psi:
        Take psi, the truncation of styles, as a third input. Networks with styles only.
    statistics:
        Of batch norms, as in sample.
    opset:
        Of ONNX: version of the operators, 18 to 23; 18 is read by the most programs.
    with_latents:
        Also write z and images of this many seeds, to check another program by.
    overwrite:
        Replace an existing file.
    """
    from reacgan import exporting  # noqa: PLC0415

    done = exporting.export(
        model,
        to,
        out,
        output=output,
        half=half,
        psi=with_psi,
        statistics=statistics,
        opset=opset,
        latents=with_latents,
        overwrite=overwrite,
    )
    text = _described(done)
    if done.latents is not None:
        text += f"\n{done.latents}: seed, z, class and images of seeds 0 to {with_latents - 1}"
    answer(_facts(done), text, as_json=json_)
    if done.unchecked is not None:
        streams.tell(f"note: not compared with the generator, since {done.unchecked}")
    return 0


def _facts(done: Exported) -> dict[str, Any]:
    return {
        "file": done.path,
        "format": done.to,
        "bytes": done.path.stat().st_size,
        "metadata": done.metadata,
        "difference": done.difference,
        "tolerance": done.tolerance,
        "batches": done.batches,
        "latents": done.latents,
        "not_compared": done.unchecked,
    }


def _described(done: Exported) -> str:
    facts = done.metadata
    size = done.path.stat().st_size / 1e6
    kind = f"ONNX, opset {facts['opset']}" if done.to == "onnx" else done.to
    lines = [f"{done.path}: {kind}, {size:,.1f} MB, {facts['precision']}"]
    if done.to == "safetensors":
        lines.append(f"  load it: reacgan.load({str(done.path)!r})")
    else:
        lines += [f"  in: {name}, {facts[name]}" for name in facts["inputs"]]
        lines.append(f"  out: images, {facts['images']}")
    if "values" in facts:
        lines.append(f"  values: {facts['values']}")
    if done.difference is not None:
        lines.append(
            f"  compared with the generator at batches of {', '.join(map(str, done.batches))}: largest "
            f"difference {done.difference:.2g} (allowed: {done.tolerance:g})"
        )
    return "\n".join(lines)
