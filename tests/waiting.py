"""Sees what would make the host wait for a device, also where there is none."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode

# What makes the host wait for a device: reading a value, or a shape that depends on values.
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "unique_dim", "_unique2"}


class Operations(TorchDispatchMode):
    """Records the names of all operations, and copies between devices."""

    def __init__(self):
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))
