"""A whole job on what a detector finds beside a backbone's features, as a user runs it."""

import csv
import re
import shutil

import detectors
import pytest
import workplaces

from mlob.features import boxes

pytestmark = pytest.mark.slow

DETECTOR = 'Detector("dark.xml", 64, 3, units="pixels", scale=(255.0,))'
RECIPES = {
    "features/average.py": 'FeatureSet("efficientnet_lite0")',
    "features/colours.py": f'FeatureSet("detector", detector={DETECTOR})',
    "experiments/tiny/suite.py": f'Suite("photos", members=("both",), ensemble={workplaces.QUICK})',
    "experiments/tiny/both.py": 'Experiment(("average", "colours"), Head(units=(32,)), Training(epochs=4))',
}


@pytest.fixture
def workplace(tmp_path):
    """A folder with a suite of one model on both stores, 60 drawn photos, and a detector of dark pixels."""
    detectors.write(tmp_path / "dark.xml")
    return workplaces.draw(tmp_path, RECIPES)


def test_a_model_reads_both_and_labels_new_photos(workplace, command):
    def mlob(*words, **settings):
        status, printed = command(workplace, *words, SUITE="tiny", **settings)
        assert status == 0, printed
        return printed

    told = mlob("submission")
    assert re.search(r"colours: \d+ photos through the detector dark\.xml, openvino float32", told)
    assert re.search(r"average: \d+ photos through efficientnet_lite0", told)
    shutil.copytree(workplace / "photos/images/test", workplace / "new")
    shutil.rmtree(workplace / "photos")
    labelled = mlob("predict", PHOTOS=workplace / "new")
    assert labelled.count(".jpg: ") == len([*workplace.glob("new/*.jpg")]) > 5
    for path in workplace.glob("features/colours/*/*/*.h5"):
        with boxes.table_path(path).open(newline="") as file:
            assert {float(row["score"]) > 0 for row in csv.DictReader(file)} == {True}
    assert len([*workplace.glob("features/colours/*/*/boxes-*.csv")]) == 3 + 1  # of each split, and of new photos
