"""result.json and ensemble.json: what a run and an ensemble came to. They are read and written here alone.

`VERSION` counts the changes of their shape. A result.json of an older one is read as well; an ensemble.json of another
version is made anew from the members' predictions.
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from mlob import workspace
from mlob.ensemble.measures import METRICS, title
from mlob.errors import InputError
from mlob.evaluation.bootstrap import Interval
from mlob.evaluation.judge import GroupScores, LabelScores, Pair, full_name
from mlob.evaluation.scores import Score
from mlob.evaluation.tasks import TaskScores
from mlob.files import ANEW, digest, read_json, record, write_json
from mlob.recipes import Judging, Metric
from mlob.runs.shift import Shift

VERSION = 4
OLD_SCORES = ("micro_f1", "macro_f1", "image_f1")  # where version 1 has them: among the other keys


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Of the heads alone, and with their backbones."""

    own: int
    total: int


@dataclasses.dataclass(frozen=True)
class Seconds:
    """Of the processor: to extract the features, and to train on them."""

    features: float
    training: float


@dataclasses.dataclass(frozen=True)
class StoreCost:
    """Parameters of a store's backbone, and seconds of its extraction."""

    parameters: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one model or several cost; a store that several read counts once."""

    parameters: Parameters
    seconds: Seconds


@dataclasses.dataclass(frozen=True)
class Result(Cost):
    """result.json: a trained model, judged on validation at one threshold.

    Attributes:
        method: the model's name.
        scores: by metric.
        tasks: of groups whose labels exclude each other.
        judging: how these were made.
        thresholds: name of the rule.
        stores: {store: its cost}.
        rows_per_second: that training went through.
        weights: of the backbones: "imagenet", "random", a file.
        rows: {"train", "dev", "validation": photos used, "failed": photos without features}.
        note: to be shown beside the figures.
        fingerprint: {store: what shaped its features}.
        versions, processor, commit: of what it was made with.
    """

    method: str
    scores: dict[str, Score]
    judging: Judging | None
    thresholds: str
    stores: dict[str, StoreCost]
    rows_per_second: float
    epochs: int
    weights: str
    seed: int
    rows: dict[str, int]
    note: str
    fingerprint: dict[str, Any]
    versions: dict[str, str | None]
    processor: str
    commit: str | None
    tasks: list[TaskScores] = dataclasses.field(default_factory=list)
    version: int = VERSION

    @property
    def metric(self) -> Metric:
        """What it was judged by."""
        return self.judging.metric if self.judging else Metric()

    @property
    def figure(self) -> Score:
        """The figure of that."""
        return self.scores[self.metric.name]

    @property
    def title(self) -> str:
        """The name of that for people."""
        return title(self.metric)


@dataclasses.dataclass(frozen=True)
class MethodResult(Cost):
    """A method of an ensemble at one rule of thresholds.

    Attributes:
        method, thresholds: names of the method and the rule.
        weights: {member: its weight; the mean over labels, where they differ}; all 0 where it looks at no member.
    """

    method: str
    thresholds: str
    scores: dict[str, Score]
    weights: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Decider:
    """A method of an ensemble at a rule of thresholds."""

    method: str
    thresholds: str

    @property
    def name(self) -> str:
        """Both in one text."""
        return full_name((self.method, self.thresholds))


@dataclasses.dataclass(frozen=True)
class Chosen(Decider):
    """What decides on test and on new photos.

    Attributes:
        fixed: what was fixed in advance: it decides unless another is clearly better.
        gain: over it, where each photo is decided by the method and rule that are highest on the other
            folds.
    """

    fixed: Decider
    gain: Interval

    @property
    def is_fixed(self) -> bool:
        """Whether it is the one that was fixed in advance."""
        return self.name == self.fixed.name


@dataclasses.dataclass(frozen=True)
class Tested:
    """The metric's figure on a labelled test split, which no fit has seen."""

    photos: int
    figure: Interval


@dataclasses.dataclass(frozen=True)
class EnsembleResult:
    """ensemble.json: all methods judged, one chosen.

    Attributes:
        settings: SET= of the work, kept for whoever predicts with this ensemble.
        headline: the ensemble's figures, {metric: score}, of its nested decisions (`evaluation.choice`): each photo is
            decided by what is chosen on the other folds, and fitted on these.
        optimism: {method and rule: in-sample less cross-fitted figure}.
        pairs: the ensemble's nested decisions, and methods, compared on the same photos.
        groups, labels, tasks: figures of the nested decisions, and of their probabilities; the labels with the chosen
            method's thresholds.
        folds: how many there were.
        automated: share of the decisions on labels that are not left to people; None where the metric leaves none.
        products: of validation, photos by themselves included, that the figures are over; None where over photos.
        swarm: the best fitness after each iteration; empty where no swarm searched.
        decision: the kind of the chosen blend, whose arrays lie in decision.npz.
        identity: all that shaped it, as `ensemble.identity` gives it.
        versions, processor, commit: of what it was made with.
    """

    suite: str
    members: list[str]
    settings: str
    chosen: Chosen
    headline: dict[str, Score]
    optimism: dict[str, float]
    pairs: list[Pair]
    groups: list[GroupScores]
    labels: list[LabelScores]
    methods: list[MethodResult]
    test: Tested | None
    judging: Judging
    folds: int
    swarm: list[float]
    shift: Shift
    identity: dict[str, Any]
    decision: str
    processor: str
    versions: dict[str, str | None] = dataclasses.field(default_factory=dict)
    commit: str | None = None
    products: int | None = None
    tasks: list[TaskScores] = dataclasses.field(default_factory=list)
    automated: float | None = None
    version: int = VERSION

    @property
    def metric(self) -> Metric:
        """What the ensemble was made for."""
        return self.judging.metric

    @property
    def figure(self) -> Score:
        """The headline: the figure of that."""
        return self.headline[self.metric.name]

    @property
    def title(self) -> str:
        """The name of that for people."""
        return title(self.metric)


def cost(parameters: Iterable[int], seconds: Iterable[float], stores: Mapping[str, StoreCost]) -> Cost:
    """Add up what models cost: the parameters and the seconds of training of each, and all stores that they read."""
    own = sum(parameters)
    return Cost(
        Parameters(own, own + sum(store.parameters for store in stores.values())),
        Seconds(round(sum(store.seconds for store in stores.values()), 1), round(sum(seconds), 1)),
    )


def cost_together(results: Iterable[Result]) -> Cost:
    """Add up what several models cost; a store that they share counts once."""
    results = list(results)
    stores = {name: store for result in results for name, store in result.stores.items()}
    return cost((result.parameters.own for result in results), (result.seconds.training for result in results), stores)


def read(folder: pathlib.Path) -> Result:
    """Read result.json of a run's folder.

    Raises:
        InputError: it is missing, cannot be read, or is of another shape.
    """
    path = folder / workspace.RESULT
    content = read_json(path, ANEW)
    is_old = isinstance(content, dict) and "version" not in content
    result = record(path, Result, _of_version_1(content) if is_old else content)
    _check_figures(path, result.metric, [result.scores])
    return result


def write(folder: pathlib.Path, result: Result) -> None:
    """Write result.json: last of all, since it says that all else in the folder is there and fits."""
    write_json(folder / workspace.RESULT, dataclasses.asdict(result))


def predictions_digest(folder: pathlib.Path) -> str:
    """Digest the predictions in a run's folder, by which what is made of them tells whether they are still the same."""
    return digest((folder / workspace.PREDICTIONS).read_bytes())


def read_ensemble(folder: pathlib.Path) -> EnsembleResult | None:
    """Read ensemble.json of an ensemble's folder; None where there is none, or one of another version.

    Raises:
        InputError: as `read`.
    """
    path = folder / workspace.ENSEMBLE
    if not path.is_file():
        return None
    content = read_json(path, ANEW)
    if isinstance(content, dict) and content.get("version") != VERSION:
        return None
    result = record(path, EnsembleResult, content)
    _check_figures(path, result.metric, [result.headline, *(method.scores for method in result.methods)])
    return result


def _check_figures(path: pathlib.Path, metric: Metric, scores: Iterable[Mapping[str, Score]]) -> None:
    """Refuse a product of a metric that there is not, or without its figure."""
    if metric.name not in METRICS:
        raise InputError(f"{path} names the metric {metric.name!r}, which there is not: {ANEW}")
    if not all(metric.name in each for each in scores):
        raise InputError(f"{path} lacks the figure {metric.name}: {ANEW}")


def _of_version_1(content):
    """Give a result.json of version 1 in the shape of version 2; what it lacks is left empty."""
    scores = {name: _score_of_version_1(content[name]) for name in OLD_SCORES if isinstance(content.get(name), dict)}
    empty: dict[str, Any] = {
        "judging": None,
        "stores": {},
        "rows_per_second": 0,
        "epochs": 0,
        "seed": 0,
        "rows": {},
        "note": "",
    }
    empty |= {"fingerprint": {}, "versions": {}, "processor": "", "commit": None, "version": 1}
    known = {field.name for field in dataclasses.fields(Result)}
    return {**empty, **{key: value for key, value in content.items() if key in known}, "scores": scores}


def _score_of_version_1(score):
    return {"value" if key == "cross_fitted" else key: value for key, value in score.items()}
