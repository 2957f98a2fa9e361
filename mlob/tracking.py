"""Runs in MLflow, for teams that compare there: recipe, figures, history and files of each model and the ensemble.

MLflow's own variables say where: MLFLOW_TRACKING_URI, MLFLOW_TRACKING_TOKEN and so on.
"""

import contextlib
import math
import os
import pathlib
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from mlob import workspace
from mlob.errors import InputError, counted
from mlob.evaluation.scores import Score
from mlob.files import ANEW, digest, read_json
from mlob.progress import say
from mlob.runs import results

SETTINGS = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}  # 7 would take minutes
AT_ONCE = 100  # parameters that MLflow takes in one call
LONGEST = 6000  # characters of a parameter that it takes
DIGEST = "mlob.digest"  # of what was logged: the same is logged once
FILES = (workspace.RECIPE, workspace.RESULT, workspace.HISTORY, workspace.HEAD, workspace.PREDICTIONS)
FILES_OF_ENSEMBLE = (workspace.ENSEMBLE, workspace.DECISION, workspace.SUBMISSION)


def track(runs: pathlib.Path, *, is_dry: bool = False) -> None:
    """Log a suite's models and its ensemble, each as a run; what was logged before is not logged again.

    Args:
        runs: runs/<suite>; its name becomes that of the experiment.
        is_dry: say what there is to log, and log nothing.

    Raises:
        InputError: nothing is there, MLflow is not installed, or no server is named or answers.
    """
    made = sorted(path.parent for name in (workspace.RESULT, workspace.ENSEMBLE) for path in runs.glob(f"*/{name}"))
    if not made:
        raise InputError(f"{runs} holds no trained models: run `mlob train` or `mlob ensemble` first.")
    if is_dry:
        return say(f"track: {', '.join(folder.name for folder in made)} of {runs}")
    mlflow = _mlflow()
    with _reached(mlflow):
        mlflow.set_experiment(runs.name)
        logged = [folder.name for folder in made if _log(mlflow, folder)]
    known = f", {len(made) - len(logged):,} were there" if len(logged) < len(made) else ""
    say(f"track: {counted(len(logged), 'run')} logged to {mlflow.get_tracking_uri()}, experiment {runs.name}{known}")


def _mlflow() -> ModuleType:
    """Import MLflow.

    Raises:
        InputError: it is not installed, or MLFLOW_TRACKING_URI is not set.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow
    except ImportError as error:
        raise InputError('mlob track needs MLflow: pip install "mlob[mlflow]"') from error
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise InputError(
            "MLFLOW_TRACKING_URI is not set: expected the address of your MLflow server, for example "
            "http://127.0.0.1:5000, or a file, for example sqlite:///mlflow.db."
        )
    return mlflow


@contextlib.contextmanager
def _reached(mlflow: ModuleType) -> Iterator[None]:
    """Tell in one sentence what MLflow, or the way to its server, refuses."""
    try:
        yield
    except mlflow.MlflowException as error:
        raise InputError(f"MLflow at {mlflow.get_tracking_uri()}: {str(error).splitlines()[0][:300]}") from error


def _log(mlflow: ModuleType, folder: pathlib.Path) -> bool:
    """Log one folder of products, unless what it holds was logged; say whether it was."""
    files = [path for name in (*FILES, *FILES_OF_ENSEMBLE) if (path := folder / name).is_file()]
    content = digest(folder.name, *(path.read_bytes() for path in files))
    if mlflow.search_runs(filter_string=f"tags.`{DIGEST}` = '{content}'", output_format="list"):
        return False
    ensemble = results.read_ensemble(folder)
    parameters = ensemble.identity["recipe"] if ensemble else read_json(folder / workspace.RECIPE, ANEW)
    with mlflow.start_run(run_name=folder.name):
        _log_parameters(mlflow, parameters)
        mlflow.log_metrics(_figures(ensemble.headline if ensemble else results.read(folder).scores))
        _log_history(mlflow, folder / workspace.HISTORY)
        for path in files:
            mlflow.log_artifact(str(path))
        mlflow.set_tag(DIGEST, content)  # last of all: a run that was cut off is logged again
    return True


def _log_parameters(mlflow: ModuleType, recipe: Mapping[str, Any]) -> None:
    flat = list(_flat(recipe))
    for start in range(0, len(flat), AT_ONCE):
        mlflow.log_params(dict(flat[start : start + AT_ONCE]))


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the fields of a recipe, and of the recipes in it, by their dotted names."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, str(value)[:LONGEST]


def _figures(scores: Mapping[str, Score]) -> dict[str, float]:
    """Give each figure, the ends of its interval, and the same figure in-sample."""
    named = {
        metric + ("" if field == "value" else f".{field}"): value
        for metric, score in scores.items()
        for field, value in vars(score).items()
    }
    return {name: value for name, value in named.items() if math.isfinite(value)}


def _log_history(mlflow: ModuleType, path: pathlib.Path) -> None:
    """Log the columns of history.csv, a step for each of its rows."""
    import pandas as pd

    if not path.is_file():
        return
    table = pd.read_csv(path).select_dtypes("number")
    for step, row in enumerate(table.to_dict("records"), 1):
        mlflow.log_metrics({str(name): value for name, value in row.items() if math.isfinite(value)}, step=step)
