"""Architectures, training recipes and the bundled model files.

Importing this package loads no training framework; each recipe is a package of its own.
"""
