"""Fit a head on features, resident or streamed; stopping and schedules look at dev, never at validation."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np

from mlob import machine
from mlob.errors import InputError
from mlob.labels import completed, count_known, exclusive_groups, is_known, known_entries
from mlob.metrics import highest_micro_f1
from mlob.models import heads, losses
from mlob.progress import bar
from mlob.recipes import Experiment
from mlob.training import batches, devices, sampling, schedule, speed, steps
from mlob.training.checkpoint import Arrays, Checkpoint
from mlob.training.trained import COLUMNS, Epoch, Trained

BLOCK = 8192  # rows a prediction step


@devices.shared_out()
def fit(
    experiment: Experiment,
    train: batches.Labelled,
    dev: batches.Labelled,
    *,
    name: str,
    groups: Sequence[str] | None = None,
    checkpoint: Checkpoint | None = None,
    after_epoch: Callable[[list[Epoch]], None] | None = None,
) -> Trained:
    """Train the head of an experiment.

    Killed and called again with the same checkpoint it goes on after the last whole epoch, and ends with the same bytes
    as if it had not been: the order of rows depends on seed and epoch, all other state is in the checkpoint.

    Args:
        experiment: the recipe.
        train, dev: the rows; dev resident.
        name: of the model, for the progress bar.
        groups: the group of each label (labels,), for a head with `groups`.
        checkpoint: written after every epoch, and left for the caller to remove.
        after_epoch: function that is given the history after every epoch; what it raises ends the training.

    Raises:
        InputError: no label's prevalence is within the recipe's, nothing is known of dev, the checkpoint is damaged, or
            the loss is no longer finite; the checkpoint of the last whole epoch stays.
    """
    labels, columns = train.targets.shape[1], _own_columns(experiment, train.targets)
    if len(columns) < labels:
        train, dev = _only(train, columns), _only(dev, columns)
        groups = [groups[column] for column in columns] if groups else None
    if not count_known(dev.targets):
        raise InputError(
            f"Training stops by {len(dev.ids):,} photos of train of which nothing is known: annotate them."
        )
    before, arrays = _resumed(checkpoint)
    started = time.monotonic() - before.seconds
    learner = _Learner(experiment, train, dev, groups, before)
    if checkpoint and arrays and not learner.takes(arrays):
        raise checkpoint.damaged("its arrays do not fit this head")

    def epoch_done() -> None:
        if checkpoint:
            learner.write(checkpoint, seconds=time.monotonic() - started)
        if after_epoch:
            after_epoch(learner.history)

    _run_epochs(learner, name, epoch_done)
    learned = learner.best_model()
    model = learned if len(columns) == labels else heads.spread(learned, columns, labels)
    return Trained(
        model,
        functools.partial(predict, model),
        learner.history,
        model.count_params(),
        time.monotonic() - started,
        warm_up_seconds=learner.warm - started if learner.warm else 0.0,
        steps_seconds=learner.steps_seconds,
    )


def predict(model: keras.Model, features: heads.Features) -> np.ndarray:
    """Give probabilities float32 (n, labels) for float16 features (n, d), block by block.

    Of features that hold several views (n, views * d), the means over the views.
    """
    views = features.shape[-1] // model.input_shape[-1]
    probabilities = np.zeros((len(features), model.output_shape[1]), np.float32)
    for start in range(0, len(features), BLOCK):
        parts = np.split(features[start : start + BLOCK], views, axis=-1)
        each = [keras.ops.convert_to_numpy(model(part, training=False)) for part in parts]
        probabilities[start : start + BLOCK] = np.mean(each, axis=0)
    return probabilities


def judge(model: keras.Model, dev: batches.Labelled) -> tuple[float, float]:
    """Give the mean binary cross entropy of what is known on dev, and micro-F1 there at its best threshold.

    Raises:
        InputError: the loss is not finite: what an epoch's last step spoils shows on dev alone.
    """
    probabilities = predict(model, dev.features)
    dev_loss = _cross_entropy(dev.targets, probabilities)
    if not np.isfinite(dev_loss):
        raise InputError(f"The loss is {dev_loss} on dev after the epoch's last step: lower training.learning_rate.")
    return dev_loss, highest_micro_f1(dev.targets, probabilities)


def _cross_entropy(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Give the mean binary cross entropy of the targets that are known."""
    if is_known(targets) is not None:
        targets, probabilities = (each[:, np.newaxis] for each in known_entries(targets, probabilities))
    return float(np.mean(keras.ops.convert_to_numpy(keras.losses.binary_crossentropy(targets, probabilities))))


def _own_columns(experiment: Experiment, targets: np.ndarray) -> np.ndarray:
    """Find the labels that the recipe's head learns."""
    least, most = experiment.least_share, experiment.most_share
    columns = sampling.own_columns(targets, least, most)
    if len(columns):
        return columns
    raise InputError(f"No label is on {least:g} to {most:g} of the training rows: change least_share or most_share.")


def _only(rows: batches.Labelled, columns: np.ndarray) -> batches.Labelled:
    """Give the rows with the targets of some labels alone."""
    return dataclasses.replace(rows, targets=rows.targets[:, columns])


@dataclasses.dataclass(frozen=True)
class _Facts:
    """What a checkpoint says about a training beside its arrays; precision and jit are None where it has not begun."""

    history: list[Epoch]
    precision: str | None = None
    jit: bool | None = None
    seconds: float = 0.0


def _resumed(checkpoint: Checkpoint | None) -> tuple[_Facts, Arrays]:
    """Give the facts and arrays that a training goes on from, or begins with."""
    content = checkpoint.read() if checkpoint else None
    if not (checkpoint and content):
        return _Facts([]), {}
    facts, arrays = content
    match facts:
        case {"history": [_, *_] as rows, "precision": str(), "jit": bool(), "seconds": float()}:
            if all(map(_is_epoch, rows)):
                return _Facts(rows, facts["precision"], facts["jit"], facts["seconds"]), arrays
    raise checkpoint.damaged("its history is not of a training")


def _is_epoch(row: object) -> bool:
    """Say whether this is a history's row of an epoch."""
    return (
        isinstance(row, dict)
        and {*row} == {*COLUMNS}
        and all(isinstance(number, int | float) for number in row.values())
    )


class _Learner:
    """A head in training."""

    def __init__(
        self,
        experiment: Experiment,
        train: batches.Labelled,
        dev: batches.Labelled,
        groups: Sequence[str] | None,
        before: _Facts,
    ) -> None:
        self.training, self.seed, self.dev = experiment.training, experiment.seed, dev
        self.precision = before.precision or speed.precision(experiment, train)
        self.jit = speed.jit(experiment, train, self.precision) if before.jit is None else before.jit
        self.history = before.history
        self.best: list[np.ndarray] | None = None  # weights at the lowest dev loss, where the recipe stops early
        self.epochs = schedule.epochs(self.training, len(train.ids))
        self.warm: float | None = None  # when the first chunk was done
        self.steps_seconds = 0.0
        keras.utils.set_random_seed(self.seed)
        self.views = len(experiment.stores) if experiment.views else 1
        exclusive = exclusive_groups(groups, train.targets) if groups and experiment.head.groups else []
        self.train = train = dataclasses.replace(train, targets=completed(train.targets, exclusive))
        self.model = heads.build(experiment.head, train.features, train.targets, self.precision, exclusive, self.views)
        self.loss = losses.of(self.training, train.targets, exclusive)
        self.chances = sampling.chances(train.targets, self.training.balance) if self.training.balance else None
        self.drawn = batches.on_device(train) if self._can_draw_on_device() else train
        self._take_optimizer()

    def takes(self, arrays: Arrays) -> bool:
        """Take the state that a checkpoint holds, and say whether it fits; else nothing is taken."""
        groups = {"model": self.model.variables, "optimizer": self.optimizer.variables, "best": self.model.weights}
        fits = {*arrays, "best"} == {*groups} and all(_fits(groups[name], group) for name, group in arrays.items())
        if fits:
            self.best = arrays.get("best")
            _assign(self.model.variables, arrays["model"])
            _assign(self.optimizer.variables, arrays["optimizer"])
        return fits

    def is_done(self) -> bool:
        """Say whether all epochs are over, or the dev loss has stood still for too long."""
        losses, patience = self._dev_losses(), self.training.patience
        stands_still = bool(losses and patience) and len(losses) - 1 - int(np.argmin(losses)) >= patience
        return stands_still or len(self.history) >= self.epochs

    def set_rate(self) -> None:
        """Set the learning rate of the next epoch, where the dev losses so far decide on it."""
        if self.training.schedule == "plateau" and len(self.history) >= self.training.nadam_epochs:
            share = min(1, (len(self._dev_losses()) + 1) / (self.training.warmup_epochs + 1))
            rate = schedule.plateau_rate(self.training.learning_rate, self._dev_losses())
            self.optimizer.learning_rate = share * rate

    def end_epoch(self, loss: float) -> None:
        """Judge dev after an epoch of this loss, note both, and keep the weights where they are the best so far."""
        dev_loss, dev_micro_f1 = judge(self.model, self.dev)
        self.history.append(
            {
                "epoch": len(self.history) + 1,
                "loss": loss,
                "dev_loss": dev_loss,
                "dev_micro_f1": dev_micro_f1,
                "learning_rate": float(self.optimizer.learning_rate),
            }
        )
        dev_losses = self._dev_losses()
        if self.training.patience and dev_losses and dev_losses[-1] < min(dev_losses[:-1], default=math.inf):
            self.best = self.model.get_weights()
        if len(self.history) == self.training.nadam_epochs:
            self._take_optimizer()

    def write(self, checkpoint: Checkpoint, *, seconds: float) -> None:
        """Write all state: what it has learned, and for how long."""
        groups = {"model": self.model.variables, "optimizer": self.optimizer.variables}
        arrays = {name: [keras.ops.convert_to_numpy(variable) for variable in group] for name, group in groups.items()}
        facts = dataclasses.asdict(_Facts(self.history, self.precision, self.jit, seconds))
        checkpoint.write(facts, **arrays, **({"best": self.best} if self.best else {}))

    def best_model(self) -> keras.Model:
        """Give the model, at its best epoch where the recipe stops early."""
        if self.best:
            self.model.set_weights(self.best)
        return self.model

    def _take_optimizer(self) -> None:
        """Take a new optimizer for the epochs that come, and compile steps for it."""
        steps_an_epoch = math.ceil(len(self.train.ids) / self.training.batch)
        if len(self.history) < self.training.nadam_epochs:
            self.optimizer = keras.optimizers.Nadam(2e-3)
        else:
            steps_left = (self.epochs - self.training.nadam_epochs) * steps_an_epoch
            warmup_steps = self.training.warmup_epochs * steps_an_epoch
            phase = schedule.phases(self.training, len(self.train.ids))[-1]
            self.optimizer = schedule.optimizer(phase, steps_left, warmup_steps)
        of_softmaxes = losses.LOSSES[self.training.loss].of_softmaxes
        learned = heads.with_outputs(self.model) if of_softmaxes else heads.with_logits(self.model)
        self.run = steps.compiled(learned, self.optimizer, self.loss, jit=self.jit)

    def run_steps(self) -> float:
        """Run an epoch's steps, and give the mean loss of its rows."""
        epoch, total, step, started = len(self.history), 0.0, 0, time.monotonic()
        for features, targets in self._batches(np.random.default_rng((self.seed, epoch))):
            values = self.run(features, targets)
            if self.warm is None:
                self.warm = started = time.monotonic()
            if not np.isfinite(values).all():
                first = int(np.argmin(np.isfinite(values)))
                raise InputError(
                    f"The loss is {values[first]} at step {step + first + 1} of epoch {epoch + 1}: lower "
                    "training.learning_rate, or take another loss."
                )
            total, step = total + float(values.sum()) * features.shape[1], step + len(values)
        self.steps_seconds += time.monotonic() - started
        return total / len(self.train.ids)

    def _batches(self, generator: np.random.Generator) -> Iterator[batches.Batches]:
        """Give the batches of an epoch, drawn, seen and mixed as the recipe says."""
        times = None if self.chances is None else sampling.times(self.chances, generator)
        for features, targets in batches.epoch(self.drawn, self.training.batch, generator, times):
            seen = sampling.one_view(features, self.views, generator) if self.views > 1 else features
            alpha = self.training.mixup
            yield sampling.mixed(seen, targets, alpha, generator) if alpha else (seen, targets)

    def _can_draw_on_device(self) -> bool:
        """Say whether rows need not pass through NumPy on their way to a GPU."""
        is_plain = self.views == 1 and not self.training.mixup
        return is_plain and isinstance(self.train.features, np.ndarray) and machine.has_gpu()

    def _dev_losses(self) -> list[float]:
        """List the dev losses since the recipe's own optimizer took over."""
        return [row["dev_loss"] for row in self.history[self.training.nadam_epochs :]]


def _run_epochs(learner: _Learner, name: str, epoch_done: Callable[[], None]) -> None:
    """Run the epochs that are left, and show how far they are; `epoch_done` is called after each."""
    with bar(name, learner.epochs, unit="epochs") as advance:
        if learner.history:
            advance(len(learner.history), "done before")
        while not learner.is_done():
            learner.set_rate()
            learner.end_epoch(learner.run_steps())
            last = learner.history[-1]
            advance(1, f"loss {last['loss']:.4f}, dev micro-F1 {last['dev_micro_f1']:.4f}")
            epoch_done()


def _fits(variables: Sequence[keras.Variable], arrays: Sequence[np.ndarray]) -> bool:
    """Say whether arrays are numbers, and of just the variables' shapes."""
    shapes = [tuple(variable.shape) for variable in variables]
    return shapes == [array.shape for array in arrays] and all(array.dtype.kind in "iuf" for array in arrays)


def _assign(variables: Sequence[keras.Variable], arrays: Sequence[np.ndarray]) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
