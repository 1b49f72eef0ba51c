"""(a) A model in Python: the digits of the main example, by NumPy, on Ray Serve."""

import os
import pathlib

import numpy as np
from ray import serve

import batcher_serve

DIGITS = pathlib.Path(__file__).resolve().parents[1] / "digits" / "digits.csv"
LEARNED = 1297  # the first ones; the others are questions


@serve.deployment
class NumpyDigits(batcher_serve.Model):
    name = "digits"

    def __init__(self):
        path = os.environ.get("DIGITS", DIGITS)
        rows = np.loadtxt(path, dtype=np.float32, delimiter=",", max_rows=LEARNED)
        self._images, self._labels = rows[:, :-1], rows[:, -1].astype(int)
        self._norms = (self._images**2).sum(axis=1)

    def process(self, items):
        """The label of the nearest image: the squared distance less what is the same for all of them."""
        distances = self._norms - 2 * np.array(items, np.float32) @ self._images.T
        return self._labels[distances.argmin(axis=1)].tolist()


app = NumpyDigits.bind()
