"""Fingerprints of signals."""

import numpy as np
from numpy.typing import NDArray

from edge_genre.models.data.fingerprint import SPEC, fingerprint
from edge_genre.models.data.stored import Levels

RATE = SPEC.sample_rate


def print_of(samples: NDArray[np.float32]) -> NDArray[np.uint32]:
    return fingerprint(Levels(SPEC).track(samples))
