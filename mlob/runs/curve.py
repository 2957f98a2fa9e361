"""A learning curve: a recipe trained on growing parts of train. Products: runs/<suite>/<model>/curve/."""

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from mlob import machine, workspace
from mlob.data import splits
from mlob.errors import InputError
from mlob.evaluation import dev
from mlob.evaluation.bootstrap import Interval
from mlob.evaluation.crossfit import folds
from mlob.files import read_arrays, read_record, write_arrays, write_json
from mlob.metrics import highest_micro_f1
from mlob.progress import say
from mlob.recipes import Judging
from mlob.runs.job import Job, one_each
from mlob.training.batches import Labelled

# The [Stanford poster] took 20,000, 75,000, 100,000 and all of 1,014,544 photos; 0.3 shows the bend between
SHARES = (0.02, 0.075, 0.1, 0.3, 1.0)
SEEN = 2000  # photos that were trained on, and whose F1 is drawn beside


@dataclasses.dataclass(frozen=True)
class Point:
    """What training on the first `rows` photos came to.

    Attributes:
        seen: micro-F1 on up to 2,000 of the photos trained on, at the best threshold for just these.
        micro_f1: on dev, cross-fitted.
        gain: of that on the point before.
    """

    rows: int
    seen: float
    micro_f1: Interval
    gain: Interval


@dataclasses.dataclass(frozen=True)
class Curve:
    """curve.json: a learning curve, judged on `photos` rows of dev by micro-F1, whatever the suite's metric is."""

    points: list[Point]
    photos: int
    judging: Judging | None = None


def measure(job: Job, folder: pathlib.Path, judging: Judging, shares: Sequence[float] = SHARES) -> Curve:
    """Train on growing parts, each within the next, and judge all on the same dev rows.

    Every point is kept: a killed job goes on with the next one, and a second call trains nothing.

    Args:
        job: what is trained, on what.
        folder: runs/<suite>/<model>/curve.
        judging: the suite's.
        shares: of the rows to train on, rising.
    """
    train, on_dev = job.train_and_dev()
    identity = job.identity
    counts = sorted({max(1, round(share * len(train.ids))) for share in shares})
    trained = {count: _train_on(count, job, train, on_dev, folder / f"{job.key}-{count}.npz") for count in counts}
    points = _points(trained, on_dev, judging, one_each(job.dataset, judging))
    curve = Curve(points, len(on_dev.ids), judging)
    write_json(folder / workspace.CURVE, {"identity": identity, **dataclasses.asdict(curve), **machine.facts()})
    return curve


def read(path: pathlib.Path) -> Curve:
    """Read curve.json.

    Raises:
        InputError: as `files.read_record`.
    """
    return read_record(path, Curve)


def summary(curve: Curve) -> str:
    """Tell the points, and what twice the photos brought at the end."""
    lines = [f"{'photos':>9}  F1 on them  F1 on dev (95% interval)"]
    for point in curve.points:
        lines.append(f"{point.rows:9,}  {point.seen:10.3f}  {point.micro_f1.value:9.3f} ({point.micro_f1})")
    return "\n".join([*lines, verdict(curve)])


def verdict(curve: Curve) -> str:
    """Say what twice the photos brought at the end of the curve, and how far dev is below the photos trained on."""
    before, last = curve.points[-2:]
    doublings = math.log2(last.rows / before.rows)
    value, low, high = (each / doublings for each in (last.gain.value, last.gain.low, last.gain.high))
    verdict = "more photos help" if low > 0 else "these photos do not show whether more would help"
    return (
        f"From {before.rows:,} to {last.rows:,} photos, each doubling of the photos brought {value:+.3f} micro-F1 (95% "
        f"{low:+.3f} to {high:+.3f}): {verdict}.\n"
        f"Micro-F1 on the photos trained on is {last.seen - last.micro_f1.value:.3f} higher than on dev. More photos "
        "can close that gap at most; the rest takes a better model."
    )


def _train_on(count: int, job: Job, train: Labelled, on_dev: Labelled, path: pathlib.Path) -> tuple[float, np.ndarray]:
    """Train on `count` rows, unless that was done: micro-F1 on rows trained on, and probabilities on dev."""
    if point := _read_point(path, on_dev.targets.shape):
        return point
    machine.load_keras()
    from mlob.training import fit

    rows = train.take(splits.limit_rows(train.ids.tolist(), count))
    name = f"{job.name} on {count:,} photos"
    begin = job.begin and dataclasses.replace(job.begin, head=None, start=None)  # it has seen all photos
    trained = fit.fit(job.experiment, rows, on_dev, name=name, groups=job.dataset.labels.groups, begin=begin)
    some = rows.take(splits.limit_rows(rows.ids.tolist(), SEEN)).resident()
    seen = highest_micro_f1(some.targets, trained.predict(some.features))
    probabilities = trained.predict(on_dev.features)
    write_arrays(path, seen=np.array(seen), probabilities=probabilities)
    return float(seen), probabilities


def _read_point(path: pathlib.Path, shape: tuple[int, ...]) -> tuple[float, np.ndarray] | None:
    """Read a point that was made before; None where it was not, or is damaged, which is told."""
    if not path.is_file():
        return None
    with contextlib.suppress(InputError, KeyError, TypeError, ValueError):
        arrays = read_arrays(path)
        if (arrays["probabilities"].shape, arrays["probabilities"].dtype) == (shape, "float32"):
            return float(arrays["seen"]), arrays["probabilities"]
    say(f"{path} is damaged: this point is made anew.")
    return None


def _points(
    trained: Mapping[int, tuple[float, np.ndarray]], on_dev: Labelled, judging: Judging, groups: np.ndarray | None
) -> list[Point]:
    """Lay the points out, each compared with the one before."""
    fold = folds(on_dev.targets, judging.folds, seed=judging.seed, keys=on_dev.keys)
    decided = {
        count: dev.answer(probabilities, on_dev.targets, fold, groups) for count, (_, probabilities) in trained.items()
    }
    counts, points = list(trained), []
    for before, count in zip([counts[0], *counts], counts, strict=False):
        pair = {"before": decided[before], "this": decided[count]}
        _, this = dev.compare(pair, on_dev.targets, judging, on_dev.keys)
        points.append(Point(count, trained[count][0], this.figure, this.gain))
    return points
