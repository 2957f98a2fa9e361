"""A whole job on a network beside a head, as a user runs it."""

import csv
import json
import re
import shutil

import pytest
import workplaces

pytestmark = pytest.mark.slow

HEAD = "Head(units=(64,))"
PHASE = 'Phase(unfreeze="20", epochs=2, steps=2, learning_rate=2e-4, size=64, augmentation=Augmentation(flip=True))'
NETWORK = f'Network(extractor="average", phases=({PHASE},), views=("flip",))'
MORE = f'network={NETWORK}, start="wide"'
RECIPES = {
    "features/average.py": 'FeatureSet("efficientnet_lite0")',
    "features/photos_small.py": 'FeatureSet("pixels", pool="grid")',
    "experiments/tiny/suite.py": f'Suite("photos", members=("wide", "whole"), ensemble={workplaces.QUICK})',
    "experiments/tiny/wide.py": f'Experiment(("average",), {HEAD}, Training(epochs=4))',
    "experiments/tiny/whole.py": f'Experiment(("photos_small",), {HEAD}, Training(batch=8), {MORE})',
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a suite of a head, and of a network that begins with it; 60 drawn photos."""
    folder = tmp_path_factory.mktemp("networks")
    return workplaces.draw(folder, RECIPES)


@pytest.fixture
def mlob(trained, command):
    """Run a command that must end well there, and give what it printed."""

    def run(*words, **settings):
        status, printed = command(trained, *words, **{"SUITE": "tiny", **settings})
        assert status == 0, printed
        return printed

    return run


def test_it_is_trained_after_its_head_and_once(mlob, trained):
    told = mlob("train", MODEL="whole")
    assert told.index("wide: micro-F1") < told.index("whole: micro-F1")
    assert re.search(r"whole: \d+ s of steps, \d+\.\d% of them waiting for data", told)
    assert json.loads((trained / "runs/tiny/whole/result.json").read_text())["weights"] == "imagenet"
    before = {path: path.read_bytes() for path in trained.glob("runs/tiny/*/*") if path.is_file()}
    mlob("train", MODEL="whole")
    assert {path: path.read_bytes() for path in before} == before


def test_it_is_a_member_of_the_ensemble_and_of_its_submission(mlob, trained):
    mlob("submission")
    ensemble = json.loads((trained / "runs/tiny/ensemble/ensemble.json").read_text())
    assert [*ensemble["members"]] == ["wide", "whole"]
    with (trained / "runs/tiny/ensemble/submission.csv").open(newline="") as file:
        assert len([*csv.DictReader(file)]) == len(json.loads((trained / "photos/test.json").read_text())["images"])


def test_the_report_has_its_row_and_looks_inside(mlob, trained):
    assert re.search(r"^whole +\S", mlob("report"), re.MULTILINE)
    page = (trained / "runs/tiny/report/index.html").read_text()
    assert "Looking inside a network" in page and "what <strong>whole</strong> has learned" in page
    assert (trained / "runs/tiny/whole/inside.npz").is_file()


def test_overfit_learning_curve_and_search_take_it(mlob, trained):
    told = mlob(
        "overfit",
        "-n",
        "8",
        MODEL="whole",
        SET="network.phases[0].unfreeze=nothing,network.phases[0].learning_rate=0.01",
    )
    assert "whole learned 8 photos by heart" in told
    mlob("learning-curve", MODEL="whole")
    assert (trained / "runs/tiny/whole/curve/curve.json").is_file()
    told = mlob("search", MODEL="whole", BUDGET="1s")
    found = (trained / "runs/tiny/whole/search/recipe.py").read_text()
    assert "Network(" in found, told


def test_it_labels_new_photos_where_the_old_ones_are_gone(mlob, trained, tmp_path):
    mlob("submission")
    shutil.copytree(trained / "photos/images/test", tmp_path / "new")
    shutil.move(trained / "photos", tmp_path / "moved")
    try:
        labelled = mlob("predict", PHOTOS=tmp_path / "new")
    finally:
        shutil.move(tmp_path / "moved", trained / "photos")
    assert labelled.count(".jpg: ") == len([*(tmp_path / "new").glob("*.jpg")]) > 5


def test_a_suite_of_convolutions_alone_is_reported_without_logistic_regression(mlob, trained):
    scratch = trained / "experiments/scratch"
    scratch.mkdir()
    convolutions = "Network(convolutions=Convolutions((4,), pool=8, flatten=False), phases=(Phase(steps=2, size=32),))"
    recipe = f'Experiment(("photos_small",), Head(units=()), Training(batch=8), network={convolutions})'
    suite = f'Suite("photos", members=("small",), ensemble={workplaces.QUICK})'
    workplaces.write(scratch, {"suite.py": suite, "small.py": recipe})
    assert re.search(r"^small +\S", mlob("report", SUITE="scratch"), re.MULTILINE)
    assert not (trained / "runs/scratch/logistic").exists()
