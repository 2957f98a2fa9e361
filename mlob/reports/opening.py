"""What the page opens with, in words that need no statistics: how good it is, at what, and what to do next."""

import dataclasses
from collections.abc import Mapping, Sequence

from mlob.data.facts import Facts
from mlob.ensemble.methods import CONSTANT
from mlob.evaluation.bootstrap import Interval
from mlob.evaluation.judge import LabelScores
from mlob.evaluation.scores import Score
from mlob.reports.mistakes import Diagnosis
from mlob.reports.tables import Row
from mlob.runs.results import EnsembleResult

GOOD, POOR = 0.8, 0.5  # F1 from which on a label is found well; below which poorly
JUDGEABLE = 10  # photos of validation from which on a label's figure is no mere chance
ENOUGH = 20  # photos of train from which on a label can be learned
NAMED = 5  # labels that are called by name
STEPS = 3  # that are advised at once


@dataclasses.dataclass(frozen=True)
class Named:
    """Some labels: the names of the first few, how many more there are, and how many in all."""

    names: list[str]
    more: int
    labels: int


@dataclasses.dataclass(frozen=True)
class Step:
    """Something to do, and the section of the page that tells more; None where none does."""

    section: str | None
    advice: str


@dataclasses.dataclass(frozen=True)
class Answered:
    """How often the likeliest label of the group that a suite is about is right, and by whom: a model, the ensemble."""

    group: str
    top_1: Interval
    who: str

    @property
    def right(self) -> int:
        """Of a hundred photos."""
        return round(100 * self.top_1.value)


@dataclasses.dataclass(frozen=True)
class Opening:
    """What a layman needs to know.

    Attributes:
        answered: of a suite about a task, which then comes first; None of another.
        right: of 100 labels that are given; None where the row does not say.
        found: of 100 labels that are true; None where the row does not say.
        good, poor: labels that are found well, and poorly; None where there are none.
        few: labels that too few photos of train have; None where there are none.
        steps: what to do next, the most worthwhile first.
    """

    answered: Answered | None
    right: int | None
    found: int | None
    good: Named | None
    poor: Named | None
    few: Named | None
    steps: list[Step]


def tell(
    scores: Mapping[str, Score],
    labels: Sequence[LabelScores],
    facts: Facts,
    diagnosis: Diagnosis | None,
    answered: Answered | None = None,
) -> Opening:
    """Tell what a layman needs to know.

    Args:
        scores: of the headline, by metric.
        labels: its scores, label by label.
        facts: of the data set.
        diagnosis: what the ensemble gets wrong; None where there is no ensemble.
        answered: of a suite about a task, of whose labels alone the opening then tells.
    """
    labels = [label for label in labels if answered is None or label.group == answered.group]
    judged = [label for label in labels if label.validation >= JUDGEABLE]
    good = [label for label in _by_f1(judged)[::-1] if label.f1 >= GOOD]
    poor = [label for label in _by_f1(judged) if label.f1 < POOR]
    few = [label for label in labels if label.train < ENOUGH]
    return Opening(
        answered,
        _of_a_hundred(scores.get("precision")),
        _of_a_hundred(scores.get("recall")),
        _named(good),
        _named(poor),
        _named(few),
        _steps(facts, len(few), diagnosis)[:STEPS],
    )


def answered(task: str, rows: Sequence[Row], ensemble: EnsembleResult | None) -> Answered | None:
    """Find how well the task of a suite is solved: by the ensemble, else by the best model; None where by neither.

    Args:
        task: a group of labels; "" of a suite about none.
    """
    for own in ensemble.tasks if task and ensemble else []:
        if own.group == task:
            return Answered(task, own.scores["top_1"], "the ensemble")
    models = [Answered(task, row.top_1[task], row.name) for row in rows if task in row.top_1]
    return max(models, key=lambda each: each.top_1.value, default=None)


def why(ensemble: EnsembleResult) -> str:
    """Say why the chosen method decides, and not the highest of all."""
    chosen, gain = ensemble.chosen, ensemble.chosen.gain
    tried = sum(method.method != CONSTANT for method in ensemble.methods)
    return (
        "The highest of many figures is partly luck. So the choice was made before anything was measured: "
        f"{chosen.fixed.name}. "
        f"Against it stands the highest of {tried} combinations of a method and its thresholds, chosen for each photo "
        f"on the other folds: it gains {gain.value:+.4f} (95% interval {gain.low:+.4f} to {gain.high:+.4f}). "
        + (
            "That is not clearly a gain, so it stays. Rows of the table that stand higher may owe it to luck."
            if chosen.is_fixed
            else f"That is clear, so the highest is taken instead: {chosen.name}."
        )
    )


def _by_f1(labels: Sequence[LabelScores]) -> list[LabelScores]:
    return sorted(labels, key=lambda label: label.f1)


def _of_a_hundred(score: Score | None) -> int | None:
    return None if score is None else round(100 * score.value)


def _named(labels: Sequence[LabelScores]) -> Named | None:
    if not labels:
        return None
    names = [label.name for label in labels[:NAMED]]
    return Named(names, len(labels) - len(names), len(labels))


def _steps(facts: Facts, few: int, diagnosis: Diagnosis | None) -> list[Step]:
    """Advise what pays most first."""
    failed = sum(split.failed.photos for split in facts.splits.values() if split.failed)
    twice = sum(pair.photos for pair in facts.equal_between)
    doubtful = diagnosis.suspects.photos if diagnosis else 0
    steps = [
        (twice, Step("data", f"Take out {_count(twice, 'photo')} found in two splits: they flatter the figures.")),
        (failed, Step("data", f"Replace or remove {_count(failed, 'missing or unreadable photo')}.")),
        (few, Step("labels", f"Add photos for {_count(few, 'label')} with fewer than {ENOUGH} photos to train on.")),
        (doubtful, Step("doubts", f"Check the annotations of {_count(doubtful, 'photo')}: they may be wrong.")),
    ]
    return [step for number, step in steps if number] or [
        Step(None, "Run make learning-curve to see whether more photos would help.")
    ]


def _count(number: int, kind: str) -> str:
    return f"{number:,} {kind}{'s' if number != 1 else ''}"
