"""A whole job on whole photos and on their crops by a trained head, as a user runs it."""

import re
import shutil

import pytest
import workplaces

pytestmark = pytest.mark.slow

RECIPES = {
    "features/average.py": 'FeatureSet("efficientnet_lite0")',
    "features/crop.py": 'FeatureSet("efficientnet_lite0", crop=Crop("runs/tiny/finder/head.keras", "small"))',
    "experiments/tiny/suite.py": f'Suite("photos", members=("both",), ensemble={workplaces.QUICK})',
    "experiments/tiny/finder.py": 'Experiment(("average",), LOGISTIC)',
    "experiments/tiny/both.py": 'Experiment(("average", "crop"), Head(units=(32,)), Training(epochs=4))',
}


@pytest.fixture
def workplace(tmp_path):
    """A folder with a suite of a finder, and of a model on whole and on cropped photos; 60 drawn photos."""
    return workplaces.draw(tmp_path, RECIPES)


def test_photos_are_cropped_by_a_head_that_is_trained_first_and_new_photos_by_the_one_that_was_kept(
    workplace, command, shards
):
    def mlob(*words, **settings):
        status, printed = command(workplace, *words, SUITE="tiny", **settings)
        assert status == 0, printed
        return printed

    for words, expected in {("train", "--model", "both"): 2, ("features",): 2, ("ensemble", "--dry-run"): 0}.items():
        status, told = command(workplace, *words, SUITE="tiny")
        assert status == expected and "head.keras is missing: run `make train SUITE=tiny MODEL=finder`, or" in told
        assert not (workplace / "features/average").exists()  # before anything long
    mlob("train", MODEL="finder")
    assert re.search(r"crop: \d+ photos through efficientnet_lite0", mlob("submission"))
    made = shards(workplace / "features/crop")
    shutil.rmtree(workplace / "features/crop")
    mlob("features")
    assert shards(workplace / "features/crop") == made

    head = workplace / "runs/tiny/finder/head.keras"
    head.rename(workplace / "other.keras")
    shutil.copytree(workplace / "photos/images/test", workplace / "new")
    shutil.move(workplace / "photos", workplace / "away")
    labelled = mlob("predict", PHOTOS=workplace / "new")
    assert labelled.count(".jpg: ") == len([*workplace.glob("new/*.jpg")]) > 5

    shutil.move(workplace / "away", workplace / "photos")
    shutil.rmtree(head.parent)
    mlob("train", MODEL="finder", SET="training.limit=30")
    status, told = command(workplace, "features", SUITE="tiny")
    assert status == 2 and "was made with view 'cropped to 224 pixels by the head" in told
