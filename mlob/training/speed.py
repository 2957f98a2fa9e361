"""What makes steps faster on this machine and changes little or nothing in what is learned: found by short trials."""

import time
from collections.abc import Callable, Iterable

import keras
import numpy as np

from mlob.machine import has_gpu
from mlob.models import heads, losses
from mlob.progress import detail
from mlob.recipes import Augmentation, Experiment
from mlob.training import batches, schedule, steps

ROWS = 8192  # of a trial
ROWS_WORTH_XLA = 1_000_000  # fewer, over all epochs, save less than the seconds that compiling takes
LEAST_SPEEDUP = 1.2  # below it bfloat16 is not worth the digits, and noise could turn the choice


def precision(experiment: Experiment, train: batches.Labelled) -> str:
    """Give the recipe's precision; "auto" is bfloat16 where its steps are clearly faster than float32's.

    A network's are so on a GPU; on a processor it gained 5 to 9% (MobileNet and Xception on Zen 5).
    """
    if experiment.training.precision != "auto":
        return experiment.training.precision
    if experiment.network:
        return "bfloat16" if has_gpu() else "float32"
    float32, bfloat16 = fewest_seconds(trial(experiment, train, kind, jit=True) for kind in ("float32", "bfloat16"))
    chosen = "bfloat16" if float32 / bfloat16 >= LEAST_SPEEDUP else "float32"
    detail(
        f"  {chosen}: bfloat16 takes {float32 / bfloat16:.2f} times float32's steps a second; {LEAST_SPEEDUP} needed"
    )
    return chosen


def jit(experiment: Experiment, train: batches.Labelled, precision: str) -> bool:
    """Say whether XLA compiles TensorFlow's steps: where there are many, and a trial finds them faster so.

    It saves a fifth of most heads' time, but takes four times as long where it draws a dropout's numbers inside of a
    matrix product (measured; both happen with TensorFlow 2.21). Networks on a processor train without it at six times
    its rate: it knows no fast kernel for depthwise convolutions there.
    """
    if keras.backend.backend() != "tensorflow":
        return True
    if experiment.network:
        changes = any(phase.augmentation != Augmentation() for phase in experiment.network.phases)
        return has_gpu() and not changes  # XLA knows no affine transform of TensorFlow's
    if schedule.epochs(experiment, len(train.ids)) * len(train.ids) < ROWS_WORTH_XLA:
        return False
    plain, compiled = fewest_seconds(trial(experiment, train, precision, jit=jit) for jit in (False, True))
    return compiled < plain


def fewest_seconds(trials: Iterable[Callable[[], float]]) -> list[float]:
    """Run trials in turn, since other work may come and go, and give the fewest seconds of each."""
    trials = list(trials)
    rounds = [[trial() for trial in trials] for _ in range(4)]
    return np.min(rounds[1:], axis=0).tolist()  # the first round compiles


def trial(experiment: Experiment, train: batches.Labelled, precision: str, *, jit: bool) -> Callable[[], float]:
    """Give a function that runs steps on the first rows, and gives the seconds they took."""
    rows = train.take(np.arange(len(train.ids)) < ROWS).resident()
    model = heads.build(experiment.head, rows.features, rows.targets, precision)
    loss = losses.of(experiment.training, rows.targets)
    optimizer = schedule.optimizer(schedule.phases(experiment, ROWS)[-1], ROWS)
    run = steps.compiled(heads.with_logits(model), optimizer, loss, jit=jit)
    features, targets = next(batches.epoch(rows, experiment.training.batch, np.random.default_rng(0)))

    def seconds() -> float:
        started = time.perf_counter()
        run(features, targets)
        return time.perf_counter() - started

    return seconds
