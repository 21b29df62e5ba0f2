"""Names among the points of a t-SNE."""

from __future__ import annotations

import logging

import pytest
import torch

from reacgan.pictures.scatter import draw_points


def test_fonts_of_names_are_drawn_in_weights_that_they_have(caplog):
    pytest.importorskip("matplotlib")
    names = ("cat", "गाय (काली)", "カメラ 📷")
    points = torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
    with caplog.at_level(logging.WARNING, "matplotlib"):
        assert draw_points({"real images": points}, torch.arange(3), names).startswith(b"\x89PNG")
    assert not caplog.text


def test_a_name_that_would_cover_another_is_moved(monkeypatch):
    pytest.importorskip("matplotlib")
    from matplotlib.axes import Axes

    written = []
    plain = Axes.text
    monkeypatch.setattr(
        Axes,
        "text",
        lambda axes, x, y, s, **more: written.append((s, y)) or plain(axes, x, y, s, **more),
    )
    points = torch.tensor([[0.0, 0.0], [0.0, 0.01], [5.0, 5.0], [5.0, 5.0]])
    draw_points({"real images": points}, torch.tensor([0, 1, 0, 1]), ("cat", "dog"))
    assert [name for name, _ in written] == ["cat", "dog"] and written[0][1] != written[1][1]
