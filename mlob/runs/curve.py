"""A learning curve: a recipe trained on growing parts of train. Products: runs/<suite>/<model>/curve/."""

import contextlib
import dataclasses
import functools
import math
import pathlib
from collections.abc import Sequence

import numpy as np

from mlob import machine, workspace
from mlob.data import splits
from mlob.data.dataset import DataSet
from mlob.errors import InputError
from mlob.evaluation import dev
from mlob.evaluation.bootstrap import Interval
from mlob.evaluation.crossfit import folds
from mlob.files import read_arrays, read_record, write_arrays, write_json
from mlob.metrics import highest_micro_f1
from mlob.progress import say
from mlob.recipes import Experiment, Judging
from mlob.runs import model

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
    """curve.json: a learning curve, judged on `photos` rows of dev."""

    points: list[Point]
    photos: int
    judging: Judging | None = None


def measure(
    name: str,
    experiment: Experiment,
    dataset: DataSet,
    *,
    stores: model.Stores,
    folder: pathlib.Path,
    judging: Judging,
    memory_bytes: int | None = None,
    shares: Sequence[float] = SHARES,
) -> Curve:
    """Train on growing parts, each within the next, and judge all on the same dev rows.

    Every point is kept: a killed job goes on with the next one, and a second call trains nothing.

    Args:
        name: of the model.
        experiment: its recipe.
        dataset: the `DataSet`.
        stores: {store name: features/<set>/<data set>}.
        folder: runs/<suite>/<model>/curve.
        judging: the suite's `Judging`.
        memory_bytes: that the features of train may take, as `batches.train_and_dev` has it.
        shares: of the rows to train on, rising.
    """
    train, on_dev = model.train_and_dev(experiment, dataset, stores, memory_bytes)
    wanted = model.identity(experiment, dataset, stores)
    point = functools.partial(_point, name, experiment, train, on_dev, dataset.labels.groups)
    counts = sorted({max(1, round(share * len(train.ids))) for share in shares})
    trained = {count: point(count, folder / f"{model.key(wanted)}-{count}.npz") for count in counts}
    curve = Curve(_points(trained, on_dev, judging), len(on_dev.ids), judging)
    write_json(folder / workspace.CURVE, {"identity": wanted, **dataclasses.asdict(curve), **machine.facts()})
    return curve


def read(path: pathlib.Path) -> Curve:
    """Read curve.json.

    Raises:
        InputError: as `files.read_record`.
    """
    return read_record(path, Curve)


def summary(curve: Curve) -> str:
    """Tell the points, and what twice the photos brought at the end."""
    lines = [f"{'photos':>9}  F1 on them  F1 on dev (95%)"]
    for point in curve.points:
        lines.append(f"{point.rows:9,}  {point.seen:10.3f}  {point.micro_f1.value:9.3f} ({point.micro_f1})")
    return "\n".join([*lines, verdict(curve)])


def verdict(curve: Curve) -> str:
    """Say what twice the photos brought at the end of the curve, and how far dev is below the photos trained on."""
    before, last = curve.points[-2:]
    doublings = math.log2(last.rows / before.rows)
    value, low, high = (each / doublings for each in (last.gain.value, last.gain.low, last.gain.high))
    says = "more photos help" if low > 0 else "whether more photos help cannot be told from these"
    return (
        f"From {before.rows:,} to {last.rows:,} photos, each doubling brought {value:+.3f} (95% {low:+.3f} to "
        f"{high:+.3f}) micro-F1: {says}.\n"
        f"On photos that it was trained on it is {last.seen - last.micro_f1.value:.3f} better than on dev: "
        "more photos can close that gap at most, the rest takes a better model."
    )


def _point(name, experiment, train, on_dev, groups, count, path):
    """Train on `count` rows, unless that was done: micro-F1 on rows trained on, and probabilities on dev."""
    if not _kept(path, on_dev.targets.shape):
        machine.load_keras()
        from mlob.training import fit

        rows = train.take(splits.limit_rows(train.ids, count))
        trained = fit.fit(experiment, rows, on_dev, name=f"{name} on {count:,} photos", groups=groups)
        some = rows.take(splits.limit_rows(rows.ids, SEEN)).resident()
        seen = highest_micro_f1(some.targets, trained.predict(some.features))
        write_arrays(path, seen=np.array(seen), probabilities=trained.predict(on_dev.features))
    return _kept(path, on_dev.targets.shape)


def _kept(path, shape):
    """Read a point that was made before; None where it was not, or is damaged, which is told."""
    if not path.is_file():
        return None
    with contextlib.suppress(InputError, KeyError, TypeError, ValueError):
        found = read_arrays(path)
        if (found["probabilities"].shape, found["probabilities"].dtype) == (shape, "float32"):
            return float(found["seen"]), found["probabilities"]
    say(f"{path} is damaged: this point is made anew.")


def _points(trained, on_dev, judging):
    """Lay the points out, each compared with the one before."""
    fold = folds(on_dev.targets, judging.folds, seed=judging.seed, keys=on_dev.keys)
    decided = {count: dev.decide(probabilities, on_dev.targets, fold) for count, (_, probabilities) in trained.items()}
    counts, points = list(trained), []
    for before, count in zip([counts[0], *counts], counts, strict=False):
        pair = {"before": decided[before], "this": decided[count]}
        _, this = dev.compare(pair, on_dev.targets, judging, on_dev.keys)
        points.append(Point(count, trained[count][0], this.micro_f1, this.gain))
    return points
