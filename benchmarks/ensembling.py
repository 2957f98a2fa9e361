"""Thresholds and weights at full size, 11 members x 9,897 photos x 228 labels, against a plain way of the same.

    python -m benchmarks.ensembling

Thresholds: the exact optimum of micro-F1 over all labels' thresholds, against MLoB's search, 50 points a label by
scikit-learn's `f1_score`. Fitness: micro-F1 of a swarm's 40 blends, against the same as a loop over particles and
members. PSO: 40 particles x 100 iterations, none left out. Each measurement is a process of its own, which draws the
same members anew.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import click
import numpy as np

from mlob import machine
from mlob.ensemble import fitness, swarm, thresholds
from mlob.metrics import f1

MEMBERS, PHOTOS, LABELS = 11, 9_897, 228
TOPICS = 8  # what a photo is about, which makes labels go together
PARTICLES, ITERATIONS = 40, 100
POINTS = 50  # of MLoB's grid


def draw(photos: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw members float32 (members, photos, labels) and targets uint8 (photos, labels).

    Few labels are common and most are rare, about 8 on a photo as in iMaterialist 2018; labels go together; members err
    together, and a little each by itself.
    """
    generator = np.random.default_rng(0)
    prevalences = np.clip(generator.lognormal(-5, 1.7, LABELS), 2e-4, 0.6)
    topics = generator.standard_normal((photos, TOPICS), np.float32)
    topics = topics @ generator.standard_normal((TOPICS, LABELS), np.float32)
    base = (np.log(prevalences / (1 - prevalences)) + topics / np.sqrt(TOPICS)).astype(np.float32)
    targets = (generator.random((photos, LABELS), np.float32) < 1 / (1 + np.exp(-base))).astype(np.uint8)
    seen = base + np.float32(2.5) * targets - 1 + generator.standard_normal((photos, LABELS), np.float32)
    members = np.empty((MEMBERS, photos, LABELS), np.float32)
    for member in members:
        logits = seen + np.float32(0.6) * generator.standard_normal((photos, LABELS), np.float32)
        member[:] = 1 / (1 + np.exp(-logits))
    return members, targets


# The measurements: each is given members and targets, and returns seconds


def exact_thresholds(members: np.ndarray, targets: np.ndarray) -> float:
    """Time the exact thresholds of one member."""
    return _seconds(lambda: thresholds.best_per_label(targets, members[0]), times=3)


def mlobs_thresholds(members: np.ndarray, targets: np.ndarray) -> float:
    """Time MLoB's search on the same member."""
    return _seconds(lambda: mlobs_search(targets, members[0]))


def swarm_fitness(members: np.ndarray, targets: np.ndarray) -> float:
    """Time the fitness of a swarm, its preparation left out: that is done once a search."""
    score, weights = fitness.approximate(members, targets), _weights()
    return _seconds(lambda: score(weights), times=3)


def looped_fitness(members: np.ndarray, targets: np.ndarray) -> float:
    """Time the same as a loop over particles and members."""
    return _seconds(lambda: looped(members, targets, _weights()))


def pso(members: np.ndarray, targets: np.ndarray) -> float:
    """Time a whole search without early stopping."""
    effort = {"particles": PARTICLES, "iterations": ITERATIONS, "patience": ITERATIONS + 1, "seed": 0}
    return _seconds(lambda: swarm.search(members, targets, **effort))


KINDS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "exact_thresholds": exact_thresholds,
    "mlobs_thresholds": mlobs_thresholds,
    "swarm_fitness": swarm_fitness,
    "looped_fitness": looped_fitness,
    "pso": pso,
}
Measured = dict[str, dict[str, float]]  # {kind: {seconds, peak_rss_mb}}


def mlobs_search(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Choose each label's threshold as MLoB did (threshold/thresholding.py): on 50 points, by what is accuracy."""
    from sklearn.metrics import f1_score

    grid = np.linspace(0, 1, POINTS)
    columns = zip(targets.T, probabilities.T, strict=True)
    scores = [[f1_score(target, own >= point, average="micro") for point in grid] for target, own in columns]
    return grid[np.argmax(scores, axis=1)]


def looped(members: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Give what `fitness.approximate` gives, (particles,), a particle and a member at a time."""
    positive, best = targets > 0, []
    for particle in weights:
        blended = np.zeros(targets.shape, np.float32)
        for weight, member in zip(particle, members, strict=True):
            blended += np.float32(weight) * member
        bins = (fitness.BINS * blended).astype(np.int64)
        true, false = (_at_least(bins[mask]) for mask in (positive, ~positive))
        best.append(f1(true, true + false, np.count_nonzero(positive)).max())
    return np.array(best)


def _at_least(bins: np.ndarray) -> np.ndarray:
    return np.bincount(bins, minlength=fitness.BINS + 1)[:0:-1].cumsum()


def _weights() -> np.ndarray:
    return np.random.default_rng(1).dirichlet(np.ones(MEMBERS), PARTICLES)


def _seconds(work: Callable[[], object], times: int = 1) -> float:
    """Time work: the fastest of several times."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


# The comparison


def summary(measured: Measured) -> dict[str, float]:
    """Give the figures that the last line holds."""
    seconds = {kind: figures["seconds"] for kind, figures in measured.items()}
    return {
        "threshold_seconds": round(seconds["exact_thresholds"], 3),
        "threshold_ratio": round(seconds["mlobs_thresholds"] / seconds["exact_thresholds"], 1),
        "fitness_ratio": round(seconds["looped_fitness"] / seconds["swarm_fitness"], 1),
        "pso_seconds": round(seconds["pso"], 1),
        "peak_rss_mb": round(max(figures["peak_rss_mb"] for figures in measured.values())),
    }


def table(measured: Measured, photos: int) -> str:
    """Lay the measurements out as text."""
    lines = [machine.processor(), f"{MEMBERS} members x {photos:,} photos x {LABELS} labels"]
    lines.append(f"{'':20}{'seconds':>10}{'peak MB':>10}")
    lines += [f"{kind:20}{row['seconds']:10.3f}{row['peak_rss_mb']:10,.0f}" for kind, row in measured.items()]
    return "\n".join(lines)


@click.command()
@click.option("--photos", default=PHOTOS, show_default=True, type=click.IntRange(10), help="Photos of validation.")
@click.option("--only", type=click.Choice(list(KINDS)), hidden=True, help="Measure in this process.")
def main(photos: int, only: str | None) -> None:
    """Time exact thresholds, a swarm's fitness and a whole search."""
    if only:
        seconds = KINDS[only](*draw(photos))
        print(
            json.dumps({"seconds": seconds, "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})
        )
        return
    command = [sys.executable, "-m", "benchmarks.ensembling", "--photos", str(photos), "--only"]
    measured = {}
    for kind in KINDS:
        done = subprocess.run([*command, kind], stdout=subprocess.PIPE, text=True, check=True)
        measured[kind] = json.loads(done.stdout.splitlines()[-1])
    print(table(measured, photos))
    print(json.dumps(summary(measured)))


if __name__ == "__main__":
    main()
