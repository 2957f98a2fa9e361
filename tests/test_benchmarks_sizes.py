import re

import numpy as np

from benchmarks import sizes
from mlob.recipes import LINEAR, Experiment, Training
from mlob.training import batches
from mlob.training.batches import Labelled


def test_models_are_judged_on_photos_that_none_was_fitted_on(made, write_store, tmp_path, monkeypatch):
    """Each photo is in one part; figures stand for every model and every ensemble, the first one's gain is 0."""
    alone, folded = (Experiment(("all",), LINEAR, Training(epochs=2, folds=count)) for count in (0, 2))
    monkeypatch.setattr(sizes, "EXPERIMENTS", {"alone": alone, "folded": folded})
    monkeypatch.setattr(sizes, "TOGETHER", {"both": ("alone", "folded")})
    folder = write_store(tmp_path / "all", made)
    read = [batches.read([folder], made[split]) for split in ("train", "validation")]
    rows = batches.joined(*(Labelled(**vars(own)) for own in read)).resident()
    parts = sizes.drawn(rows, 140, seed=0)
    assert [len(own.ids) for own in parts.values()] == [140, 30, 160]
    assert sorted(np.concatenate([own.ids for own in parts.values()])) == sorted(rows.ids)
    lines = re.findall(r"^\| (\w+) \| (0\.\d+) .* \| ([+-]0\.\d+) \|", sizes.measured(made, rows, 140, 0), re.MULTILINE)
    assert [name for name, *_ in lines] == ["alone", "folded", "both"] and float(lines[0][2]) == 0
    assert all(0 < float(figure) < 1 for _, figure, _ in lines)
