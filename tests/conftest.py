"""Settings that every test shares."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tests run beside each other; more threads than cores slow all of them."""
    torch.set_num_threads(1)
