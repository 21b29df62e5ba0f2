"""Generators as files of other tools: ONNX, TorchScript, torch.export, safetensors."""

from reacgan.exporting.export import FORMATS, Exported, export
from reacgan.exporting.plain import Output, plain_generator

__all__ = ["FORMATS", "Exported", "Output", "export", "plain_generator"]
