"""The five-channel CNN in PyTorch, with the names that published checkpoints have."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

INPUT_SIZE = (40, 130)  # MFCCs, frames in 3 s


class FiveChannelCNN(nn.Module):
    """Two convolutional blocks, an average over all positions, two dense layers.

    Input (batch, n_channels, 40, 130) float32, output (batch, n_classes) float32
    log-probabilities. 30,026 parameters with five channels and ten classes.

    Parameters
    ----------
    n_channels : 5 for MFCC, delta, delta-delta, beat-synchronous MFCC and chroma; 3 for the first
        three of them.
    n_classes : genres.
    """

    def __init__(self, n_channels: int = 5, n_classes: int = 10) -> None:
        super().__init__()
        self.block1 = _block(n_channels, 32)
        self.block2 = _block(32, 64)
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc1 = nn.Linear(64, 128)
        self.bn_fc = nn.BatchNorm1d(128)
        self.dropout = nn.Dropout(0.3)
        self.out = nn.Linear(128, n_classes)
        self.input_shape = (n_channels, *INPUT_SIZE)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of windows."""
        pooled = self.pool(self.block2(self.block1(features))).flatten(1)
        hidden = self.dropout(self.bn_fc(torch.relu(self.fc1(pooled))))
        return torch.log_softmax(self.out(hidden), dim=1)


def for_weights(weights: Mapping[str, torch.Tensor]) -> FiveChannelCNN:
    """Build the network with the channels and classes of a state dict, as far as it tells them."""
    first, last = weights.get("block1.0.weight"), weights.get("out.weight")
    return FiveChannelCNN(
        n_channels=first.shape[1] if first is not None and first.ndim == 4 else 5,
        n_classes=len(last) if last is not None and last.ndim == 2 else 10,
    )


def _block(n_in: int, n_out: int) -> nn.Sequential:
    # The norm follows the ReLU, so that it does not fold into the convolution.
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1),
        nn.ReLU(),
        nn.BatchNorm2d(n_out),
        nn.MaxPool2d(2),
        nn.Dropout(0.3),
    )
