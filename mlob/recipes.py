"""Recipes: what is extracted, trained and ensembled, as frozen dataclasses; one file each, named `recipe`.

A recipe file states what differs from the defaults here; a variant is `dataclasses.replace(base, ...)` in a new file.
"""

import dataclasses
import math
from typing import Any, Literal

from mlob.decisions import Ensemble, Judging, Metric, Swarm  # noqa: F401  recipe files take all from here
from mlob.errors import InputError
from mlob.feature_sets import Crop, Detector, Encoder, FeatureSet, Size, Text  # noqa: F401
from mlob.fields import Recipe
from mlob.phases import Augmentation, Convolutions, Network, Phase  # noqa: F401

FEWEST_EPOCHS = 10
KERNEL_ROWS = 15_000  # whose kernels take 5 GB, and a fit some minutes on 2 cores
FEWEST_ROWS = 5  # a fifth of few rows is dev


@dataclasses.dataclass(frozen=True)
class Head(Recipe):
    """A dense network from features to one probability a label.

    Attributes:
        kind: "dense"; or "kernel", which compares a photo with each that it learned from, up to 15,000, and looks at
            `signed_sqrt` and `standardise` beside; or of scikit-learn "logistic" (one regression a label) or
            "naive_bayes" (multinomial, for counts of words and the like), which look at `standardise` alone.
        units: width of each hidden layer.
        batch_norm: batch normalisation after each hidden layer's ReLU.
        signed_sqrt: sign(x) * sqrt(|x|) of the features first, which evens out their long tails (power normalisation,
            Perronnin, Sanchez and Mensink 2010).
        standardise: features to zero mean and unit variance, by the training rows.
        feature_dropout, dropout: share of the features, and of each hidden layer, dropped while training.
        prior_bias: start the output's bias at the labels' log-odds in the training rows.
        groups: one softmax for each group of labels of which no training row has two ("none" is a class where some
            rows have none), one sigmoid for each other label.
        queries: of the attention that pools features of the pool "grid".
        task_units: width of each hidden layer that a task (a group of labels) has to itself, behind the shared ones, in
            multiples of its number of labels.
        branches: stacks of hidden layers and outputs beside each other, each trained on its own loss; probabilities are
            their mean (TreeNets, Lee et al. 2015), as if an ensemble of that many heads were one head.
    """

    kind: Literal["dense", "kernel", "logistic", "naive_bayes"] = "dense"
    units: tuple[int, ...] = (1024, 1024)
    batch_norm: bool = False
    signed_sqrt: bool = True
    standardise: bool = True
    feature_dropout: float = 0.0
    dropout: float = 0.5
    prior_bias: bool = True
    groups: bool = False
    queries: int = 4
    branches: int = 1
    task_units: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse layers of each task beside several branches."""
        super().__post_init__()
        if self.task_units and self.branches > 1:
            raise InputError(f"head.branches is {self.branches} beside head.task_units: expected 1.")


@dataclasses.dataclass(frozen=True)
class Training(Recipe):
    """How a head is fitted.

    The defaults come from a study on 800, 3,000 and 6,450 rows of DenseNet169 features: a fixed cosine schedule, run to
    its end, beat stopping at the lowest dev loss by 0.006 to 0.017 micro-F1 at each size, since micro-F1 still rises
    long after the loss has begun to.

    Attributes:
        optimizer: "adamw" or "sgd".
        loss: a name in `mlob.models.losses.LOSSES`; one of softmaxes needs a head with `groups`.
        positive_weight: of a positive label, in losses that have one.
        gamma: in losses that have one: the higher, the less a label counts that is nearly right. Papers take 1 to 4.
        label_smoothing: share by which targets are drawn towards equal chances.
        mixup: alpha of the Beta distribution of the shares in which two photos are mixed; 0 mixes none.
        balance: share of an epoch's rows that are drawn by their labels, each label as often as another.
        learning_rate, weight_decay, momentum, nesterov: of that optimizer; the last two are SGD's.
        nadam_epochs: epochs of Nadam with Keras's defaults before the optimizer takes over.
        schedule: "cosine" to zero over all epochs, or "plateau" (a fifth after three epochs without gain of the dev
            loss).
        warmup_epochs: during which the learning rate rises from zero.
        epochs: at most; 0 takes `epochs_for` the number of rows.
        batch: rows a step.
        patience: epochs without gain of the dev loss after which training stops and the best weights are taken; 0 runs
            the schedule to its end.
        limit: train on this many rows, chosen by a hash of the id (0: all).
        precision: in which the hidden layers compute; "auto" is bfloat16 where a trial of both finds it clearly faster.
        folds: 0 learns from train alone. Of 2 or more it learns from validation, too: each fold of it is predicted by a
            fit on train and the other folds, all else by what all fits have learned. Where train is large, or
            validation small beside it, that gains nothing, and is left out (`runs.job.Job.why_alone`).
    """

    loss: str = "binary"
    positive_weight: float = 1.0
    gamma: float = 2.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    balance: float = 0.0
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    momentum: float = 0.0
    nesterov: bool = False
    nadam_epochs: int = 0
    schedule: Literal["cosine", "plateau"] = "cosine"
    warmup_epochs: int = 0
    epochs: int = 0
    batch: int = 256
    patience: int = 0
    limit: int = 0
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    folds: int = 0

    def __post_init__(self) -> None:
        """Refuse a warm-up that does not end, rows too few to keep one for `dev`, and a single fold."""
        super().__post_init__()
        if self.folds == 1:
            raise InputError("training.folds is 1; expected 0, to learn from train alone, or 2 or more.")
        if 0 < self.limit < FEWEST_ROWS:
            raise InputError(f"training.limit is {self.limit}; expected 0 (all rows), or {FEWEST_ROWS} or more.")
        if self.warmup_epochs and self.warmup_epochs >= (self.epochs or FEWEST_EPOCHS):
            raise InputError(
                f"training.warmup_epochs is {self.warmup_epochs}; expected fewer than training.epochs, which "
                + (f"is {self.epochs}." if self.epochs else f"may be {FEWEST_EPOCHS} where the recipe names none.")
            )


OF_PHASES = (  # fields of `Training` that a network's phases have
    *("optimizer", "learning_rate", "weight_decay", "momentum", "nesterov"),
    *("nadam_epochs", "schedule", "warmup_epochs", "epochs", "patience"),
)


@dataclasses.dataclass(frozen=True)
class Task(Recipe):
    """A group of labels that a model learns, alone or beside others.

    Attributes:
        group: its name.
        weight: of its labels in the loss. It is multiplied in as it is: other tasks do not lessen it.
    """

    group: str
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Experiment(Recipe):
    """One model of a suite: a head on one feature store, or on several; or a whole network that ends in a head.

    Attributes:
        stores: side by side, unless they are `views`.
        network: what stands before the head, trained with it; then `training` names the loss and what belongs to it,
            and the network's phases all the rest.
        start: name of a model of the suite that is trained first. A network takes over its head, which is on the
            extractor's features; a head takes over the layers that all labels share. Empty starts at random.
        views: the stores are views of the same photos. Each row of an epoch comes from one of them at random;
            predictions are means over them.
        least_share, most_share: the head learns the labels on at least the first share of the training rows, and on
            less than the second (1: no upper end), and predicts 0 for others: a specialist for frequent labels, or rare
            ones.
        tasks: the groups of labels that the model learns, each with its weight; it predicts 0 for others. Where none is
            named it learns all groups, each with the weight 1.
        most_photos: where train has more photos, the suite leaves the model out of its ensemble (0: never); it shapes
            nothing.
        reported: what the model's original came to, shown beside its figures; it shapes nothing.
        differs: what is otherwise than with the original, so that both figures can or cannot be compared; likewise.
    """

    stores: tuple[str, ...]
    head: Head = Head()
    training: Training = Training()
    seed: int = 0
    views: bool = False
    least_share: float = 0.0
    most_share: float = 1.0
    network: Network | None = None
    tasks: tuple[Task, ...] = ()
    start: str = ""
    most_photos: int = 0
    reported: str = ""
    differs: str = ""

    def __post_init__(self) -> None:
        """Refuse fields that contradict each other."""
        super().__post_init__()
        if self.network:
            self._check_network()
        if self.start and self.head.kind != "dense":
            raise InputError(f"A head of the kind {self.head.kind!r} begins at random: leave out start.")
        if self.head.kind != "dense" and not self.learns_all:
            raise InputError(
                f"A head of the kind {self.head.kind!r} learns all labels: leave out least_share, most_share and tasks."
            )
        if self.least_share >= self.most_share:
            raise InputError(f"least_share is {self.least_share}; expected less than most_share, {self.most_share}.")

    @property
    def learns_all(self) -> bool:
        """Whether the head learns all labels, and not those of some shares or tasks alone."""
        return (self.least_share, self.most_share) == (0, 1) and not self.tasks

    def _check_network(self) -> None:
        """Refuse a network with several stores, with scikit-learn's head, or with a second say about its phases."""
        if len(self.stores) > 1:
            raise InputError(f"A network reads one store, of pixels or of maps; found {', '.join(self.stores)}.")
        if self.start and self.network and self.network.convolutions:
            raise InputError("start is a head on an extractor's features; convolutions have none.")
        if self.head.kind != "dense":
            raise InputError(f"A network ends in a head of the kind 'dense', not {self.head.kind!r}.")
        own = {field.name: field.default for field in dataclasses.fields(Training) if field.name in OF_PHASES}
        if said := [f"training.{name}" for name, default in own.items() if getattr(self.training, name) != default]:
            raise InputError(f"{', '.join(said)} beside a network: its phases say that.")


@dataclasses.dataclass(frozen=True)
class Sum(Recipe):
    """One model made of specialists: the sum of their probabilities, each predicting 0 on the others' labels.

    Attributes:
        parts: names of experiments of the suite, all on the same stores.
        reported, differs: as of `Experiment`.
    """

    parts: tuple[str, ...]
    reported: str = ""
    differs: str = ""


@dataclasses.dataclass(frozen=True)
class Annotations(Recipe):
    """How a table of photos is read, where its names and its cells do not tell.

    Attributes:
        image: the column of the photos' paths.
        labels: the columns of labels; all others that are none of the named ones where it is empty.
        separator: of the labels in a cell.
        unknown: what a cell holds whose labels nobody looked for.
        split: the column of the splits.
        together: the column of what photos belong to: photos of one product are never in two splits.
        text: the column of a text beside each photo, such as the product's name, which the backbone "text" reads.
        even: a column of numbers, such as the year: photos with an even one are train and validation, all others test.
        encoding: of the table's text.
        exclusive: groups of labels of which no photo may have two, in any format.
        commonest: labels that each group keeps, in any format; the others become its label "other" (0 keeps all).
        other_below: a label on a smaller share of the labelled photos becomes the label "other" of its group.
    """

    image: str = ""
    labels: tuple[str, ...] = ()
    separator: str = ""
    unknown: str = "?"
    split: str = ""
    together: str = ""
    text: str = ""
    even: str = ""
    encoding: str = "utf-8"
    exclusive: tuple[str, ...] = ()
    commonest: int = 0
    other_below: float = 0.0


@dataclasses.dataclass(frozen=True)
class Submission(Recipe):
    """What submission.csv looks like.

    What is left empty is taken from the data folder's sample_submission.csv. Without one, a data set that numbers its
    labels itself gets the columns image_id and label_id, with ids separated by blanks; another one gets the columns
    image and labels, with names separated by |.

    Attributes:
        layout: "photos" (a row a photo, all its labels in one cell), "pairs" (a row a photo and label) or
            "probabilities" (a row a photo, a column a label); "photos" where no sample tells.
        image, label: names of the columns of the photos and of their labels.
        labels: whether labels are written as ids or as names.
        separator: of the labels in a cell, itself or in a word ("space", "comma", …).
        csv: probabilities.csv, too, is written beside probabilities.parquet.
    """

    layout: Literal["", "photos", "pairs", "probabilities"] = ""
    image: str = ""
    label: str = ""
    labels: Literal["", "ids", "names"] = ""
    separator: str = ""
    csv: bool = False


@dataclasses.dataclass(frozen=True)
class Suite(Recipe):
    """A data set and the models tried on it.

    Attributes:
        data: the data folder, unless DATA= names another.
        members: names of the experiments that the ensemble is made of; the first is the default MODEL.
        rows: further experiments that have a row in the table, but no part in the ensemble.
        generated: the photos are drawn where they are missing, and ImageNet weights that cannot be had are random
            ones, which every product says (the demo alone).
        annotations: how the data folder's table is read.
        submission: what submission.csv looks like.
        task: the group of labels that the suite is about: its table compares models by the likeliest label of it.
        repeats: trainings of each model for that table, with seeds that rise by one.
    """

    data: str
    members: tuple[str, ...]
    rows: tuple[str, ...] = ()
    generated: bool = False
    ensemble: Ensemble = Ensemble()  # noqa: RUF009  it is frozen
    annotations: Annotations = Annotations()
    submission: Submission = Submission()
    task: str = ""
    repeats: int = 1


def plain(experiment: Experiment | Sum) -> dict[str, Any]:
    """Give what shapes a model as a dict; without what it has none of in fields that are younger than some runs."""
    fields = dataclasses.asdict(experiment)
    parts = (fields, ("network", "tasks", "start")), (fields.get("head", {}), ("task_units",))
    for part, younger in (*parts, (fields.get("training", {}), ("folds",))):
        for name in younger:
            if not part.get(name):
                part.pop(name, None)
    return {name: value for name, value in fields.items() if name not in ("most_photos", "reported", "differs")}


# Team MLoB's head and its training [MLoB]: Nadam for an epoch, then SGD until the dev loss stands still.
MLP = Head(units=(1024, 512, 256), batch_norm=True, signed_sqrt=False, standardise=False, dropout=0.0, prior_bias=False)
MLP_TRAINING = Training(
    optimizer="sgd",
    learning_rate=1e-2,
    weight_decay=0.0,
    momentum=0.5,
    nesterov=True,
    nadam_epochs=1,
    schedule="plateau",
    epochs=100,
    batch=128,
    patience=10,
)
LINEAR = Head(units=(), dropout=0.0)
KERNEL = Head(kind="kernel")
LOGISTIC = Head(kind="logistic")
LOGISTIC_OF_TEXT = Head(kind="logistic", standardise=False)  # rare terms weigh as little as they are
NAIVE_BAYES = Head(kind="naive_bayes", standardise=False)


def check_kernel(rows: int) -> None:
    """Refuse more rows than a kernel machine can learn from.

    Raises:
        InputError: there are more.
    """
    if rows > KERNEL_ROWS:
        raise InputError(
            f"A head of the kind 'kernel' learns from {KERNEL_ROWS:,} photos at most, found {rows:,}: lower "
            "training.limit, or take another kind."
        )


def epochs_for(rows: int) -> int:
    """Give the epochs that training takes where the recipe names none: fewer the more rows there are, 10 to 100.

    50 epochs were enough at 6,450 rows, 100 at 800 (measured); the square root lies between equal epochs and equal
    steps.
    """
    return min(100, max(FEWEST_EPOCHS, round(50 * math.sqrt(6450 / rows))))
