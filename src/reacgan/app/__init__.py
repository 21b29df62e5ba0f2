"""A page to explore models in a browser: sheets, walks, directions, neighbours, data sets."""

from reacgan.app.server import serve

__all__ = ["serve"]
