"""The five-channel CNN: ten genres from 3 s of MFCC, its deltas, beats and chroma.

Importing this package loads no framework; ``architecture`` needs PyTorch.
"""
