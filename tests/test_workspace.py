"""What `mlob clean` removes is ours, and all that is ours is removed."""

import json

import pytest

from mlob import cleaning, workspace
from mlob.errors import InputError
from mlob.files import part_path

OURS = (
    *("wide/recipe.json", "wide/head.keras", "wide/checkpoint/training.npz", "wide/curve/50.npz"),
    *("wide/search/journal.log", "ensemble/ensemble.json", "report/inputs.json", "predict/predictions.csv"),
    *("export/ensemble/onnx/labels.json", "export/ensemble/onnx/model.onnx", "export/ensemble/onnx/README.md"),
)
OTHERS = (
    "notes.txt",
    "wide/notes.txt",
    "wide/head.keras.bak",
    "result.json",
    "images/train/1.jpg",
    "ensemble/more/a.h5",
    "wide/more/a/README.md",
    "export/mine/onnx/README.md",
)


def fill(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("content")


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_products_are_removed_with_the_folders_that_they_leave_empty(tmp_path):
    fill(tmp_path / "runs/tiny", OURS)
    fill(tmp_path / "runs/other", OURS[:2])
    part_path(tmp_path / "runs/tiny/wide/checkpoint/training.npz").touch()
    told = cleaning.clean(tmp_path / "runs")
    assert not (tmp_path / "runs").exists() and tmp_path.exists()
    assert told == [f"{tmp_path / 'runs/other'}: 2 files removed", f"{tmp_path / 'runs/tiny'}: 11 files removed"]


def test_what_is_not_ours_stays_and_is_told(tmp_path):
    fill(tmp_path / "runs/tiny", [*OURS, *OTHERS])
    (told,) = cleaning.clean(tmp_path / "runs")
    assert files(tmp_path / "runs/tiny") == sorted(OTHERS)
    assert told.endswith("11 files removed; 8 that mlob did not make stay (ensemble/more/a.h5, …)")


@pytest.mark.parametrize("inside", ["photos", "photos/images"])
def test_a_folder_without_products_is_left_as_it_is(tmp_path, inside):
    fill(
        tmp_path,
        ["photos/train.json", "photos/images/train/1.jpg", "photos/images/result.json", "photos/site/index.html"],
    )
    (tmp_path / "photos/empty").mkdir()
    before = files(tmp_path)
    for folder in (tmp_path, tmp_path / inside, tmp_path / "nowhere"):
        assert cleaning.clean(folder) == []
    assert files(tmp_path) == before and (tmp_path / "photos/empty").is_dir()


def test_one_suite_is_cleaned_where_it_is_named(tmp_path):
    for name in ("tiny", "other"):
        fill(tmp_path / name, OURS)
    assert len(cleaning.clean(tmp_path, "tiny")) == 1 and cleaning.clean(tmp_path / "other", "../other") == []
    assert files(tmp_path) == sorted(f"other/{name}" for name in OURS)


def test_a_link_to_another_disk_is_cleaned_and_stays(tmp_path):
    fill(tmp_path / "big disk/tiny", [*OURS, "kept.txt"])
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/tiny").symlink_to(tmp_path / "big disk/tiny")
    cleaning.clean(tmp_path / "runs")
    assert files(tmp_path / "big disk") == ["tiny/kept.txt"]


HEADER = "from mlob.recipes import *\n"


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """A suite with a file for one model, and heads.py for two."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "suite.py": "recipe = Suite('photos', members=('alone', 'two'))",
        "alone.py": "recipe = Experiment(('average',))",
        "heads.py": "recipes = {f'rate_{n}': Experiment(('average',), seed=n) for n in (1, 2)}",
    }.items():
        path = tmp_path / "experiments/tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{HEADER}{text}\n")
    return tmp_path / "experiments/tiny"


def test_a_model_stands_in_a_file_of_its_own_or_with_others_in_heads(suite):
    work = workspace.Workspace("tiny", settings="seed=7")
    assert workspace.Workspace("tiny").experiment("rate_2").seed == 2
    assert work.experiment("rate_2").seed == 7 and work.experiment("alone").seed == 7
    with pytest.raises(InputError, match="Did you mean rate_2 or rate_1"):
        work.experiment("rate_3")
    (suite / "networks.py").write_text(f"{HEADER}recipes = {{'whole': Experiment(('pixels',), seed=3)}}\n")
    work = workspace.Workspace("tiny")
    assert [work.experiment(name).seed for name in ("rate_2", "whole")] == [2, 3]


def test_a_model_that_stands_in_both_is_refused(suite):
    (suite / "rate_1.py").write_text(f"{HEADER}recipe = Experiment(('average',))\n")
    with pytest.raises(InputError, match=r"heads\.py and rate_1\.py beside it both define 'rate_1'"):
        workspace.Workspace("tiny").experiment("alone")
    (suite / "rate_1.py").unlink()
    (suite / "networks.py").write_text(f"{HEADER}recipes = {{'rate_2': Experiment(('average',))}}\n")
    with pytest.raises(InputError, match=r"networks\.py and heads\.py beside it both define 'rate_2'"):
        workspace.Workspace("tiny").experiment("alone")


def begun(suite, text):
    """A workspace in which the model `begun` has this recipe, beside its features and pixels."""
    for name, recipe in {"average": "'efficientnet_lite0'", "photos": "'pixels', pool='grid'"}.items():
        (suite.parents[1] / "features").mkdir(exist_ok=True)
        (suite.parents[1] / f"features/{name}.py").write_text(f"{HEADER}recipe = FeatureSet({recipe})\n")
    (suite / "begun.py").write_text(f"{HEADER}recipe = Experiment({text})\n")
    return workspace.Workspace("tiny")


@pytest.mark.parametrize(
    "text",
    ["('average',), seed=5, start='alone'", "('photos',), network=Network(extractor='average'), start='alone'"],
)
def test_a_model_begins_with_one_whose_head_has_its_form(suite, text):
    work = begun(suite, text)
    work.check("begun")
    assert work.start("begun") == "alone" and work.start("alone") == ""


@pytest.mark.parametrize(
    "text",
    [
        "('average',), Head(units=(7,)), start='alone'",
        "('other',), start='alone'",
        "('average',), start='begun'",
        "('photos',), Head(units=(7,)), network=Network(extractor='average'), start='alone'",
    ],
)
def test_a_model_that_begins_with_another_form_or_with_itself_is_refused(suite, text):
    work = begun(suite, text)
    (suite.parents[1] / "features/other.py").write_text(f"{HEADER}recipe = FeatureSet('mobilenet')\n")
    with pytest.raises(
        InputError, match=r"begun: start is \w+: expected a model that starts at random, with the stores"
    ):
        work.check("begun")


@pytest.mark.parametrize(
    "text", ["", "recipes = []", "recipes = {'a': 1}", "recipes = {'ensemble': Experiment(('a',))}"]
)
def test_heads_without_recipes_of_models_are_refused(suite, text):
    (suite / "heads.py").write_text(f"{HEADER}{text}\n")
    with pytest.raises(InputError, match=r"heads\.py"):
        workspace.Workspace("tiny").experiment("alone")


def test_a_method_or_rule_that_there_is_not_is_refused_where_it_was_named(suite):
    assert workspace.Workspace("tiny", settings="ensemble.rules=[0.5]").suite.ensemble.rules == ("0.5",)
    with pytest.raises(InputError, match=r"SET: ensemble\.methods is 'greedy'. Did you mean greedy selection"):
        _ = workspace.Workspace("tiny", settings="ensemble.methods=[mean,greedy]").suite
    text = "recipe = Suite('photos', members=('alone',), ensemble=Ensemble(rules=('thresholds',)))"
    (suite / "suite.py").write_text(f"{HEADER}{text}\n")
    with pytest.raises(InputError, match=r"suite\.py: ensemble\.rules is 'thresholds'. Did you mean .*thresholds"):
        _ = workspace.Workspace("tiny").suite


def work_of(folder, data):
    """Give the workspace of a data folder, which is made, whose runs are claimed and hold a product."""
    (folder / data).mkdir(parents=True, exist_ok=True)
    work = workspace.Workspace("tiny", data=str(folder / data))
    work.claim_runs()
    fill(work.runs, ["wide/recipe.json"])
    return work


def test_each_data_folder_of_a_suite_has_runs_of_its_own(suite, tmp_path, capfd):
    names = {data: work_of(tmp_path, data).runs.name for data in ("a/mine", "b/mine", "b/other", "c/mine")}
    assert names == {"a/mine": "tiny", "b/mine": "tiny.mine", "b/other": "tiny.other", "c/mine": "tiny.mine.2"}
    told = capfd.readouterr().err.splitlines()
    assert (
        told[0] == f"runs/tiny belongs to {tmp_path}/a/mine: what is made of {tmp_path}/b/mine goes to runs/tiny.mine."
    )
    assert len(told) == 3
    (tmp_path / "b/mine").rename(tmp_path / "mine")
    assert work_of(tmp_path, "mine").runs.name == "tiny.mine"
    told = capfd.readouterr().err
    assert told == f"runs/tiny.mine was made of {tmp_path}/b/mine, which is gone: it belongs to {tmp_path}/mine now.\n"
    assert work_of(tmp_path, "mine").runs.name == "tiny.mine" and not capfd.readouterr().err
    assert work_of(tmp_path, "a/mine").run("wide") == workspace.pathlib.Path("runs/tiny/wide")


def test_a_data_folder_that_is_renamed_keeps_its_runs_where_it_holds_the_same(suite, tmp_path):
    table = "image,labels,split\n" + "".join(f"{row}.jpg,{'ab'[row % 2]},train\n" for row in range(9))
    for data in ("other", "mine"):
        fill(tmp_path / data, ["0.jpg"])
        (tmp_path / data / "photos.csv").write_text(table)
        work = work_of(tmp_path, data)
    assert work.runs.name == "tiny.mine"
    (work.run("wide") / "recipe.json").write_text(json.dumps({"data": work.dataset.digest}))
    (tmp_path / "mine").rename(tmp_path / "shop")
    assert [work_of(tmp_path, "shop").runs.name for _ in range(2)] == ["tiny.mine"] * 2
    (tmp_path / "shop").rename(tmp_path / "store")
    (tmp_path / "store/photos.csv").write_text(table.replace(",a,", ",b,", 1))
    (work.run("wide") / "recipe.json").write_text(json.dumps({"data": work.dataset.digest}))
    assert workspace.Workspace("tiny", data=str(tmp_path / "store")).runs.name == "tiny.store"


def test_runs_without_a_note_go_to_the_first_that_asks(suite, tmp_path):
    fill(tmp_path / "runs/tiny", OURS)
    assert [work_of(tmp_path, data).runs.name for data in ("b", "a", "b")] == ["tiny", "tiny.a", "tiny"]


def test_the_folder_of_another_suite_is_nobody_elses(suite, tmp_path):
    fill(tmp_path / "experiments/tiny.b", ["suite.py"])
    assert [work_of(tmp_path, data).runs.name for data in ("a", "b")] == ["tiny", "tiny.b.2"]
    fill(tmp_path / "runs/tiny.b", OURS)
    assert [line.split(":")[0] for line in cleaning.clean(tmp_path / "runs", "tiny")] == [
        f"{tmp_path}/runs/{name}" for name in ("tiny", "tiny.b.2")
    ]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["tiny.b"]


def test_a_suite_is_cleaned_with_all_its_data_and_only_what_is_its_own(suite, tmp_path):
    for data in ("a", "b"):
        work_of(tmp_path, data)
    fill(tmp_path / "runs/tiny.old", OURS)
    assert len(cleaning.clean(tmp_path / "runs", "tiny")) == 2
    assert files(tmp_path / "runs") == sorted(f"tiny.old/{name}" for name in OURS)


def test_a_member_for_fewer_photos_is_left_out_once_and_is_nobodys_default(suite, made, capfd):
    text = "'few': Experiment(('small',), most_photos=239), 'enough': Experiment(('average',), most_photos=240)"
    (suite / "heads.py").write_text(f"{HEADER}recipes = {{{text}}}\n")
    (suite / "suite.py").write_text(f"{HEADER}recipe = Suite('photos', members=('few', 'alone', 'enough'))\n")
    work = workspace.Workspace("tiny")
    work.__dict__["dataset"] = made  # of 240 photos to train on
    assert work.members == ("alone", "enough") and work.models() == ["alone", "enough"]
    assert work.default == "alone" and work.experiment("logistic").stores == ("average",)
    assert (
        capfd.readouterr().err.count("few is left out: it is for 239 photos to train on at most, and there are 240")
        == 1
    )
    (suite / "suite.py").write_text(f"{HEADER}recipe = Suite('photos', members=('few',))\n")
    work = workspace.Workspace("tiny")
    work.__dict__["dataset"] = made
    with pytest.raises(InputError, match="No member is left: raise most_photos of one of them"):
        _ = work.members
