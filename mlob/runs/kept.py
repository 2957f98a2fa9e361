"""What labelling new photos takes beside the trained heads, kept with the ensemble: neither data nor stores are needed.

Products: predict.json and stores/<set>/ in runs/<suite>/ensemble.
"""

import dataclasses
import pathlib
from collections.abc import Mapping

from mlob import decisions, recipes, workspace
from mlob.features import forms, imported, store, texts
from mlob.files import ANEW, archive_fault, atomic, read_json, read_record, write_json
from mlob.labels import Labels
from mlob.recipes import Ensemble, Experiment, FeatureSet, Sum
from mlob.runs import results
from mlob.runs.job import plain
from mlob.runs.results import EnsembleResult
from mlob.training.checkpoint import differing


@dataclasses.dataclass(frozen=True)
class Kept:
    """predict.json: the labels of the data set, and the recipes of what the members read, {name: feature set}."""

    labels: Labels
    feature_sets: dict[str, FeatureSet]


def write(folder: pathlib.Path, kept: Kept, stores: Mapping[str, pathlib.Path]) -> None:
    """Keep labels and feature sets, and of each store what extracting new photos as its own takes.

    Args:
        folder: runs/<suite>/ensemble.
        kept: for predict.json, which comes last.
        stores: {name of the feature set: features/<set>/<data set>}.
    """
    if read(folder) == kept and all(_is_kept(made, store_of(folder, name)) for name, made in stores.items()):
        return
    (folder / workspace.KEPT).unlink(missing_ok=True)
    for name, made in stores.items():
        _keep(made, store_of(folder, name), kept.feature_sets[name])
    write_json(folder / workspace.KEPT, dataclasses.asdict(kept))


def read(folder: pathlib.Path) -> Kept | None:
    """Read predict.json in an ensemble's folder; None where there is none.

    Raises:
        InputError: as `files.read_record`.
    """
    path = folder / workspace.KEPT
    return read_record(path, Kept) if path.is_file() else None


def store_of(folder: pathlib.Path, name: str) -> pathlib.Path:
    """Name the folder that stands in for a feature set's store in an ensemble's folder: it holds no features."""
    return folder / workspace.STORES / name


def feature_set_of(folder: pathlib.Path, name: str, kept: Kept) -> FeatureSet:
    """Give the recipe of a feature set; photos are cropped by the head that was kept."""
    feature_set = kept.feature_sets[name]
    if not feature_set.crop:
        return feature_set
    head = store_of(folder, name) / workspace.HEAD
    return dataclasses.replace(feature_set, crop=dataclasses.replace(feature_set.crop, head=str(head)))


def lacking(folder: pathlib.Path, ensemble: EnsembleResult, runs: Mapping[str, pathlib.Path]) -> str:
    """Say what an ensemble lacks to label photos as it lies there; empty where it lacks nothing.

    Args:
        folder: runs/<suite>/ensemble.
        ensemble: its result.
        runs: {member: runs/<suite>/<member>}.
    """
    for name, run in runs.items():
        if missing := [file for file in (workspace.RESULT, workspace.PREDICTIONS) if not (run / file).is_file()]:
            return f"{run / missing[0]} is missing"
        if results.predictions_digest(run) != ensemble.identity["predictions"].get(name):
            return f"{name} was trained again after the ensemble was made"
        if fault := archive_fault(run / workspace.HEAD):
            return f"{run / workspace.HEAD} {fault}"
    if any(results.read(run).version < results.VERSION for run in runs.values()) or read(folder) is None:
        return f"{folder} does not hold what a version of mlob before this one did not keep"
    return ""


def changed(
    ensemble: EnsembleResult,
    recipe: Ensemble,
    runs: Mapping[str, pathlib.Path],
    experiments: Mapping[str, Experiment | Sum],
) -> list[str]:
    """Name the recipes, with their fields, that have changed since an ensemble was made of its members.

    Args:
        ensemble: its result.
        recipe: the suite's now.
        runs: {member: runs/<suite>/<member>}, the members of then.
        experiments: {member: recipe}, the members of now.
    """
    then = {name: read_json(run / workspace.RECIPE, ANEW)["recipe"] for name, run in runs.items()}
    now = {name: recipes.plain(experiment) for name, experiment in experiments.items()}
    before = {"ensemble": ensemble.identity["recipe"], **then}
    return [name for name, _, _ in differing(before, plain({"ensemble": decisions.plain_ensemble(recipe), **now}))]


def _is_kept(made: pathlib.Path, kept: pathlib.Path) -> bool:
    """Whether a store's fingerprint, of which its quantised model is a part, was kept."""
    return store.fingerprint(kept) == store.fingerprint(made)


def _keep(made: pathlib.Path, kept: pathlib.Path, feature_set: FeatureSet) -> None:
    """Copy what a store has beside its shards, and a head that crops; its fingerprint comes last."""
    (kept / store.DECLARED).unlink(missing_ok=True)
    quantised = made / forms.INT8
    own = (quantised.with_suffix(".bin"), quantised, made / texts.TERMS, made / imported.COLUMNS)
    copies = {kept / path.name: path for path in own}
    if feature_set.crop:
        copies[kept / workspace.HEAD] = pathlib.Path(feature_set.crop.head)
    for copy, path in copies.items():
        if path.is_file():
            with atomic(copy) as part:
                part.write_bytes(path.read_bytes())
    if fingerprint := store.fingerprint(made):
        store.declare(kept, fingerprint)
