"""A stand-in for backbones, and shards of three photos: extraction in milliseconds."""

import numpy as np
import pytest

from mlob.features import extract, forms, pipeline, runtimes, store


class Network:
    """Stands for a backbone and its runner: the features of a photo are the mean colours of its two halves."""

    batch, is_on_gpu = 1, False

    def __init__(self):
        self.seen = 0

    def count_params(self):
        return 7

    def __call__(self, photos):
        self.seen += len(photos)
        rows = [np.concatenate([half.mean(axis=(0, 1)) for half in np.split(photo / 255, 2)]) for photo in photos]
        return np.array(rows, np.float32).reshape(-1, 6)


@pytest.fixture
def network(monkeypatch):
    """Puts `Network` in place of every backbone, and makes shards of three photos."""
    made = Network()
    monkeypatch.setattr(store, "SLICE", 3)
    monkeypatch.setattr(pipeline, "CHUNK", 2)
    monkeypatch.setattr(extract, "load_keras", lambda: None)
    monkeypatch.setattr(forms.Forms, "model", lambda *_: made)
    monkeypatch.setattr(forms.Forms, "runner", lambda *_: made)
    monkeypatch.setattr(runtimes, "choose", lambda *_: runtimes.Choice("keras", "float32"))
    return made
