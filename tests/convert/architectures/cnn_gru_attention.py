"""The network of cnn_gru_attention.pth, read off its state dict."""

import torch
from torch import nn


def separable(n_in, n_out):
    """A depthwise convolution, then a pointwise one, each with its norm."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_in, 3, padding=1, groups=n_in, bias=False),
        nn.BatchNorm2d(n_in),
        nn.ReLU(),
        nn.Conv2d(n_in, n_out, 1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(),
    )


class CnnGruAttention(nn.Module):
    """(batch, 1, 128, frames) log-mel -> (batch, 8) logits; the sequence runs over frequency."""

    def __init__(self):
        super().__init__()
        self.cnn_features = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            separable(32, 64),
            nn.MaxPool2d(2),
            nn.Dropout(0.3),
            separable(64, 128),
            nn.MaxPool2d(2),
            nn.Dropout(0.3),
            nn.AdaptiveAvgPool2d((None, 1)),
        )
        self.gru = nn.GRU(128, 32, num_layers=2, batch_first=True)
        self.residual_proj = nn.Linear(128, 32)
        self.attention = nn.Sequential(nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.3), nn.Linear(32, 8))

    def forward(self, features):
        sequence = self.cnn_features(features).squeeze(-1).transpose(1, 2)
        states = self.gru(sequence)[0] + self.residual_proj(sequence)
        weights = torch.softmax(self.attention(states), dim=1)
        return self.classifier((weights * states).sum(dim=1))
