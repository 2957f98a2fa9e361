"""A stand-in for backbones, and shards of three photos: extraction in milliseconds."""

import numpy as np
import pytest
from PIL import Image

from mlob.features import extract, forms, pipeline, runtimes, store, table
from mlob.training import batches

NAMES = ("boxes", "scores", "classes")


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
def shards():
    """Give the bytes of every shard of a store: shards(folder) gives {path inside the folder: bytes}."""
    return lambda folder: {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("**/[0-9]*.h5"))
    }


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


def draw_detector(path, *, side=64, layout="NCHW", kind=np.float32, open_sides=False, in_one=False, names=NAMES):
    """Write a detector whose boxes are known: of each channel one around its dark pixels, none where there are none.

    It takes a photo with channels from 0 to 1, or from 0 to 255 of whole numbers. Boxes are in pixels, class numbers
    those of the channels, scores how dark the darkest pixel is.
    """
    openvino = runtimes.load_openvino()
    ops, sides = openvino.opset13, [-1, -1] if open_sides else [side, side]
    photo = ops.parameter([1, 3, *sides] if layout == "NCHW" else [1, *sides, 3], kind, name="photo")
    channels = photo if layout == "NCHW" else ops.transpose(photo, np.int64([0, 3, 1, 2]))
    shares = ops.convert(channels, "f32")
    if kind == np.uint8:
        shares = ops.divide(shares, np.float32(255))
    is_dark, starts = ops.less(shares, np.float32(0.5)), np.arange(side, dtype=np.float32)

    def ends(across):
        seen = ops.reduce_logical_or(is_dark, np.int64(across), False)
        first = ops.reduce_min(ops.select(seen, starts, np.float32(side)), np.int64(2), True)
        return first, ops.reduce_max(ops.select(seen, starts + 1, np.float32(0)), np.int64(2), True)

    (left, right), (top, bottom) = ends(2), ends(3)
    corners = ops.concat([left, top, right, bottom], 2)
    scores = ops.subtract(np.float32(1), ops.reduce_min(shares, np.int64([2, 3]), False))
    numbers = ops.constant(np.arange(3, dtype=np.float32)[None])
    given = [corners, scores, numbers]
    if in_one:
        given = [ops.concat([corners, *(ops.unsqueeze(each, np.int64(2)) for each in (scores, numbers))], 2)]
    for each, name in zip(given, names, strict=False):
        each.output(0).get_tensor().set_names({name})
    openvino.save_model(openvino.Model(given, [photo]), path, compress_to_fp16=False)
    return path


@pytest.fixture(scope="session")
def detector_file():
    """Write a detector whose boxes are known: detector_file(path, …), as `draw_detector`."""
    return draw_detector
