"""What `mlob track` logs to MLflow is what the run's files hold, and the same is logged once."""

import json
import pathlib

import pytest

from mlob import tracking
from mlob.errors import InputError
from mlob.runs import results

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*noload:sqlalchemy.exc.SADeprecationWarning", "ignore::FutureWarning:mlflow"
)
mlflow = pytest.importorskip("mlflow", reason="needs mlob[mlflow]")
RECIPE = {"recipe": {"head": {"units": [4], "dropout": 0.5}, "seed": 3}, "data": "x" * 9000}
HISTORY = "phase,epoch,loss,note\n1,1,0.5,a\n1,2,0.25,b\n1,3,nan,c\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a database, which takes seconds to make."""
    return f"sqlite:///{tmp_path_factory.mktemp('server') / 'mlflow.db'}"


@pytest.fixture
def runs(tmp_path, monkeypatch, server, write_result):
    """Products of two models; their experiment is named after the test's folder."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(None)
    folder = tmp_path / tmp_path.name
    for number, name in enumerate(("one", "other")):
        write_result(folder / name, 0.5 + 0.25 * number)
        (folder / name / "recipe.json").write_text(json.dumps(RECIPE))
        (folder / name / "history.csv").write_text(HISTORY)
    return folder


def all_logged(runs):
    return mlflow.search_runs(experiment_names=[runs.name], output_format="list")


def logged(runs):
    return {run.info.run_name: run for run in all_logged(runs)}


def test_a_run_is_logged_with_its_recipe_figures_history_and_files(runs):
    tracking.track(runs)
    found = logged(runs)
    assert {name: run.data.metrics["micro_f1"] for name, run in found.items()} == {"one": 0.5, "other": 0.75}
    one, score = found["one"], results.read(runs / "one").scores["micro_f1"]
    assert [one.data.metrics[f"micro_f1.{end}"] for end in ("low", "high")] == [score.low, score.high]
    assert one.data.params["recipe.head.dropout"] == "0.5" and one.data.params["recipe.head.units"] == "[4]"
    losses = mlflow.MlflowClient().get_metric_history(one.info.run_id, "loss")
    assert [(each.step, each.value) for each in losses] == [(1, 0.5), (2, 0.25)]
    files = {item.path for item in mlflow.MlflowClient().list_artifacts(one.info.run_id)}
    assert files == {"recipe.json", "result.json", "history.csv"}


def test_the_same_is_logged_once_and_what_has_changed_again(runs, write_result, capsys):
    tracking.track(runs)
    tracking.track(runs)
    assert "0 runs logged" in (told := capsys.readouterr().err) and "2 were there" in told
    write_result(runs / "one", 0.625)
    tracking.track(runs)
    assert "1 run logged" in (told := capsys.readouterr().err) and "1 were there" in told
    assert sorted(run.data.metrics["micro_f1"] for run in all_logged(runs)) == [0.5, 0.625, 0.75]


def test_a_run_that_was_cut_off_is_logged_again(runs, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "log_artifact", lambda path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tracking.track(runs)
    tracking.track(runs)
    ended = sorted((run.info.run_name, run.info.status) for run in all_logged(runs))
    assert ended == [("one", "FAILED"), ("one", "FINISHED"), ("other", "FINISHED")]


def test_more_parameters_than_mlflow_takes_at_once_are_all_logged(runs):
    (runs / "one/recipe.json").write_text(json.dumps({f"field{number}": number for number in range(250)}))
    tracking.track(runs)
    assert len(logged(runs)["one"].data.params) == 250


def test_a_dry_run_logs_nothing(runs, capsys):
    tracking.track(runs, is_dry=True)
    assert f"track: one, other of {runs}" in capsys.readouterr().err
    assert mlflow.get_experiment_by_name(runs.name) is None


@pytest.mark.parametrize(
    ("address", "message"),
    [("", "MLFLOW_TRACKING_URI is not set"), ("nowhere://a", "MLflow at nowhere://a: ")],
)
def test_a_server_that_is_not_there_is_told_in_one_sentence(runs, monkeypatch, address, message):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(InputError, match=message):
        tracking.track(runs)


def test_nothing_to_log_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no trained models"):
        tracking.track(pathlib.Path(tmp_path))
