"""Pictures from an ONNX file, without PyTorch.

Usage: python onnx_sample.py FILE CLASS SEED [SEED ...]; needs numpy, onnxruntime and pillow.
A class (name or index) and a seed are the same image as with `reacgan sample`.
"""

import hashlib
import json
import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np
import onnxruntime
from PIL import Image


def latent(seed, length):
    """The z that this package gives a seed; any standard normal numbers make a picture."""
    digest = hashlib.blake2b(f"{seed}/sample/0".encode(), digest_size=8).digest()
    start = (int.from_bytes(digest, "little") >> 1) & 0xFFFFFFFF
    bits = np.random.RandomState(start).randint(0, 2**32, length, dtype=np.uint32) & 0xFFFFFF
    return [NormalDist().inv_cdf(value / 2**24 + 2**-25) for value in bits.tolist()]


if len(sys.argv) < 4 or {"-h", "--help"} & set(sys.argv[1:]):
    print(__doc__.strip())
    sys.exit(0 if {"-h", "--help"} & set(sys.argv[1:]) else 2)
file, wanted, *seeds = sys.argv[1:]
if not Path(file).is_file():
    sys.exit(f"{file}: no such file")
session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
facts = session.get_modelmeta().custom_metadata_map
names = json.loads(facts["class_names"])
indices = [str(index) for index in range(len(names))]
if wanted not in names + indices:
    sys.exit(f"{wanted}: no such class; known: {', '.join(names)}, or an index below {len(names)}")
label = names.index(wanted) if wanted in names else int(wanted)
stem = "".join(mark if mark.isalnum() or mark in " -_()" else "_" for mark in names[label])[:40]
z = np.array([latent(seed, int(facts["latent_dim"])) for seed in seeds], np.float32)
inputs = {"z": z, "class": np.full(len(z), label), "psi": np.ones(1, np.float32)}
inputs = {entry.name: inputs[entry.name] for entry in session.get_inputs()}
images = session.run(["images"], inputs)[0].transpose(0, 2, 3, 1)
if images.dtype != np.uint8:
    images = ((images + 1) * 127.5).round().astype(np.uint8)
for seed, image in zip(seeds, images, strict=True):
    Image.fromarray(image.squeeze()).save(f"{stem}-{seed}.png")
    print(f"{stem}-{seed}.png: {names[label]}")
if "values" in facts:  # of a generator of images of more than 8 bits
    print(facts["values"])
