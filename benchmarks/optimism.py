"""How figures from validation hold on photos that nobody tuned on: a simulation in which the truth is known.

    python -m benchmarks.optimism > benchmarks/results/optimism.md

Each repeat draws labels, from common to rare, and members that err together. In every other repeat they mean the same
by a score for each label; in the rest they are biased, too sure or not sure enough, label by label, and saw other
prevalences of the labels in training. Every weighting is fitted on 170 to 9,897 validation photos and judged as
`mlob ensemble` judges it, by the recipe's methods but for stackers, and the recipe's rules; so is the headline, of
which the choice among them is a part.

The truth of a decision is its micro-F1 on all photos that could be drawn. Pooled counts are sums over labels, and no
blend here looks from one label to another, so that each label is integrated by itself: over `POINTS` points that fill
the space of what its scores are drawn from more evenly than chance does (a scrambled Sobol sequence, shifted at random
for each label), with the chance of the label in place of its target. What is left of noise has a standard deviation of
0.0002, a tenth of what 9,897 photos have.

An error is a figure less the truth of what it is said of. That of few photos varies by 0.02 with the photos that
happened to be drawn, far more than the bias that is looked for. Most of it is known: it is nearly that of a decision
which was fitted on other photos of the same world. Of that the linear part is 0 in expectation by the definition of
F1, whatever the decision: the mean over photos of 2 right - F1 (given + true), over the mean number of labels that are
given and true. It is subtracted, as a control variate (Lavenberg and Welch 1981, "A perspective on the use of control
variables to increase the efficiency of Monte Carlo simulations") with the coefficient 1, which adds no bias. The last
line is JSON.
"""

import concurrent.futures
import dataclasses
import json
import os
from collections.abc import Callable, Sequence

os.environ.setdefault("OMP_NUM_THREADS", "1")  # each repeat has a core to itself

import click
import numpy as np
from scipy.special import expit, logit, ndtri
from scipy.stats import qmc

from mlob import machine
from mlob.ensemble import methods, thresholds
from mlob.evaluation import bootstrap, choice
from mlob.evaluation.crossfit import crossfit, folds
from mlob.metrics import counts, f1, micro_f1
from mlob.recipes import Ensemble

Name = tuple[str, str]  # of a method and a rule
Figures = dict[Name, np.ndarray]  # float64 (repeats, 6), the columns as in FIELDS
FIELDS = ("truth", "in-sample", "cross-fitted", "low", "high", "control")

REPEATS = {170: 600, 300: 600, 1_431: 300, 9_897: 200}  # by photos of validation
POINTS, OTHERS = 2**14, 2_000
MEMBERS, LABELS, GROUPS, TOPICS = 4, 30, 3, 3
RECIPE = Ensemble(particles=10, iterations=20, patience=5, methods=tuple(methods.WEIGHTINGS))
FURTHER: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray | float]] = {  # rules for the plain mean alone
    "half F1": lambda targets, probabilities: thresholds.half_f1(probabilities),
    "shrunk thresholds": thresholds.shrunk,
    "smoothed thresholds": thresholds.smoothed,
}
FIXED = methods.LOG_LOSS, thresholds.CALIBRATED
HEADLINE, HIGHEST = ("**the headline**", "chosen"), ("**the highest of all**", "its own")
TOLD = {HEADLINE: "the headline", FIXED: "fixed in advance", HIGHEST: "the highest of all"}
KINDS = ("alike", "shifted")  # of worlds, in turn
HEADERS = ("method", "thresholds", "unseen", *(f"less one threshold, {kind}" for kind in KINDS))
HEADERS += ("in-sample less unseen", "cross-fitted less unseen", "its standard error", "intervals that hold the truth")
TOP = ("photos", "figure", "unseen", "its error", "standard error", "intervals that hold the truth", "another decision")


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
    noise = generator.normal(size=(MEMBERS + 1, photos, LABELS))
    chances = expit(logits)
    targets = (generator.random(chances.shape) < chances).astype(np.uint8)
    return chances, targets, seen_by(world, logits, noise)


def spread(world: World, points: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Spread points evenly over all that each label by itself may be drawn from, as `draw` draws it.

    Returns:
        The chance of each label (points, labels); members float32 (members, points, labels).
    """
    even = qmc.Sobol(MEMBERS + 2, rng=generator).random(points)[:, np.newaxis]
    shifted = (even + generator.random((LABELS, MEMBERS + 2))) % 1
    first, *noise = np.moveaxis(ndtri(np.clip(shifted, 1e-9, 1 - 1e-9)), -1, 0)
    logits = world.base + np.sqrt(4 + np.sum(world.topics**2, axis=0)) * first
    return expit(logits), seen_by(world, logits, np.array(noise))


def seen_by(world: World, logits: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """What members make of log-odds (rows, labels): float32 (members, rows, labels).

    Args:
        noise: standard normal (1 + members, rows, labels); the first is common to all members.
    """
    seen = logits + 0.8 * noise[0] + world.error * noise[1:]
    return expit(world.bias[:, np.newaxis] + world.scale[:, np.newaxis] * seen).astype(np.float32)


# One repeat


def repeat(size: int, number: int) -> dict[Name, tuple[float, ...]]:
    """Fit, judge and compare with the truth: {(method, rule): what FIELDS name}."""
    generator = np.random.default_rng((number, size))
    drawn_from = world(generator, KINDS[number % len(KINDS)])
    _, targets, members = draw(drawn_from, size, generator)
    _, *others = draw(drawn_from, OTHERS, generator)
    chances, unseen = spread(drawn_from, POINTS, generator)
    control = linear_error(fixed(*others), targets, members, chances, unseen)
    fitted, out_of_fold = judged(members, targets, number)
    draws = bootstrap.micro_f1_draws(targets, *out_of_fold.values(), draws=RECIPE.draws, seed=number)
    figures = {}
    for (name, decided), own in zip(out_of_fold.items(), draws, strict=True):
        decision = fitted[name]
        truth, in_sample = true_f1(chances, decision(unseen)), micro_f1(targets, decision(members))
        cross_fitted = bootstrap.interval(micro_f1(targets, decided), own)
        figures[name] = (truth, in_sample, cross_fitted.value, cross_fitted.low, cross_fitted.high, control)
    return figures


def judged(members: np.ndarray, targets: np.ndarray, seed: int) -> tuple[dict[Name, methods.Decision], dict]:
    """Fit all, and decide out of fold: {(method, rule): Decision}, {(method, rule): uint8 (n, labels)}.

    The headline and the highest of all are among them: of the first the choice is nested, of the second it is not.
    """
    judging = dataclasses.replace(RECIPE.judging, seed=seed)
    fold = folds(targets, judging.folds, seed=seed)
    fitted, decided = fit(members, targets), crossfit(fit, members, targets, fold)
    known = {name: own for name, own in decided.items() if name[1] not in FURTHER}
    candidates = choice.Candidates(targets, known, fold)
    chosen, highest = choice.choose(candidates, judging).name, choice.highest(candidates)
    nested = choice.taken(candidates, choice.nested(candidates, judging))
    return (
        fitted | {HEADLINE: fitted[chosen], HIGHEST: fitted[highest]},
        decided | {HEADLINE: nested, HIGHEST: decided[highest]},
    )


def fit(members: np.ndarray, targets: np.ndarray) -> dict[Name, methods.Decision]:
    """Fit every weighting with every rule that `mlob ensemble` tries, and further rules on the plain mean."""
    fitted = fit_all(RECIPE.methods, RECIPE.rules)(members, targets)
    mean = fitted[methods.MEAN, thresholds.HALF]
    for rule, choose in FURTHER.items():
        cuts = np.full(LABELS, choose(targets, mean.probabilities(members)), np.float32)
        fitted[methods.MEAN, rule] = dataclasses.replace(mean, thresholds=cuts)
    return fitted


def fixed(targets: np.ndarray, members: np.ndarray) -> methods.Decision:
    """Fit the decision that is fixed in advance."""
    return fit_all(FIXED[:1], FIXED[1:])(members, targets)[FIXED]


def fit_all(names: Sequence[str], rules: Sequence[str]) -> Callable[..., methods.Fitted]:
    """Give the function that fits methods and rules."""
    groups = [str(label % GROUPS) for label in range(LABELS)]
    return methods.fit(names, rules, groups=groups, seed=RECIPE.seed, swarm=RECIPE.swarm)


def true_f1(chances: np.ndarray, decided: np.ndarray) -> float:
    """Micro-F1 to expect of decisions, from the chance of each label."""
    return float(f1(np.sum(chances * decided), np.sum(decided, dtype=np.int64), np.sum(chances)))


def linear_error(
    decision: methods.Decision, targets: np.ndarray, members: np.ndarray, chances: np.ndarray, unseen: np.ndarray
) -> float:
    """The linear part of the error of a decision's micro-F1 on photos that it was not fitted on: 0 in expectation."""
    given = decision(unseen)
    truth, size = true_f1(chances, given), (given.sum() + chances.sum()) / len(chances)
    right, predicted, positives = counts(targets, decision(members), axis=1)
    return float(np.mean(2 * right - truth * (predicted + positives)) / size)


# All repeats


def run(repeats: dict[int, int]) -> dict[int, Figures]:
    """Run all repeats on all cores: {size: {(method, rule): float64 (repeats, fields)}}."""
    cases = [(size, number) for size in sorted(repeats, reverse=True) for number in range(repeats[size])]
    with concurrent.futures.ProcessPoolExecutor(machine.cores()) as pool:
        repeated = dict(zip(cases, pool.map(repeat, *zip(*cases, strict=True)), strict=True))
    names = repeated[cases[0]]
    return {
        size: {name: np.array([repeated[size, number][name] for number in range(count)]) for name in names}
        for size, count in repeats.items()
    }


def column(figures: np.ndarray, field: str) -> np.ndarray:
    """Take one of FIELDS: float64 (repeats,)."""
    return figures[:, FIELDS.index(field)]


def error(figures: np.ndarray) -> tuple[float, float]:
    """The mean error of the cross-fitted figure, and its standard error, the control subtracted."""
    each = column(figures, "cross-fitted") - column(figures, "truth") - column(figures, "control")
    return float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each)))


def holds(figures: np.ndarray) -> np.ndarray:
    """Say in which repeats the interval holds the truth, bool (repeats,)."""
    truth, low, high = (column(figures, field) for field in ("truth", "low", "high"))
    return (low <= truth) & (truth <= high)


def gains(figures: Figures, name: Name) -> list[float]:
    """Mean of a method's truth less that of its blend at one threshold, in each of KINDS."""
    gained = column(figures[name], "truth") - column(figures[name[0], thresholds.ONE_THRESHOLD], "truth")
    return [float(gained[kind :: len(KINDS)].mean()) for kind in range(len(KINDS))]


def summary(by_size: dict[int, Figures]) -> dict[str, object]:
    """Give by size how each of TOLD holds, and the lowest gain of the default rule over one threshold.

    The lowest is of all blends and kinds of worlds; the last share is of all methods, sizes and repeats.
    """
    blends = [name for name in next(iter(by_size.values())) if name[1] == thresholds.CALIBRATED]
    lowest = {str(size): round(min(min(gains(own, name)) for name in blends), 5) for size, own in by_size.items()}
    share = np.mean([np.mean([holds(figures) for figures in own.values()]) for own in by_size.values()])
    told = {word: {str(size): held(own[name]) for size, own in by_size.items()} for name, word in TOLD.items()}
    return {**told, "default_less_global": lowest, "intervals_that_hold": round(float(share), 4)}


def held(figures: np.ndarray) -> dict[str, float]:
    """Give the mean error, its standard error, and the share of intervals that hold the truth."""
    mean, deviation = error(figures)
    share = round(float(holds(figures).mean()), 4)
    return {"error": round(mean, 5), "standard_error": round(deviation, 5), "intervals_that_hold": share}


def top(by_size: dict[int, Figures]) -> str:
    """Lay out as a Markdown table how each of TOLD holds, and how often the headline's decision is another one."""
    lines: list[Sequence[str]] = [TOP, ["---:", "---", *["---:"] * (len(TOP) - 2)]]
    for size, own in by_size.items():
        for name, word in TOLD.items():
            truth, of_fixed = column(own[name], "truth"), column(own[FIXED], "truth")
            mean, deviation = error(own[name])
            shares = f"{holds(own[name]).mean():.1%}", f"{np.mean(truth != of_fixed):.0%}"
            lines.append([f"{size:,}", word, f"{truth.mean():.4f}", f"{mean:+.4f}", f"{deviation:.4f}", *shares])
    return _piped(lines)


def table(figures: Figures) -> str:
    """Lay the figures of one size out as a Markdown table, by falling truth: means over repeats."""
    lines: list[Sequence[str]] = [HEADERS, ["---", "---", *["---:"] * (len(HEADERS) - 2)]]
    for name in sorted(figures, key=lambda name: -column(figures[name], "truth").mean()):
        truth, in_sample, *_, control = figures[name].mean(axis=0)
        has_one = (name[0], thresholds.ONE_THRESHOLD) in figures
        less = [f"{gain:+.4f}" for gain in gains(figures, name)] if has_one else [""] * len(KINDS)
        mean, deviation = error(figures[name])
        gaps = (f"{in_sample - truth - control:+.4f}", f"{mean:+.4f}", f"{deviation:.4f}")
        lines.append([*name, f"{truth:.4f}", *less, *gaps, f"{holds(figures[name]).mean():.0%}"])
    return _piped(lines)


def _piped(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@click.command()
@click.option("--sizes", default=",".join(map(str, REPEATS)), show_default=True, help="Photos of validation.")
@click.option("--repeats", type=click.IntRange(len(KINDS)), help="Draws of each size.  [default: by size]")
def main(sizes: str, repeats: int | None) -> None:
    """Compare figures from validation with the truth."""
    asked = [int(size) for size in sizes.split(",")]
    by_size = run({size: repeats or REPEATS.get(size, min(REPEATS.values())) for size in asked})
    print("# Figures from validation, and the truth\n\n`python -m benchmarks.optimism`\n")
    print(f"{machine.processor()}. {MEMBERS} members, {LABELS} labels; means over repeats. Micro-F1.\n")
    print(f"## The headline\n\n{top(by_size)}\n")
    print("An error is a figure less the truth of what it is said of; how it is made precise says the module's text.\n")
    for size, own in by_size.items():
        print(f"## {size:,} validation photos\n\n{len(own[HEADLINE])} repeats.\n\n{table(own)}\n")
    print(json.dumps(summary(by_size)))


if __name__ == "__main__":
    main()
