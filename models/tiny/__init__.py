"""Tiny: the smallest network of the bundled ones, for microcontrollers."""

from edge_genre.models.tiny.architecture import tiny

__all__ = ["tiny"]
