"""Published checkpoints of BigGAN-type networks, turned into model folders."""

from reacgan.hub.convert.checkpoint import convert_checkpoint

__all__ = ["convert_checkpoint"]
