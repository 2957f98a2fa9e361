"""A stand-in for backbones, and shards of three photos: extraction in milliseconds."""

import numpy as np
import pytest
from PIL import Image

from mlob.features import extract, forms, pipeline, runtimes, store, table
from mlob.training import batches


class Network:
    """Stands for a backbone and its runner: the features of a photo are the mean colours of its two halves."""

    batch, is_on_gpu, finish = 1, False, None

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


@pytest.fixture(scope="session")
def rows():
    """Give what a store has of a data set: rows(folder, dataset) gives {split: ({id: features}, {id: reason})}."""

    def of_split(folder, split):
        found = batches.read([folder], split)
        features = {name: row.tobytes() for name, row in zip(found.ids, found.features[:], strict=True)}
        return features, table.locate(folder, split).failures

    return lambda folder, dataset: {name: of_split(folder, split) for name, split in dataset.splits.items()}


@pytest.fixture(scope="session")
def spoil():
    """Make one photo unreadable in each way: spoil(photos) gives {split: {id: how its reason begins}}."""

    def spoil(photos):
        folder = photos.folder / "images"
        (folder / "train/2.png").write_bytes((folder / "train/2.png").read_bytes()[:300])
        (folder / "train/5.png").unlink()
        Image.new("RGB", (30, 20), "grey").save(folder / "validation/1.png")
        (folder / "test/3.png").write_bytes(b"")
        return {
            "train": {"2": "not decoded", "5": "no file"},
            "validation": {"1": "blank"},
            "test": {"3": "empty file"},
        }

    return spoil
