"""Configurations of models that were changed since they were saved: seen, or harmless."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from reacgan import hub
from reacgan.config import ConfigError
from reacgan.files import digest_of
from test_hub import make, rewrite


@pytest.fixture
def folder(tmp_path):
    return hub.save(make(), tmp_path / "model")


def test_every_flipped_bit_of_a_configuration_is_seen_or_harmless(folder):
    file = folder / "config.json"
    content = file.read_bytes()
    meant = json.loads(content)
    meant.pop("seal")
    silent = []
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        file.write_bytes(changed)
        try:
            config = hub.folder.read_config(folder)
        except ConfigError:
            continue
        if any(config.get(key) != value for key, value in meant.items()):
            silent.append(position)
    assert not silent


def test_a_change_of_ones_own_is_taken_once_the_seal_is_removed(folder):
    file = folder / "config.json"
    file.write_text(file.read_text().replace('"dog"', '"fox"'))
    with pytest.raises(ConfigError, match="changed since it was written.*remove the entry 'seal'"):
        hub.load(folder, device="cpu")
    config = json.loads(file.read_text())
    del config["seal"]
    file.write_text(json.dumps(config))
    assert hub.load(folder, device="cpu").class_names == ("cat", "fox")


@pytest.mark.parametrize(
    "kind", [torch.float8_e4m3fn, torch.int64, torch.float64], ids=lambda kind: str(kind)[6:]
)
def test_a_weight_of_another_type_is_refused(kind, folder):
    file = folder / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name, value in tensors.items() if value.dim() > 1)
    save_file({**tensors, name: tensors[name].to(kind)}, file)
    rewrite(folder, sha256=digest_of(file))
    with pytest.raises(ConfigError, match=f"{kind}" if kind != torch.float64 else "several types"):
        hub.load(folder, device="cpu")
