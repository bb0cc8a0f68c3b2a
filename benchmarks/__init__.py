"""Measurements of edge-genre that anyone can run again."""
