"""Fit a head on features, resident or streamed; stopping and schedules look at dev, never at validation."""

import dataclasses
import math
import time

import keras
import numpy as np

from mlob import machine
from mlob.errors import InputError
from mlob.metrics import highest_micro_f1
from mlob.models import heads, losses
from mlob.models.groups import exclusive_groups
from mlob.progress import bar, detail
from mlob.recipes import epochs_for
from mlob.training import batches, sampling, steps

BLOCK = 8192  # rows a prediction step
ROWS_WORTH_XLA = 1_000_000  # fewer, over all epochs, save less than the seconds that compiling takes
LEAST_SPEEDUP = 1.2  # below it bfloat16 is not worth the digits, and noise could turn the choice
PLATEAU_EPOCHS, PLATEAU_FACTOR, PLATEAU_GAIN = 3, 0.2, 1e-4  # the last is what Keras's ReduceLROnPlateau takes for gain


COLUMNS = ("epoch", "loss", "dev_loss", "dev_micro_f1", "learning_rate")  # of the history


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A trained head.

    Attributes:
        model: the Keras model, at its best epoch where the recipe stops early.
        history: one dict of COLUMNS an epoch; loss is the recipe's, dev_loss binary cross entropy.
        seconds: of training, compilation included, and what a killed run took up to its checkpoint.
        warm_up_seconds: of these, until the first chunk of rows was trained on: compilation and the first read.
        steps_seconds: of these, the steps of the epochs after that, dev left out.
    """

    model: keras.Model
    history: list[dict]
    seconds: float
    warm_up_seconds: float
    steps_seconds: float


def fit(experiment, train, dev, *, name, groups=None, checkpoint=None, after_epoch=None):
    """Train the head of an experiment.

    Killed and called again with the same checkpoint it goes on after the last whole epoch, and ends with the same bytes
    as if it had not been: the order of rows hangs on seed and epoch, all other state is in the checkpoint.

    Args:
        experiment: the recipe.
        train, dev: `batches.Rows`, dev resident.
        name: of the model, for the progress bar.
        groups: the group of each label, texts (labels,), for a head with `groups`.
        checkpoint: a `checkpoint.Checkpoint`, written after every epoch and left for the caller to remove.
        after_epoch: function that is given the history after every epoch; what it raises ends the training.

    Raises:
        InputError: no label's share is within the recipe's, the checkpoint is damaged, or the loss is no longer finite;
            the checkpoint of the last whole epoch stays.
    """
    columns, labels = _own_columns(experiment, train.targets), train.targets.shape[1]
    if len(columns) < labels:
        train, dev = (dataclasses.replace(rows, targets=rows.targets[:, columns]) for rows in (train, dev))
        groups = groups and [groups[column] for column in columns]
    started = time.monotonic()
    facts, arrays = _kept(checkpoint)
    started -= facts["seconds"]
    learner = _Learner(experiment, train, dev, groups, facts)
    if arrays and not learner.takes(arrays):
        raise checkpoint.damaged("its arrays are not of this head")
    with bar(name, learner.epochs, unit="epochs") as advance:
        if learner.history:
            advance(len(learner.history), "done before")
        while not learner.is_done():
            learner.run_epoch()
            if checkpoint:
                facts = {"history": learner.history, "precision": learner.precision, "jit": learner.jit}
                checkpoint.write({**facts, "seconds": time.monotonic() - started}, **learner.arrays())
            last = learner.history[-1]
            advance(1, f"loss {last['loss']:.4f}, dev micro-F1 {last['dev_micro_f1']:.4f}")
            if after_epoch:
                after_epoch(learner.history)
    if learner.best:
        learner.model.set_weights(learner.best)
    model = learner.model if len(columns) == labels else heads.spread(learner.model, columns, labels)
    warm_up = (learner.warm or started) - started
    return Fitted(model, learner.history, time.monotonic() - started, warm_up, learner.steps_seconds)


def _kept(checkpoint):
    """Give the facts and arrays that a training goes on from, or begins with."""
    found = checkpoint and checkpoint.read()
    if not found:
        return {"history": [], "precision": None, "jit": None, "seconds": 0.0}, {}
    match found[0]:
        case {"history": [_, *_] as rows, "precision": str(), "jit": bool(), "seconds": float()} if all(
            map(_is_row, rows)
        ):
            return found
    raise checkpoint.damaged("its history is not of a training")


def _is_row(row):
    """Say whether this is the history's row of an epoch."""
    return isinstance(row, dict) and {*row} == {*COLUMNS} and all(isinstance(one, int | float) for one in row.values())


def epochs(training, rows):
    """Count the epochs that a recipe's `Training` takes at most on a number of rows."""
    return training.nadam_epochs + (training.epochs or epochs_for(rows))


def predict(model, features):
    """Give probabilities float32 (n, labels) for float16 features (n, d), block by block.

    Of features that hold several views (n, views * d), the means over the views.
    """
    views = features.shape[-1] // model.input_shape[-1]
    found = np.zeros((len(features), model.output_shape[1]), np.float32)
    for start in range(0, len(features), BLOCK):
        seen = np.split(features[start : start + BLOCK], views, axis=-1)
        probabilities = [keras.ops.convert_to_numpy(model(view, training=False)) for view in seen]
        found[start : start + BLOCK] = np.mean(probabilities, axis=0)
    return found


def _own_columns(experiment, targets):
    """Find the labels that the recipe's head learns."""
    least, most = experiment.least_share, experiment.most_share
    columns = sampling.own_columns(targets, least, most)
    if len(columns):
        return columns
    raise InputError(f"No label is on {least:g} to {most:g} of the training rows: change least_share or most_share.")


class _Learner:
    """A head in training: what a checkpoint has to hold, and an epoch more of it."""

    def __init__(self, experiment, train, dev, groups, facts):
        self.training, self.seed, self.train, self.dev = experiment.training, experiment.seed, train, dev
        self.precision = facts["precision"] or _precision(experiment, train)
        self.jit = facts["jit"] if facts["history"] else _jit(experiment, train, self.precision)
        self.history, self.best = facts["history"], None
        self.epochs = epochs(self.training, len(train.ids))
        self.warm, self.steps_seconds = None, 0.0
        keras.utils.set_random_seed(self.seed)
        self.views = len(experiment.stores) if experiment.views else 1
        exclusive = exclusive_groups(groups, train.targets) if experiment.head.groups else []
        self.model = heads.build(experiment.head, train.features, train.targets, self.precision, exclusive, self.views)
        self.loss = losses.of(self.training, train.targets, exclusive)
        self.chances = sampling.chances(train.targets, self.training.balance) if self.training.balance else None
        self.drawn = batches.on_device(train) if self._can_draw_on_device() else train
        self._take_optimizer()

    def takes(self, arrays):
        """Take the state that `arrays` gave before, and say whether it fits; else nothing is taken."""
        groups = {"model": self.model.variables, "optimizer": self.optimizer.variables, "best": self.model.weights}
        fits = {*arrays, "best"} == {*groups} and all(_fits(groups[name], group) for name, group in arrays.items())
        if fits:
            self.best = arrays.get("best")
            _assign(self.model.variables, arrays["model"])
            _assign(self.optimizer.variables, arrays["optimizer"])
        return fits

    def is_done(self):
        """Say whether all epochs are over, or the dev loss has stood still for too long."""
        losses, patience = self._dev_losses(), self.training.patience
        stands_still = bool(losses and patience) and len(losses) - 1 - int(np.argmin(losses)) >= patience
        return stands_still or len(self.history) >= self.epochs

    def run_epoch(self):
        """Train on each row once, and judge dev."""
        if self.training.schedule == "plateau" and len(self.history) >= self.training.nadam_epochs:
            share = min(1, (len(self._dev_losses()) + 1) / (self.training.warmup_epochs + 1))
            self.optimizer.learning_rate = share * plateau_rate(self.training.learning_rate, self._dev_losses())
        found = {"epoch": len(self.history) + 1, "loss": self._run_steps(), **_judged(self.model, self.dev)}
        self.history.append({**found, "learning_rate": float(self.optimizer.learning_rate)})
        losses = self._dev_losses()
        if self.training.patience and losses and losses[-1] < min(losses[:-1], default=math.inf):
            self.best = self.model.get_weights()
        if len(self.history) == self.training.nadam_epochs:
            self._take_optimizer()

    def arrays(self):
        """Give all state that is not in the history, as groups of arrays."""
        groups = {"model": self.model.variables, "optimizer": self.optimizer.variables}
        found = {name: [keras.ops.convert_to_numpy(one) for one in group] for name, group in groups.items()}
        return {**found, "best": self.best} if self.best else found

    def _take_optimizer(self):
        """Take the optimizer of the epochs that come, new, and compile steps for it."""
        steps_an_epoch = math.ceil(len(self.train.ids) / self.training.batch)
        if len(self.history) < self.training.nadam_epochs:
            self.optimizer = keras.optimizers.Nadam(2e-3)
        else:
            steps_left = (self.epochs - self.training.nadam_epochs) * steps_an_epoch
            self.optimizer = _optimizer(self.training, steps_left, self.training.warmup_epochs * steps_an_epoch)
        learned = heads.with_outputs if losses.LOSSES[self.training.loss].of_softmaxes else heads.with_logits
        self.run = steps.compiled(learned(self.model), self.optimizer, self.loss, jit=self.jit)

    def _run_steps(self):
        """Run an epoch's steps: the mean loss of its rows."""
        epoch, total, step, started = len(self.history), 0.0, 0, time.monotonic()
        for features, targets in self._batches(np.random.default_rng((self.seed, epoch))):
            losses = self.run(features, targets)
            if self.warm is None:
                self.warm = started = time.monotonic()
            if not np.isfinite(losses).all():
                first = int(np.argmin(np.isfinite(losses)))
                raise InputError(
                    f"The loss is {losses[first]} at step {step + first + 1} of epoch {epoch + 1}: lower "
                    "training.learning_rate, or take another loss."
                )
            total, step = total + float(losses.sum()) * features.shape[1], step + len(losses)
        self.steps_seconds += time.monotonic() - started
        return total / len(self.train.ids)

    def _batches(self, generator):
        """Give the batches of an epoch, drawn, seen and mixed as the recipe says."""
        times = None if self.chances is None else sampling.times(self.chances, generator)
        for features, targets in batches.epoch(self.drawn, self.training.batch, generator, times):
            seen = sampling.one_view(features, self.views, generator) if self.views > 1 else features
            alpha = self.training.mixup
            yield sampling.mixed(seen, targets, alpha, generator) if alpha else (seen, targets)

    def _can_draw_on_device(self):
        """Say whether rows need not pass through NumPy on their way to a GPU."""
        is_plain = self.views == 1 and not self.training.mixup
        return is_plain and isinstance(self.train.features, np.ndarray) and machine.has_gpu()

    def _dev_losses(self):
        """List the dev losses since the recipe's own optimizer took over."""
        return [row["dev_loss"] for row in self.history[self.training.nadam_epochs :]]


def plateau_rate(rate, dev_losses):
    """Give the learning rate after these dev losses: a fifth of it whenever three epochs in a row brought no gain."""
    best, waited = math.inf, 0
    for value in dev_losses:
        best, waited = (value, 0) if value < best - PLATEAU_GAIN else (best, waited + 1)
        if waited == PLATEAU_EPOCHS:
            rate, waited = rate * PLATEAU_FACTOR, 0
    return rate


def _optimizer(training, count, warmup):
    """Build the recipe's optimizer for `count` steps, the first `warmup` of which raise the rate from zero."""
    rate = training.learning_rate
    if training.schedule == "cosine":
        first, target = (0.0, rate) if warmup else (rate, None)
        rate = keras.optimizers.schedules.CosineDecay(first, count - warmup, warmup_target=target, warmup_steps=warmup)
    if training.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=training.momentum, nesterov=training.nesterov)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=training.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])  # else the prior in the output's bias fades
    return optimizer


def _precision(experiment, train):
    """Take the recipe's precision; "auto" takes bfloat16 where its steps are clearly faster than float32's."""
    if experiment.training.precision != "auto":
        return experiment.training.precision
    exact, fast = _fastest(_trial(experiment, train, precision, jit=True) for precision in ("float32", "bfloat16"))
    chosen = "bfloat16" if exact / fast >= LEAST_SPEEDUP else "float32"
    detail(f"  {chosen}: bfloat16 steps have {exact / fast:.2f} of float32's rate (at least {LEAST_SPEEDUP} wanted)")
    return chosen


def _jit(experiment, train, precision):
    """Say whether XLA compiles TensorFlow's steps: where they are many, and a trial finds them faster so.

    It saves a fifth of most heads' time, but takes four times as long where it draws a dropout's numbers inside of a
    matrix product (measured; both happen with TensorFlow 2.21).
    """
    if keras.backend.backend() != "tensorflow":
        return True
    if epochs(experiment.training, len(train.ids)) * len(train.ids) < ROWS_WORTH_XLA:
        return False
    plain, compiled = _fastest(_trial(experiment, train, precision, jit=jit) for jit in (False, True))
    return bool(compiled < plain)


def _fastest(trials):
    """Run trials by turns, since other work may come and go: the fewest seconds of each."""
    trials = list(trials)
    rounds = [[trial() for trial in trials] for _ in range(4)]
    return np.min(rounds[1:], axis=0)  # the first round compiles


def _trial(experiment, train, precision, jit):
    """Give a function that runs steps on the first rows, and tells their seconds."""
    rows = train.take(np.arange(len(train.ids)) < BLOCK).resident()
    model = heads.build(experiment.head, rows.features, rows.targets, precision)
    loss = losses.of(experiment.training, rows.targets)
    optimizer = _optimizer(experiment.training, BLOCK, 0)
    run = steps.compiled(heads.with_logits(model), optimizer, loss, jit=jit)
    features, targets = next(batches.epoch(rows, experiment.training.batch, np.random.default_rng(0)))

    def seconds():
        started = time.perf_counter()
        run(features, targets)
        return time.perf_counter() - started

    return seconds


def _judged(model, dev):
    probabilities = predict(model, dev.features)
    dev_loss = float(np.mean(keras.ops.convert_to_numpy(keras.losses.binary_crossentropy(dev.targets, probabilities))))
    if not np.isfinite(dev_loss):  # what an epoch's last step spoils shows on dev alone
        raise InputError(f"The loss is {dev_loss} on dev after the epoch's last step: lower training.learning_rate.")
    return {"dev_loss": dev_loss, "dev_micro_f1": highest_micro_f1(dev.targets, probabilities)}


def _fits(variables, arrays):
    """Say whether arrays are numbers, and of just the variables' shapes."""
    shapes = [tuple(variable.shape) for variable in variables]
    return shapes == [array.shape for array in arrays] and all(array.dtype.kind in "iuf" for array in arrays)


def _assign(variables, arrays):
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
