"""Search for better values of a head's fields: trials on train, watched on dev, poor ones stopped early.

The only door to Optuna: its TPE sampler (Bergstra et al. 2011) proposes, its median rule stops a trial that after some
epoch is below the median of the earlier ones there, its journal keeps what was tried. The number of epochs is the
recipe's in every trial, so that equal epochs compare.
"""

import contextlib
import dataclasses
import math
import os
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import TrialState

from mlob import loading, recipes
from mlob.errors import InputError
from mlob.files import alone, atomic, make_folder
from mlob.models.beginning import Beginning
from mlob.progress import say
from mlob.training import fit, schedule
from mlob.training.batches import Labelled
from mlob.training.trained import Epoch

FIRST = 5  # trials that run to their end whatever they give
UNWATCHED = 0.25  # share of the epochs before a trial may be stopped
WIDTHS = ((512,), (1024,), (2048,), (512, 512), (1024, 1024), (2048, 1024))
BATCHES = (128, 256, 512)
JOURNAL = "journal.log"
WAIT_SECONDS = 30  # Optuna's, after which a lock that nobody has touched counts as left behind
CHANGES = "changes"  # where the journal has a trial's


@dataclasses.dataclass(frozen=True)
class Trial:
    """What was tried, and what came of it.

    Attributes:
        number: in the journal.
        changes: of the recipe, as SET takes them; empty for the first, the recipe as it is.
        values: {field: number or text}.
        dev_micro_f1: after its last epoch, at its best threshold there.
        epochs, seconds: that it took.
        path: of its probabilities on dev; None where it was stopped early.
    """

    number: int
    changes: str
    values: dict[str, Any]
    dev_micro_f1: float
    epochs: int
    seconds: float
    path: pathlib.Path | None

    def probabilities(self) -> np.ndarray:
        """Read its probabilities on dev, float32 (dev rows, labels).

        Raises:
            InputError: the trial was stopped early, or the file is missing or damaged.
        """
        if not self.path:
            raise InputError(f"Trial {self.number} was stopped early: it has no probabilities.")
        with _damage_told(self.path):
            probabilities = np.load(self.path)
            if probabilities.dtype != np.float32 or probabilities.ndim != 2:
                raise ValueError(f"expected float32 (rows, labels), found {probabilities.dtype} {probabilities.shape}")
        return probabilities


class _Spent(Exception):
    """The budget is spent in the middle of a trial."""


@dataclasses.dataclass(frozen=True)
class _Shared:
    """What all trials share: the recipe that they change, and the rows."""

    experiment: recipes.Experiment
    train: Labelled
    dev: Labelled
    name: str
    groups: Sequence[str]
    begin: Beginning | None = None

    def epochs(self, experiment: recipes.Experiment) -> int:
        """Count the epochs that a recipe takes at most."""
        return schedule.epochs(experiment, len(self.train.ids))


def search(
    experiment: recipes.Experiment,
    train: Labelled,
    dev: Labelled,
    *,
    name: str,
    groups: Sequence[str],
    begin: Beginning | None = None,
    budget_seconds: float,
    folder: pathlib.Path,
    key: str,
) -> list[Trial]:
    """Try changes of a recipe until the budget is spent.

    Trials of an earlier call count, and the budget is for all of them; one that was interrupted is run again.

    Args:
        experiment: the recipe.
        train, dev: the rows, dev resident.
        name: of the model, for the progress bar.
        groups: the group of each label (labels,).
        begin: what a network, or a head with a start, begins with.
        budget_seconds: of training. The first trial, the recipe as it is, runs to its end in any case.
        folder: runs/<suite>/<model>/search, for the journal and the probabilities.
        key: text that names recipe, photos and features: trials under another key are not looked at.

    Returns:
        The trials, in the order in which they began.

    Raises:
        InputError: the journal is damaged, another process searches there, or the recipe's own training fails.
    """
    make_folder(folder)
    shared = _Shared(experiment, train, dev, name, groups, begin)
    with alone(folder):
        with _damage_told(folder / JOURNAL):
            study = _opened(experiment, folder, key, shared.epochs(experiment))
            trials = _ended(study, folder)
        while not trials or _seconds(trials) < budget_seconds:
            with _damage_told(folder / JOURNAL):
                trial = _asked(study, space(experiment))
            try:
                probabilities = _run(study, trial, shared, budget_seconds - _seconds(trials) if trials else math.inf)
            except _Spent:
                break  # the trial stays open, and is run again if the budget is raised
            if probabilities is not None:
                _complete(study, trial, probabilities, folder)
            trials = _ended(study, folder)
            _tell(trials, budget_seconds)
    say(f"search: the budget of {budget_seconds:,.0f} s is spent; a larger BUDGET= (--budget) goes on from here")
    return trials


# What is tried


def space(experiment: recipes.Experiment) -> dict[str, BaseDistribution]:
    """Give {field of the recipe: the values to try}; the recipe's own are among them."""
    if experiment.network:
        return _space_of_network(experiment.network, experiment.start)
    rate = experiment.training.learning_rate
    units = sorted({str(_plain(width)) for width in (*WIDTHS, experiment.head.units)})
    decay = {"training.weight_decay": FloatDistribution(1e-4, 0.3, log=True)}  # plain SGD has none
    return {
        "training.learning_rate": FloatDistribution(rate / 10, rate * 10, log=True),
        **(decay if experiment.training.optimizer == "adamw" else {}),
        "training.batch": CategoricalDistribution(sorted({*BATCHES, experiment.training.batch})),
        "training.mixup": FloatDistribution(0, 0.6),
        "training.label_smoothing": FloatDistribution(0, 0.1),
        "head.units": CategoricalDistribution(units),
        "head.feature_dropout": FloatDistribution(0, 0.6),
        "head.dropout": FloatDistribution(0, 0.8),
    }


def _space_of_network(network: recipes.Network, start: str) -> dict[str, BaseDistribution]:
    """Give what is tried of a whole network; a head that it takes over stays as it is."""
    rates = [phase.learning_rate for phase in network.phases]
    return {
        **{
            f"network.phases[{number}].learning_rate": FloatDistribution(rate / 10, rate * 10, log=True)
            for number, rate in enumerate(rates)
        },
        "training.mixup": FloatDistribution(0, 0.6),
        "training.label_smoothing": FloatDistribution(0, 0.1),
        **({} if start else {"head.dropout": FloatDistribution(0, 0.8)}),
    }


def own_values(experiment: recipes.Experiment) -> dict[str, Any]:
    """Give {field: the recipe's own value}; numbers outside of what is tried are moved to its ends."""
    values = {}
    for field, tried in space(experiment).items():
        value = loading.value_of(experiment, field)
        if isinstance(tried, FloatDistribution):
            values[field] = min(max(value, tried.low), tried.high)
        else:
            values[field] = _plain(value)
    return values


def _plain(value: Any) -> Any:
    """Give a field's value as Optuna takes it: widths as text."""
    return f"[{','.join(map(str, value))}]" if isinstance(value, tuple) else value


def _changes(values: dict[str, Any]) -> str:
    """Give values of fields as SET takes them."""
    return ",".join(
        f"{field}={value:.3g}" if isinstance(value, float) else f"{field}={value}" for field, value in values.items()
    )


# A trial


def _asked(study: optuna.Study, tried: dict[str, BaseDistribution]) -> optuna.Trial:
    """Ask for the next trial; its changes are noted with it."""
    trial = study.ask(tried)
    if CHANGES not in trial.user_attrs:
        trial.set_user_attr(CHANGES, _changes(trial.params))
    if not isinstance(trial.user_attrs[CHANGES], str):
        raise ValueError(f"trial {trial.number} has changes {trial.user_attrs[CHANGES]!r}")
    return trial


def _run(study: optuna.Study, trial: optuna.Trial, shared: _Shared, seconds_left: float) -> np.ndarray | None:
    """Train a trial's head: its probabilities on dev, or None where it is stopped, which the study is told."""
    started = time.monotonic()
    changed = loading.override(shared.experiment, loading.parse(trial.user_attrs[CHANGES])[recipes.Experiment])
    epochs = shared.epochs(changed)

    def watch(history: list[Epoch]) -> None:
        trial.report(history[-1]["dev_micro_f1"], len(history))
        trial.set_user_attr("seconds", time.monotonic() - started)
        if len(history) < epochs and time.monotonic() - started > seconds_left:
            raise _Spent
        if len(history) < epochs and trial.should_prune():
            raise optuna.TrialPruned

    keras.backend.clear_session()
    name = f"{shared.name}, trial {trial.number}"
    try:
        trained = fit.fit(
            changed, shared.train, shared.dev, name=name, groups=shared.groups, begin=shared.begin, after_epoch=watch
        )
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except InputError as error:  # a loss that is no longer finite, say
        if not trial.user_attrs[CHANGES]:
            raise
        say(f"trial {trial.number}: {error}")
        trial.report(0.0, 0)
        study.tell(trial, state=TrialState.PRUNED)
    else:
        return trained.predict(shared.dev.features)
    return None


def _complete(study: optuna.Study, trial: optuna.Trial, probabilities: np.ndarray, folder: pathlib.Path) -> None:
    """Write a trial's probabilities, then tell the study that it is complete: its value is that of its last epoch."""
    with atomic(_path(folder, study, trial.number)) as part, part.open("wb") as file:
        np.save(file, probabilities)
    reported = study.trials[trial.number].intermediate_values
    study.tell(trial, reported[max(reported)])


# The journal


def _opened(experiment: recipes.Experiment, folder: pathlib.Path, key: str, epochs: int) -> optuna.Study:
    """Open the study of this key; a trial that was interrupted is put first in the queue."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = str((folder / JOURNAL).resolve())  # its lock is a link, which is not found where the path is a relative one
    lock = JournalFileSymlinkLock(path)
    _drop_half_line(path, lock)
    study = optuna.create_study(
        study_name=key,
        storage=optuna.storages.JournalStorage(JournalFileBackend(path, lock_obj=lock)),
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(FIRST, round(UNWATCHED * epochs)),
    )
    study.sampler = optuna.samplers.TPESampler(seed=experiment.seed + len(study.trials))
    if not study.trials:
        study.enqueue_trial(own_values(experiment), user_attrs={CHANGES: ""})
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params, user_attrs={CHANGES: trial.user_attrs.get(CHANGES, _changes(trial.params))})
    return study


def _drop_half_line(path: str, lock: JournalFileSymlinkLock) -> None:
    """Drop what a full disk or a kill left of a journal's last line, which would break every later reading."""
    if os.path.lexists(f"{path}.lock"):
        say(f"search: another search holds {path}.lock, or was killed and left it: waiting, {WAIT_SECONDS} s at most")
    lock.acquire()
    try:
        with open(path, "ab+") as file:
            file.seek(0)
            content = file.read()
            if half := content.rpartition(b"\n")[2]:
                say(f"search: the last line of {path} is not whole (a full disk, or a kill): it is dropped")
                file.truncate(len(content) - len(half))
    finally:
        lock.release()


@contextlib.contextmanager
def _damage_told(path: pathlib.Path) -> Iterator[None]:
    """Tell that a file is damaged, in whatever way Optuna or NumPy fail on it."""
    try:
        yield
    except (InputError, PermissionError):
        raise
    except Exception as error:
        raise InputError(
            f"{path} is missing or damaged ({type(error).__name__}: {str(error)[:200]}): "
            f"remove {path.parent} to search from the start."
        ) from error


def _ended(study: optuna.Study, folder: pathlib.Path) -> list[Trial]:
    """List the trials that ran to their end, or were stopped."""
    return [_trial(study, trial, folder) for trial in study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))]


def _trial(study: optuna.Study, trial: optuna.trial.FrozenTrial, folder: pathlib.Path) -> Trial:
    epochs = max(trial.intermediate_values)
    path = _path(folder, study, trial.number) if trial.state == TrialState.COMPLETE else None
    score, seconds = trial.intermediate_values[epochs], trial.user_attrs.get("seconds", 0.0)
    changes = trial.user_attrs[CHANGES]
    if not (isinstance(changes, str) and 0 <= score <= 1 and 0 <= seconds < math.inf):
        raise ValueError(f"trial {trial.number} has changes {changes!r}, score {score!r} and seconds {seconds!r}")
    return Trial(trial.number, changes, trial.params, score, epochs, seconds, path)


def _path(folder: pathlib.Path, study: optuna.Study, number: int) -> pathlib.Path:
    return folder / f"{study.study_name}-{number:04}.npy"


def _seconds(trials: Sequence[Trial]) -> float:
    return sum(trial.seconds for trial in trials)


def _tell(trials: Sequence[Trial], budget_seconds: float) -> None:
    """Say how the last trial did, and the best."""
    last, best = trials[-1], max(trials, key=lambda trial: (trial.path is not None, trial.dev_micro_f1))
    end = "" if last.path else f", stopped after {last.epochs} epochs"
    say(
        f"trial {last.number}: dev micro-F1 {last.dev_micro_f1:.4f}{end}; best {best.dev_micro_f1:.4f}, trial "
        f"{best.number}; {_seconds(trials):,.0f} of {budget_seconds:,.0f} s"
    )
