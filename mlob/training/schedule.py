"""For how long a recipe trains, in which phases, with which optimizer, and how its learning rate changes."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from mlob.phases import Phase
from mlob.recipes import Experiment, Training, epochs_for

PLATEAU_EPOCHS, PLATEAU_FACTOR, PLATEAU_GAIN = 3, 0.2, 1e-4  # the last is what Keras's ReduceLROnPlateau takes for gain
OPTIMIZERS: dict[str, type[keras.Optimizer]] = {
    "adamw": keras.optimizers.AdamW,
    "adam": keras.optimizers.Adam,
    "nadam": keras.optimizers.Nadam,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
}
OWN_FIELDS = {"adamw": ("weight_decay",), "sgd": ("momentum", "nesterov")}
NOT_DECAYED = ["bias", "gamma", "beta"]  # else the prior in the output's bias fades


def phases(experiment: Experiment, rows: int) -> tuple[Phase, ...]:
    """Give the phases of a recipe on a number of rows.

    A network names its own. A head's `Training` is Nadam's epochs, where it has any, and its optimizer's.
    """
    if experiment.network:
        return experiment.network.phases
    training = experiment.training
    shared = {field.name for field in dataclasses.fields(Phase)} & {
        field.name for field in dataclasses.fields(Training)
    }
    own = {name: getattr(training, name) for name in shared} | {"epochs": training.epochs or epochs_for(rows)}
    if not training.nadam_epochs:
        return (Phase(**own),)
    nadam = Phase(optimizer="nadam", learning_rate=2e-3, schedule="constant", epochs=training.nadam_epochs)
    return nadam, Phase(**own)


def epochs(experiment: Experiment, rows: int) -> int:
    """Count the epochs that a recipe takes at most on a number of rows."""
    return sum(phase.epochs for phase in phases(experiment, rows))


def field(experiment: Experiment, number: int) -> str:
    """Name the part of a recipe that holds the settings of a phase, by its number from 0."""
    return f"network.phases[{number}]" if experiment.network else "training"


def optimizer(
    phase: Phase, steps: int, warmup_steps: int = 0, shares: Mapping[str, float] | None = None
) -> keras.Optimizer:
    """Build a phase's optimizer; once the phase is over, its `finalize_variable_values` takes the average asked for.

    Args:
        phase: of the recipe.
        steps: batches in the phase. Keras's schedules count batches, also where several make one step together.
        warmup_steps: of these, the first, which raise the rate from zero; not of a "plateau", whose rate is set from
            outside.
        shares: {path of a variable: its share of the learning rate}, for lower rates of lower blocks (Howard and Ruder
            2018); 1 for all others. A share of 0 leaves the variable as it is.
    """
    base = _slower(OPTIMIZERS[phase.optimizer], shares) if shares else OPTIMIZERS[phase.optimizer]
    built = base(_rate(phase, steps, warmup_steps), **_arguments(phase))
    if phase.optimizer == "adamw":
        built.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return built


def _rate(phase: Phase, steps: int, warmup_steps: int) -> float | keras.optimizers.schedules.CosineDecay:
    """Give the rate, or how it changes with the batches."""
    rate, is_constant = float(phase.learning_rate), phase.schedule == "constant"
    if phase.schedule == "plateau" or (is_constant and not warmup_steps):
        return rate
    first, target = (0.0, rate) if warmup_steps else (rate, None)
    return keras.optimizers.schedules.CosineDecay(
        first, steps - warmup_steps, alpha=float(is_constant), warmup_target=target, warmup_steps=warmup_steps
    )


def _arguments(phase: Phase) -> dict[str, Any]:
    """Give the optimizer's other arguments: those of its own, and what the phase asks of any."""
    arguments = {name: getattr(phase, name) for name in OWN_FIELDS.get(phase.optimizer, ())}
    if phase.clip:
        arguments["clipnorm"] = phase.clip
    if phase.accumulate > 1:
        arguments["gradient_accumulation_steps"] = phase.accumulate
    if phase.average:  # Keras averages after each batch, also where several make one step together
        arguments |= {"use_ema": True, "ema_momentum": phase.average ** (1 / phase.accumulate)}
    return arguments


def _slower(base: type[keras.Optimizer], shares: Mapping[str, float]) -> type[keras.Optimizer]:
    """Give a kind of optimizer whose learning rate, and so its weight decay, is a share for the variables named."""

    class Slower(base):  # type: ignore[misc, valid-type]
        weight_decay: float | None

        def build(self, variables: Sequence[keras.Variable]) -> None:
            super().build(variables)
            self.shares = [shares.get(variable.path, 1.0) for variable in variables]

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            super().update_step(gradient, variable, learning_rate * self._share(variable))

        def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
            decay = self.weight_decay
            for variable in filter(self._use_weight_decay, variables):
                self.weight_decay = decay and decay * self._share(variable)
                super()._apply_weight_decay([variable])
            self.weight_decay = decay

        def _share(self, variable: Any) -> float:
            return self.shares[self._get_variable_index(variable)]

    return Slower


def plateau_rate(rate: float, dev_losses: Sequence[float]) -> float:
    """Give the learning rate after these dev losses: a fifth of it whenever three epochs in a row brought no gain."""
    best, waited = math.inf, 0
    for dev_loss in dev_losses:
        best, waited = (dev_loss, 0) if dev_loss < best - PLATEAU_GAIN else (best, waited + 1)
        if waited == PLATEAU_EPOCHS:
            rate, waited = rate * PLATEAU_FACTOR, 0
    return rate
