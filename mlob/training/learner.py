"""A model in training, phase by phase and epoch by epoch: a head on features, or a whole network."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from mlob import machine
from mlob.errors import InputError
from mlob.labels import clearly_exclusive_groups, columns_of, completed
from mlob.models import heads, losses, networks
from mlob.models.beginning import Beginning
from mlob.phases import Phase
from mlob.progress import Advance
from mlob.recipes import Experiment
from mlob.training import batches, predicting, sampling, schedule, speed, steps
from mlob.training.checkpoint import Arrays
from mlob.training.trained import Epoch

FULL_MEMORY = (  # words of the backends' errors
    *("RESOURCE_EXHAUSTED", "ResourceExhausted", "out of memory", "OutOfMemory", "OOM when allocating"),
    "can't allocate memory",
)


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a checkpoint says about a training beside its arrays; precision and jit are None where it has not begun."""

    history: list[Epoch]
    precision: str | None = None
    jit: bool | None = None
    seconds: float = 0.0


class Learner:
    """A model in training.

    Args:
        experiment: the recipe.
        train, dev: the rows; dev resident.
        groups: the group of each label (labels,), for a head with `groups` and for tasks.
        begin: what a network, or a head with a start, begins with.
        before: what a checkpoint says.

    Raises:
        InputError: as of `networks.plan`; a phase unfreezes what is not there.
    """

    def __init__(
        self,
        experiment: Experiment,
        train: batches.Labelled,
        dev: batches.Labelled,
        groups: Sequence[str] | None,
        begin: Beginning | None,
        before: Facts,
    ) -> None:
        self.experiment, self.training, self.seed, self.dev = experiment, experiment.training, experiment.seed, dev
        self.precision = before.precision or speed.precision(experiment, train)
        self.jit = speed.jit(experiment, train, self.precision) if before.jit is None else before.jit
        self.history = before.history
        self.phases = schedule.phases(experiment, len(train.ids))
        self.best: list[np.ndarray] | None = None  # weights at the phase's lowest dev loss, where it stops early
        self.warm: float | None = None  # when the first chunk was done
        self.steps_seconds = self.waiting_seconds = 0.0
        keras.utils.set_random_seed(self.seed)
        self.views = len(experiment.stores) if experiment.views else 1
        exclusive = clearly_exclusive_groups(groups, train.targets) if experiment.head.groups else []
        self.train = train = dataclasses.replace(train, targets=completed(train.targets, exclusive))
        rows = train.features, train.targets
        tasks = [*columns_of(groups or [""] * train.targets.shape[1]).values()]
        self.plan: networks.Plan | heads.Plan = (
            networks.plan(experiment, begin, *rows, exclusive, tasks, self.precision)
            if begin and experiment.network
            else heads.Plan(
                experiment.head, *rows, self.precision, exclusive, tasks, self.views, begin.head if begin else None
            )
        )
        self.model = self.plan.build(self.phases[0].size)
        self._check_phases()
        self.loss = losses.of(self.training, train.targets, exclusive, sampling.label_weights(experiment, groups))
        self.chances = sampling.chances(train.targets, self.training.balance) if self.training.balance else None
        self.drawn = batches.on_device(train) if self._can_draw_on_device() else train
        self.size = self.phases[0].size
        self._begin_phase()

    @property
    def at(self) -> int:
        """The number of the phase that the next epoch belongs to, from 0; that of the last where all are over."""
        last = self.history[-1]["phase"] - 1 if self.history else 0
        return min(last + self._is_over(last), len(self.phases) - 1)

    @property
    def phase(self) -> Phase:
        """The phase that the next epoch belongs to."""
        return self.phases[self.at]

    @property
    def rows(self) -> int:
        """Of all epochs, at most."""
        return sum(phase.epochs * self._rows_of(phase) for phase in self.phases)

    @property
    def rows_done(self) -> int:
        """Of the epochs that are over."""
        return sum(self._rows_of(self.phases[row["phase"] - 1]) for row in self.history)

    def takes(self, arrays: Arrays) -> bool:
        """Take the state that a checkpoint holds, and say whether it fits; else nothing is taken."""
        groups = {**self._state(), "best": self.model.weights}
        fits = {*arrays, "best"} == {*groups} and all(_fits(groups[name], group) for name, group in arrays.items())
        if fits:
            self.best = arrays.get("best")
            for name in self._state():
                _assign(groups[name], arrays[name])
        return fits

    def is_done(self) -> bool:
        """Say whether all phases are over."""
        return bool(self.history) and self._is_over(len(self.phases) - 1)

    def run_epoch(self, advance: Advance) -> None:
        """Run an epoch's steps, judge dev, and note both; after a phase's last epoch begin the next one.

        Args:
            advance: told of the rows as they are done, the last ones with what was found on dev.
        """
        at = self.at
        self._set_rate()
        loss, rows = self._run_steps(advance)
        self._end_epoch(loss)
        advance(
            rows, f"epoch {len(self.history)}: loss {loss:.4f}, dev micro-F1 {self.history[-1]['dev_micro_f1']:.4f}"
        )
        if self._is_over(at):
            self._end_phase(self.phases[at])
            if at + 1 < len(self.phases):
                self._begin_phase()

    def write(self, checkpoint: Any, *, seconds: float) -> None:
        """Write all state: what it has learned, and for how long."""
        arrays = {name: [*map(keras.ops.convert_to_numpy, group)] for name, group in self._state().items()}
        facts = dataclasses.asdict(Facts(self.history, self.precision, self.jit, seconds))
        checkpoint.write(facts, **arrays, **({"best": self.best} if self.best else {}))

    def predictor(self) -> keras.Model:
        """Give the model that predicts, over the recipe's views."""
        return self.plan.predictor(self.model)

    def _state(self) -> dict[str, list[keras.Variable]]:
        return {"model": self.learned.variables, "optimizer": self.optimizer.variables}

    def _check_phases(self) -> None:
        """Refuse layers to unfreeze that are not there before any phase begins."""
        for phase in self.phases:
            self.plan.unfreeze(self.model, phase)

    def _begin_phase(self) -> None:
        """Freeze, take a new optimizer and compile steps, for the epochs that come."""
        phase, epoch_steps = self.phase, self._epoch_steps()
        self._resize(phase.size)
        self.plan.unfreeze(self.model, phase)
        shares = self.plan.shares(self.model, phase)
        self.optimizer = schedule.optimizer(
            phase, phase.epochs * epoch_steps, phase.warmup_epochs * epoch_steps, shares
        )
        of_softmaxes = losses.LOSSES[self.training.loss].of_softmaxes
        outputs = heads.with_outputs(self.model) if of_softmaxes else heads.with_logits(self.model)
        self.learned = self.plan.in_training(outputs, phase, self.seed + self.at)
        self.run = steps.compiled(self.learned, self.optimizer, self.loss, jit=self.jit)
        self.best = None

    def _resize(self, size: int) -> None:
        """Build the network anew for photos of another size, with the weights that it has."""
        if size != self.size:
            weights = self.model.get_weights()
            self.model, self.size = self.plan.build(size), size
            self.model.set_weights(weights)

    def _end_phase(self, phase: Phase) -> None:
        """Take the phase's best weights where it stops early, or their average where it has one."""
        if self.best:
            self.model.set_weights(self.best)
        elif phase.average:
            self.optimizer.finalize_variable_values(self.learned.trainable_variables)

    def _is_over(self, number: int) -> bool:
        """Say whether a phase has had all its epochs, or its dev loss has stood still for too long."""
        losses, phase = self._dev_losses(number), self.phases[number]
        stands_still = bool(losses and phase.patience) and len(losses) - 1 - int(np.argmin(losses)) >= phase.patience
        return stands_still or len(losses) >= phase.epochs

    def _dev_losses(self, number: int) -> list[float]:
        return [row["dev_loss"] for row in self.history if row["phase"] == number + 1]

    def _set_rate(self) -> None:
        """Set the learning rate of the next epoch, where the dev losses so far decide on it."""
        if self.phase.schedule == "plateau":
            dev_losses = self._dev_losses(self.at)
            share = min(1, (len(dev_losses) + 1) / (self.phase.warmup_epochs + 1))
            self.optimizer.learning_rate = share * schedule.plateau_rate(self.phase.learning_rate, dev_losses)

    def _end_epoch(self, loss: float) -> None:
        """Judge dev after an epoch of this loss, note both, and keep the weights where they are the best so far."""
        phase, at = self.phase, self.at
        with self._averaged():
            dev_loss, dev_micro_f1 = predicting.judge(self.model, self.dev, self._field("learning_rate"))
            if phase.patience and dev_loss < min(self._dev_losses(at), default=math.inf):
                self.best = self.model.get_weights()
        self.history.append(
            {
                "phase": at + 1,
                "epoch": len(self.history) + 1,
                "loss": loss,
                "dev_loss": dev_loss,
                "dev_micro_f1": dev_micro_f1,
                "learning_rate": float(self.optimizer.learning_rate),
            }
        )

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Let the model have the average of its weights, where the phase keeps one."""
        if not self.phase.average:
            yield
            return
        learning = self.learned.trainable_variables
        values = [keras.ops.copy(variable) for variable in learning]
        self.optimizer.finalize_variable_values(learning)
        yield
        _assign(learning, values)

    def _run_steps(self, advance: Advance) -> tuple[float, int]:
        """Run an epoch's steps; give the mean loss of its rows, and how many rows the progress was not yet told of."""
        total, step, rows, untold, started = 0.0, 0, 0, 0, time.monotonic()
        chunks = self._batches(np.random.default_rng((self.seed, len(self.history))))
        left = self.phase.steps or math.inf
        before = f", dev micro-F1 before {self.history[-1]['dev_micro_f1']:.4f}" if self.history else ""
        while left and (chunk := self._waited_for(chunks)):
            features, targets = (each[: min(left, len(each))] for each in chunk)
            values = self._taught(features, targets)
            if self.warm is None:
                self.warm, self.waiting_seconds = time.monotonic(), 0.0
                started = self.warm
            self._check_finite(values, step)
            total, step = total + float(values.sum()) * features.shape[1], step + len(values)
            told, untold = untold, features.shape[0] * features.shape[1]
            rows, left = rows + untold, left - len(values)
            advance(told, f"epoch {len(self.history) + 1}: loss {total / rows:.4f}{before}")
        self.steps_seconds += time.monotonic() - started
        return total / rows, untold

    def _waited_for(self, chunks: Iterator[batches.Batches]) -> batches.Batches | None:
        """Give the next chunk, and note how long it took to come."""
        started = time.monotonic()
        chunk = next(chunks, None)
        self.waiting_seconds += time.monotonic() - started
        return chunk

    def _taught(self, features: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Run steps, and give their losses; where memory is full it is said what to lower."""
        try:
            return self.run(features, targets)
        except Exception as error:  # each backend has an error of its own for full memory
            told = f"{type(error).__name__}: {error}"
            if isinstance(error, MemoryError) or any(mark in told for mark in FULL_MEMORY):
                raise InputError(
                    f"The device's memory does not hold a step on a batch of {features.shape[1]} rows of shape "
                    f"{features.shape[2:]}: lower training.batch"
                    + (", and raise accumulate of the phase by as much." if self.experiment.network else ".")
                ) from error
            raise

    def _check_finite(self, values: np.ndarray, step: int) -> None:
        if not np.isfinite(values).all():
            first = int(np.argmin(np.isfinite(values)))
            raise InputError(
                f"The loss is {values[first]} at step {step + first + 1} of epoch {len(self.history) + 1}"
                f"{f', phase {self.at + 1}' if len(self.phases) > 1 else ''}: "
                f"lower {self._field('learning_rate')}, or take another loss."
            )

    def _field(self, name: str) -> str:
        """Name the field of the recipe that holds a setting of the phase."""
        return f"{schedule.field(self.experiment, self.at)}.{name}"

    def _epoch_steps(self) -> int:
        """Count the steps of an epoch."""
        return math.ceil(self._rows_of(self.phase) / self.training.batch)

    def _rows_of(self, phase: Phase) -> int:
        """Count the rows of a phase's epoch."""
        return min(phase.steps * self.training.batch or len(self.train.ids), len(self.train.ids))

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


def _fits(variables: Sequence[keras.Variable], arrays: Sequence[np.ndarray]) -> bool:
    """Say whether arrays are numbers, and of just the variables' shapes."""
    shapes = [tuple(variable.shape) for variable in variables]
    return shapes == [array.shape for array in arrays] and all(array.dtype.kind in "iuf" for array in arrays)


def _assign(variables: Sequence[keras.Variable], arrays: Sequence[Any]) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
