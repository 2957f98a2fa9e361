"""What leaves: the members, stores and decision of an ensemble or of one model, and what is known of them."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlob import machine, predictions, workspace
from mlob.ensemble import graphs, methods
from mlob.errors import InputError
from mlob.feature_sets import FeatureSet
from mlob.features import backbones, forms, new_photos, store
from mlob.files import digest
from mlob.labels import Labels
from mlob.runs import answering, job, results
from mlob.runs.answering import Store

if TYPE_CHECKING:
    import keras

    from mlob.evaluation.scores import Score
    from mlob.exports import graph
    from mlob.workspace import Workspace

HALVES = ("float16", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Whole:
    """All that makes probabilities of a photo, and decides on them.

    Attributes:
        name: "ensemble", or that of the model.
        runs: {member: runs/<suite>/<member>}, in the order in which the decision takes them.
        reads: {member: the stores that it reads}.
        stores: by name.
        decision: on the members' probabilities.
        method: names the decision, for people.
        labels: of the data set.
        scores: by metric, on validation.
        metric, title: the one that it was made for, and its name for people.
        commit: of mlob, when it was made.
    """

    name: str
    runs: Mapping[str, pathlib.Path]
    reads: Mapping[str, Sequence[str]]
    stores: Mapping[str, Store]
    decision: methods.Decision
    method: str
    labels: Labels
    scores: Mapping[str, Score]
    metric: str
    title: str
    commit: str | None

    @property
    def counting(self) -> list[str]:
        """The members that count anything."""
        names = [*self.runs]
        return [names[number] for number in graphs.counting(self.decision.blend, len(names))]

    @property
    def read(self) -> dict[str, Store]:
        """The stores that these read."""
        return {name: self.stores[name] for member in self.counting for name in self.reads[member]}

    @property
    def identity(self) -> dict[str, Any]:
        """All that shapes its probabilities and decisions."""
        heads = {name: digest((self.runs[name] / workspace.HEAD).read_bytes()) for name in self.counting}
        made_with = {name: getattr(store.fingerprint(each.folder), "weights", "") for name, each in self.read.items()}
        arrays = {name: np.ascontiguousarray(array) for name, array in sorted(self.decision.arrays().items())}
        return {"heads": heads, "weights": made_with, "decision": digest(self.decision.kind, *arrays, *arrays.values())}


def of_ensemble(work: Workspace) -> Whole:
    """Give a suite's ensemble, as it lies there."""
    made, result = answering.load(work.runs, work.weights), results.read_ensemble(work.run("ensemble"))
    assert result  # was seen to
    names, decision = made.decision
    runs, reads = ({name: getattr(made.members[name], part) for name in names} for part in ("run", "stores"))
    about = (result.chosen.name, made.labels, result.headline, result.metric.name, result.title, result.commit)
    return Whole("ensemble", runs, reads, made.stores, decision, *about)


def of_model(work: Workspace, model: str) -> Whole:
    """Give one trained model; its thresholds are fitted on all of validation, by the rule that it was judged by."""
    run, dataset, judging = work.run(model), work.dataset, work.suite.ensemble.judging
    result, split = results.read(run), work.dataset["validation"]
    table = predictions.align({model: predictions.read(run / workspace.PREDICTIONS)["validation"]}, split.ids)
    decision = methods.mean_at(
        result.thresholds,
        table,
        split.labelled_targets,
        job.one_each(dataset, judging),
        job.measure_of(dataset, judging),
    )
    stores = {name: Store(work.feature_set(name), folder, work.weights) for name, folder in work.stores(model).items()}
    about = (
        f"{model}, {result.thresholds}",
        dataset.labels,
        result.scores,
        result.metric.name,
        result.title,
        result.commit,
    )
    return Whole(model, {model: run}, {model: tuple(result.fingerprint)}, stores, decision, *about)


def check(whole: Whole) -> None:
    """Refuse what cannot leave, before anything is loaded.

    Raises:
        InputError: a blend that is no sum of products, or features that another program or a text makes.
    """
    if type(whole.decision.blend) not in graphs.GRAPHS:
        raise InputError(
            f"{whole.method} decides, which cannot leave mlob: fit the ensemble without it, for example with "
            f"SET='ensemble.methods=[{methods.LOG_LOSS}]', or export one member with --model."
        )
    check_features({name: each.feature_set for name, each in whole.read.items()})


def check_features(feature_sets: Mapping[str, FeatureSet]) -> None:
    """Refuse features that no network makes of a photo, by their recipes.

    Raises:
        InputError: with what to do without them.
    """
    for name, feature_set in feature_sets.items():
        if told := _stays(feature_set):
            raise InputError(
                f"The feature set {name} {told}, which cannot leave mlob: export a model that reads none with --model, "
                "or make an ensemble without it (SET='members=[…]')."
            )


def _stays(feature_set: FeatureSet) -> str:
    """Say why features cannot be made in one network from a photo; empty where they can."""
    if feature_set.crop:
        return "crops photos to what a head finds in them"
    if not backbones.kind(feature_set) or backbones.is_pixels(feature_set):
        return ""
    if backbones.is_text(feature_set):
        return "is of the texts beside photos"
    return f"is made by another program ({feature_set.backbone})"


def loaded(whole: Whole) -> tuple[dict[str, graph.Member], dict[str, graph.Store]]:
    """Load the heads and networks that count.

    Raises:
        InputError: weights are not at hand; a head computes in half precision.
    """
    machine.load_keras()
    from mlob.exports import graph
    from mlob.models import heads

    members = {
        name: graph.Member(heads.load(whole.runs[name] / workspace.HEAD), whole.reads[name]) for name in whole.counting
    }
    for name, member in members.items():
        if any(layer.compute_dtype in HALVES for layer in member.head.layers if layer.weights):
            raise InputError(
                f"{name} computes in bfloat16, and what leaves computes in float32: train it with "
                "SET=training.precision=float32."
            )
    return members, {name: graph.Store(each.feature_set, _extractor(each)) for name, each in whole.read.items()}


def _extractor(made: Store) -> keras.Model | None:
    if backbones.is_pixels(made.feature_set):
        return None
    source = new_photos.alike(made.feature_set, made.folder, made.weights).source
    return forms.Forms(made.feature_set, source, made.folder).model("float32")
