"""How figures from validation hold on photos that nobody tuned on: a simulation in which the truth is known.

    python -m benchmarks.optimism > benchmarks/results/optimism.md

Each repeat draws labels, from common to rare, and members that err together. In every other repeat they mean the same
by a score for each label; in the rest they are biased, too sure or not sure enough, label by label, and saw other
prevalences of the labels in training. Every weighting is fitted on 300 to 9,897 validation photos and judged as
`mlob ensemble` judges it; its truth is micro-F1 on 20,000 further photos, by the chance of each label that the labels
were drawn from. The last line is JSON.
"""

import concurrent.futures
import dataclasses
import json
import os
from collections.abc import Callable, Sequence

os.environ.setdefault("OMP_NUM_THREADS", "1")  # each repeat has a core to itself

import click
import numpy as np
from scipy.special import expit, logit

from mlob import machine
from mlob.ensemble import methods, thresholds
from mlob.evaluation import bootstrap, choice
from mlob.evaluation.crossfit import crossfit, folds
from mlob.metrics import f1, micro_f1
from mlob.recipes import Ensemble

Name = tuple[str, str]  # of a method and a rule
Figures = dict[Name, np.ndarray]  # float64 (repeats, 5): truth, in-sample, cross-fitted, and the interval's ends

SIZES, REPEATS, UNSEEN = (300, 1_000, 3_000, 9_897), 50, 20_000
MEMBERS, LABELS, GROUPS, TOPICS = 4, 30, 3, 3
RECIPE = Ensemble(particles=15, iterations=30, patience=10, methods=tuple(methods.WEIGHTINGS))
FURTHER: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray | float]] = {  # rules for the plain mean alone
    "half F1": lambda targets, probabilities: thresholds.half_f1(probabilities),
    "shrunk thresholds": thresholds.shrunk,
    "smoothed thresholds": thresholds.smoothed,
}
CHOSEN = ("chosen on the other folds", "its own")
KINDS = ("alike", "shifted")  # of worlds, in turn
HEADERS = ("method", "thresholds", "unseen", *(f"less one threshold, {kind}" for kind in KINDS))
HEADERS += ("in-sample less unseen", "cross-fitted less unseen", "intervals that hold the truth")


# The world


@dataclasses.dataclass(frozen=True)
class World:
    """What a repeat's photos are drawn from: log-odds of the labels, and how members distort them."""

    base: np.ndarray  # (labels,)
    topics: np.ndarray  # (topics, labels), what a photo is of, which moves labels together
    bias: np.ndarray  # (members, labels)
    scale: np.ndarray  # (members, labels)
    error: np.ndarray  # (members, 1, 1), of each member by itself


def world(generator: np.random.Generator, kind: str) -> World:
    """Draw a world of one of KINDS."""
    distortion = KINDS.index(kind)
    prevalences = np.clip(generator.lognormal(-3.5, 1.5, LABELS), 1e-3, 0.5)
    shift = generator.normal(0, 0.5, LABELS)  # training had other prevalences, for all members alike
    return World(
        logit(prevalences),
        generator.normal(0, 1 / np.sqrt(TOPICS), (TOPICS, LABELS)),
        distortion * (shift + generator.normal(0, 0.3, (MEMBERS, LABELS))),
        np.exp(distortion * generator.normal(0, 0.25, (MEMBERS, LABELS))),
        generator.uniform(0.5, 1.2, (MEMBERS, 1, 1)),
    )


def draw(world: World, photos: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw photos.

    Returns:
        The chance of each label (photos, labels); targets uint8; members float32 (members, photos, labels).
    """
    together = generator.normal(size=(photos, TOPICS)) @ world.topics
    logits = world.base + together + generator.normal(0, 2, (photos, LABELS))
    chances = expit(logits)
    targets = (generator.random(chances.shape) < chances).astype(np.uint8)
    seen = logits + 0.8 * generator.normal(size=logits.shape)
    own = world.error * generator.normal(size=(MEMBERS, photos, LABELS))
    members = expit(world.bias[:, np.newaxis] + world.scale[:, np.newaxis] * (seen + own))
    return chances, targets, members.astype(np.float32)


# One repeat


def repeat(size: int, number: int) -> dict[Name, tuple[float, ...]]:
    """Fit, judge and compare with the truth: {(method, rule): (truth, in-sample, cross-fitted, low, high)}."""
    generator = np.random.default_rng((number, size))
    drawn_from = world(generator, KINDS[number % len(KINDS)])
    _, targets, members = draw(drawn_from, size, generator)
    chances, _, unseen = draw(drawn_from, UNSEEN, generator)
    fold = folds(targets, RECIPE.folds, seed=number)
    fitted, out_of_fold = fit(members, targets), crossfit(fit, members, targets, fold)
    candidates = choice.Candidates(targets, out_of_fold, fold)
    names = choice.nested(candidates, RECIPE.judging)
    fitted[CHOSEN] = fitted[choice.choose(candidates, RECIPE.judging).name]
    out_of_fold[CHOSEN] = choice.taken(candidates, names)
    draws = bootstrap.micro_f1_draws(targets, *out_of_fold.values(), draws=RECIPE.draws, seed=number)
    figures = {}
    for (name, decided), own in zip(out_of_fold.items(), draws, strict=True):
        decision = fitted[name]
        truth, in_sample = true_f1(chances, decision(unseen)), micro_f1(targets, decision(members))
        cross_fitted = bootstrap.interval(micro_f1(targets, decided), own)
        figures[name] = (truth, in_sample, cross_fitted.value, cross_fitted.low, cross_fitted.high)
    return figures


def fit(members: np.ndarray, targets: np.ndarray) -> dict[Name, methods.Decision]:
    """Fit every weighting with every rule that `mlob ensemble` tries, and further rules on the plain mean."""
    groups = [str(label % GROUPS) for label in range(LABELS)]
    fit_all = methods.fit(RECIPE.methods, RECIPE.rules, groups=groups, seed=RECIPE.seed, swarm=RECIPE.swarm)
    fitted = fit_all(members, targets)
    mean = fitted[methods.MEAN, thresholds.HALF]
    for rule, choose in FURTHER.items():
        cuts = np.full(LABELS, choose(targets, mean.probabilities(members)), np.float32)
        fitted[methods.MEAN, rule] = dataclasses.replace(mean, thresholds=cuts)
    return fitted


def true_f1(chances: np.ndarray, decided: np.ndarray) -> float:
    """Micro-F1 to expect of decisions, from the chance of each label."""
    return float(f1(np.sum(chances * decided), np.sum(decided, dtype=np.int64), np.sum(chances)))


# All repeats


def run(sizes: list[int], repeats: int) -> dict[int, Figures]:
    """Run all repeats on all cores: {size: {(method, rule): float64 (repeats, 5)}}."""
    cases = [(size, number) for size in sorted(sizes, reverse=True) for number in range(repeats)]
    with concurrent.futures.ProcessPoolExecutor(machine.cores()) as pool:
        repeated = dict(zip(cases, pool.map(repeat, *zip(*cases, strict=True)), strict=True))
    names = repeated[cases[0]]
    return {
        size: {name: np.array([repeated[size, number][name] for number in range(repeats)]) for name in names}
        for size in sizes
    }


def holds(figures: np.ndarray) -> np.ndarray:
    """Say in which repeats the interval holds the truth, bool (repeats,)."""
    truth, _, _, low, high = figures.T
    return (low <= truth) & (truth <= high)


def gains(figures: Figures, name: Name) -> list[float]:
    """Mean of a method's truth less that of its blend at one threshold, in each of KINDS."""
    gained = figures[name][:, 0] - figures[name[0], thresholds.ONE_THRESHOLD][:, 0]
    return [float(gained[kind :: len(KINDS)].mean()) for kind in range(len(KINDS))]


def summary(by_size: dict[int, Figures]) -> dict[str, object]:
    """Give by size the lowest gain of the default rule over one threshold, and the share of intervals that hold.

    The lowest is of all blends and kinds of worlds; the share is of all methods, sizes and repeats.
    """
    blends = [name for name in next(iter(by_size.values())) if name[1] == thresholds.CALIBRATED]
    lowest = {str(size): round(min(min(gains(own, name)) for name in blends), 5) for size, own in by_size.items()}
    share = np.mean([holds(figures) for own in by_size.values() for figures in own.values()])
    return {"default_less_global": lowest, "intervals_that_hold": round(float(share), 4)}


def table(figures: Figures) -> str:
    """Lay the figures of one size out as a Markdown table, by falling truth: means over repeats."""
    lines: list[Sequence[str]] = [HEADERS, ["---", "---", *["---:"] * (len(HEADERS) - 2)]]
    for name in sorted(figures, key=lambda name: -figures[name][:, 0].mean()):
        truth, in_sample, cross_fitted, _, _ = figures[name].mean(axis=0)
        has_one = (name[0], thresholds.ONE_THRESHOLD) in figures
        less = [f"{gain:+.4f}" for gain in gains(figures, name)] if has_one else [""] * len(KINDS)
        gaps = (f"{in_sample - truth:+.4f}", f"{cross_fitted - truth:+.4f}")
        lines.append([*name, f"{truth:.4f}", *less, *gaps, f"{holds(figures[name]).mean():.0%}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@click.command()
@click.option("--sizes", default=",".join(map(str, SIZES)), show_default=True, help="Photos of validation.")
@click.option(
    "--repeats", default=REPEATS, show_default=True, type=click.IntRange(len(KINDS)), help="Draws of each size."
)
def main(sizes: str, repeats: int) -> None:
    """Compare figures from validation with the truth."""
    by_size = run([int(size) for size in sizes.split(",")], repeats)
    print("# Figures from validation, and the truth\n\n`python -m benchmarks.optimism`\n")
    print(f"{machine.processor()}. {MEMBERS} members, {LABELS} labels; means over {repeats} repeats. Micro-F1.\n")
    print(
        "The truth, of 20,000 photos, varies too: an exact 95% interval from 9,897 photos holds it in 89% of repeats.\n"
    )
    for size, own in by_size.items():
        print(f"## {size:,} validation photos\n\n{table(own)}\n")
    print(json.dumps(summary(by_size)))


if __name__ == "__main__":
    main()
