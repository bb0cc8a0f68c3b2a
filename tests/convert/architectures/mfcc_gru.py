"""The network of mfcc_gru.pth, read off its state dict."""

import torch
from torch import nn


class MfccGru(nn.Module):
    """(batch, 130, 13) MFCC -> (batch, 10) probabilities."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(13, 64, num_layers=2, batch_first=True)
        self.fc1 = nn.Linear(64, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, features):
        states, _ = self.gru(features)
        return torch.softmax(self.fc2(torch.relu(self.fc1(states[:, -1]))), dim=1)
