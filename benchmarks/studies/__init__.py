"""Measurements behind the figures in the documents; each is a program."""
