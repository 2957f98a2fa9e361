"""Search for better values of a head's fields: trials on train, watched on dev, poor ones stopped early.

The only door to Optuna: its TPE sampler (Bergstra et al. 2011) proposes, its median rule stops a trial that after some
epoch is below the median of the earlier ones there, its journal keeps what was tried. The number of epochs is the
recipe's in every trial, so that equal epochs compare.
"""

import contextlib
import dataclasses
import math
import operator
import os
import pathlib
import time

import keras
import numpy as np
import optuna

from mlob import recipes
from mlob.errors import InputError
from mlob.files import alone, atomic, make_folder
from mlob.progress import say
from mlob.training import fit

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
        kept: path of its probabilities on dev; None where it was stopped early.
    """

    number: int
    changes: str
    values: dict
    dev_micro_f1: float
    epochs: int
    seconds: float
    kept: pathlib.Path | None

    def probabilities(self):
        """Read its probabilities on dev, float32 (dev rows, labels).

        Raises:
            InputError: the file is missing or damaged.
        """
        with _damage_told(self.kept):
            found = np.load(self.kept)
            if found.dtype != np.float32 or found.ndim != 2:
                raise ValueError(f"expected float32 (rows, labels), found {found.dtype} {found.shape}")
        return found


class _Spent(Exception):
    """The budget is spent in the middle of a trial."""


def search(experiment, train, dev, *, name, groups, budget_seconds, folder, key):
    """Try changes of a recipe until the budget is spent.

    Trials of an earlier call count, and the budget is for all of them; one that was broken off is run again.

    Args:
        experiment: the recipe.
        train, dev: `batches.Rows`, dev resident.
        name: of the model, for the progress bar.
        groups: the group of each label, texts (labels,).
        budget_seconds: of training. The first trial, the recipe as it is, runs to its end in any case.
        folder: runs/<suite>/<model>/search, for the journal and the probabilities.
        key: text that names recipe, photos and features: trials of another one are not looked at.

    Returns:
        A list of `Trial`s, in the order in which they began.

    Raises:
        InputError: the journal is damaged, another process searches there, or the recipe's own training fails.
    """
    make_folder(folder)
    with alone(folder):
        return _search(experiment, train, dev, name, groups, budget_seconds, folder, key)


def _search(experiment, train, dev, name, groups, budget_seconds, folder, key):
    epochs = fit.epochs(experiment.training, len(train.ids))
    with _damage_told(folder / JOURNAL):
        study, space = _study(experiment, folder, key, epochs), _space(experiment)
        trials = _trials(study, folder)
    while not trials or _seconds(trials) < budget_seconds:
        with _damage_told(folder / JOURNAL):
            trial = _asked(study, space)
        left = budget_seconds - _seconds(trials) if trials else np.inf
        try:
            probabilities = _run(study, trial, experiment, train, dev, groups, f"{name}, trial {trial.number}", left)
        except _Spent:
            break  # the trial stays open, and is run again if the budget is raised
        if probabilities is not None:
            _keep(study, trial, probabilities, folder)
        trials = _trials(study, folder)
        _tell(trials, budget_seconds)
    say(f"search: the budget of {budget_seconds:,.0f} s is spent; a larger BUDGET= (--budget) goes on from here")
    return trials


def _asked(study, space):
    """Ask for the next trial; its changes are noted with it."""
    trial = study.ask(space)
    if CHANGES not in trial.user_attrs:
        trial.set_user_attr(CHANGES, _changes(trial.params))
    if not isinstance(trial.user_attrs[CHANGES], str):
        raise ValueError(f"trial {trial.number} has changes {trial.user_attrs[CHANGES]!r}")
    return trial


def _run(study, trial, experiment, train, dev, groups, name, seconds_left):
    """Train a trial's head: its probabilities on dev, or None where it is stopped, which the study is told."""
    started = time.monotonic()
    changed = recipes.override(experiment, recipes.parse(trial.user_attrs[CHANGES])[recipes.Experiment])
    epochs = fit.epochs(changed.training, len(train.ids))

    def watch(history):
        trial.report(history[-1]["dev_micro_f1"], len(history))
        trial.set_user_attr("seconds", time.monotonic() - started)
        if len(history) < epochs and time.monotonic() - started > seconds_left:
            raise _Spent
        if len(history) < epochs and trial.should_prune():
            raise optuna.TrialPruned

    keras.backend.clear_session()
    try:
        fitted = fit.fit(changed, train, dev, name=name, groups=groups, after_epoch=watch)
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except InputError as error:  # a loss that is no longer finite, say
        if not trial.user_attrs[CHANGES]:
            raise
        say(f"trial {trial.number}: {error}")
        trial.report(0.0, 0)
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        return fit.predict(fitted.model, dev.features)


def _keep(study, trial, probabilities, folder):
    """Keep a trial's probabilities, then tell the study that it is complete: its value is that of its last epoch."""
    with atomic(_path(folder, study, trial.number)) as part, part.open("wb") as file:
        np.save(file, probabilities)
    reported = study.trials[trial.number].intermediate_values
    study.tell(trial, reported[max(reported)])


def _study(experiment, folder, key, epochs):
    """Open the study of this key; a trial that was broken off is put first in the queue."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = str((folder / JOURNAL).resolve())  # its lock is a link, which is not found where the path is a relative one
    lock = optuna.storages.journal.JournalFileSymlinkLock(path)
    _drop_half_line(path, lock)
    backend = optuna.storages.journal.JournalFileBackend(path, lock_obj=lock)
    study = optuna.create_study(
        study_name=key,
        storage=optuna.storages.JournalStorage(backend),
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(FIRST, round(UNWATCHED * epochs)),
    )
    study.sampler = optuna.samplers.TPESampler(seed=experiment.seed + len(study.trials))
    if not study.trials:
        study.enqueue_trial(_params(experiment), user_attrs={CHANGES: ""})
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params, user_attrs={CHANGES: trial.user_attrs.get(CHANGES, _changes(trial.params))})
    return study


def _drop_half_line(path, lock):
    """Drop what a full disk or a kill left of a journal's last line, which would break every later reading."""
    if os.path.lexists(f"{path}.lock"):
        say(f"search: another one holds {path}.lock, or was killed and left it: waiting, {WAIT_SECONDS} s at most")
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
def _damage_told(path):
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


def _space(experiment):
    """Give {field of the recipe: the values to try}; the recipe's own are among them."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    rate = experiment.training.learning_rate
    units = sorted({_text(width) for width in (*WIDTHS, experiment.head.units)})
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


def _params(experiment):
    """Give the recipe's own values, the numbers moved into what is tried."""
    found = {}
    for field, values in _space(experiment).items():
        value = operator.attrgetter(field)(experiment)
        is_number = isinstance(values, optuna.distributions.FloatDistribution)
        found[field] = min(max(value, values.low), values.high) if is_number else _text(value)
    return found


def _text(value):
    return f"[{','.join(map(str, value))}]" if isinstance(value, tuple) else value


def _changes(params):
    return ",".join(
        f"{field}={value:.3g}" if isinstance(value, float) else f"{field}={value}" for field, value in params.items()
    )


def _trials(study, folder):
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return [_trial(study, found, folder) for found in study.get_trials(states=ended)]


def _trial(study, found, folder):
    epochs = max(found.intermediate_values)
    is_complete = found.state == optuna.trial.TrialState.COMPLETE
    kept = _path(folder, study, found.number) if is_complete else None
    score, seconds = found.intermediate_values[epochs], found.user_attrs.get("seconds", 0.0)
    changes = found.user_attrs[CHANGES]
    if not (isinstance(changes, str) and 0 <= score <= 1 and 0 <= seconds < math.inf):
        raise ValueError(f"trial {found.number} has changes {changes!r}, score {score!r} and seconds {seconds!r}")
    return Trial(found.number, changes, found.params, score, epochs, seconds, kept)


def _path(folder, study, number):
    return folder / f"{study.study_name}-{number:04}.npy"


def _seconds(trials):
    return sum(trial.seconds for trial in trials)


def _tell(trials, budget_seconds):
    """Say how the last trial did, and the best."""
    last, best = trials[-1], max(trials, key=lambda trial: (trial.kept is not None, trial.dev_micro_f1))
    end = "" if last.kept else f", stopped after {last.epochs} epochs"
    say(
        f"trial {last.number}: dev micro-F1 {last.dev_micro_f1:.4f}{end}; best {best.dev_micro_f1:.4f}, trial "
        f"{best.number}; {_seconds(trials):,.0f} of {budget_seconds:,.0f} s"
    )
