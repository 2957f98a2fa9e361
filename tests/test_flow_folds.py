"""A whole job of members that learn from validation, too, of several kinds, as a user runs it."""

import shutil

import numpy as np
import pandas as pd
import pytest
import workplaces

from mlob import predictions

pytestmark = pytest.mark.slow

MEMBERS = ("dense", "kernel", "regression")
RECIPES = {
    "features/average.py": 'FeatureSet("efficientnet_lite0")',
    "features/blocks.py": 'FeatureSet("efficientnet_lite0", pool="blocks")',
    "experiments/tiny/suite.py": f'Suite("photos", members={(*MEMBERS, "few")}, ensemble={workplaces.QUICK})',
    "experiments/tiny/dense.py": 'Experiment(("average",), Head(units=(32,)), Training(epochs=4, folds=3))',
    "experiments/tiny/kernel.py": 'Experiment(("average", "blocks"), KERNEL, Training(folds=3))',
    "experiments/tiny/regression.py": 'Experiment(("average", "blocks"), LOGISTIC, Training(folds=3))',
    "experiments/tiny/few.py": 'Experiment(("average",), KERNEL, most_photos=10)',
    "experiments/tiny/begun.py": 'Experiment(("average",), Head(units=(32,)), Training(epochs=4), start="dense")',
}


@pytest.fixture
def workplace(tmp_path):
    """A folder with a suite of three kinds of members; 60 drawn photos."""
    return workplaces.draw(tmp_path, RECIPES)


def test_members_of_every_kind_learn_from_validation_and_label_new_photos(workplace, command):
    def mlob(*words, **settings):
        status, printed = command(workplace, *words, SUITE="tiny", **settings)
        assert status == 0, printed
        return printed

    planned = mlob("train", "--model", "kernel", "--dry-run")
    assert "photos of validation too, by 3 folds: 5 fits in all" in planned
    told = mlob("submission")
    assert told.count("few is left out: it is for 10 photos to train on at most, and there are") == 1
    assert told.count("learns from validation too, by 3 folds") == len(MEMBERS)
    assert "would be" not in mlob("submission", "--dry-run").replace("submission", "")  # nothing is left to be made

    runs = workplace / "runs/tiny"
    made = {name: (runs / name / "predictions.h5").read_bytes() for name in MEMBERS}
    shutil.rmtree(runs / "kernel")
    mlob("train", MODEL="kernel")
    assert made == {name: (runs / name / "predictions.h5").read_bytes() for name in MEMBERS}  # its own and all others

    new, away = workplace / "new", workplace / "away"
    shutil.copytree(workplace / "photos/images/test", new)
    shutil.move(workplace / "photos", away)
    mlob("predict", PHOTOS=new)
    labelled = pd.read_csv(next(runs.glob("predict/*.csv")))
    ensemble = predictions.read(runs / "ensemble/predictions.h5")["test"]
    by_photo = dict(zip(ensemble.ids, ensemble.probabilities, strict=True))
    for image, rows in labelled.dropna(subset="probability").groupby("image"):
        own = by_photo[image.rpartition("/")[2].partition(".")[0]]
        assert np.abs(own[:, np.newaxis] - rows.probability.to_numpy()).min(axis=0).max() < 2e-3, image

    shutil.move(away, workplace / "photos")
    status, told = command(workplace, "train", "--model", "begun", SUITE="tiny")
    assert status == 2 and "begun: start is dense, which learns from validation, too" in told
