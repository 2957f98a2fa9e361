"""What it is worth to say which metric counts, and whether labels keep what was wished of them, on drawn photos.

    python -m benchmarks.metrics

Four members of 60 labels, 20 of which are one group of which each photo has one, are fitted on some photos and judged
on 20,000 others: log-loss weights with the metric's thresholds, against the same with those of micro-F1. Then how many
labels are given at a wished precision, and how many of them keep it, by the test that `ensemble.metric` goes by and by
the lowest threshold that reaches it where it is fitted.
"""

import click
import numpy as np

from mlob.ensemble import measures, methods, thresholds
from mlob.ensemble.calibration import sigmoid
from mlob.ensemble.thresholds import CALIBRATED, decide
from mlob.labels import prevalence
from mlob.metrics import ROUNDING, counts
from mlob.recipes import Metric, Swarm

GROUPS = ("article",) * 20 + ("tag",) * 40
MEMBERS, FITTED, JUDGED, TIMES = 4, (300, 1_431, 9_897), 20_000, 4
METRICS = {
    "macro_f1": Metric("macro_f1"),
    "image_f_beta, beta 1": Metric("image_f_beta", beta=1),
    "image_f_beta, beta 2": Metric("image_f_beta"),
    "top_1": Metric("top_1", group="article"),
    "saved_cost, a missed label costs 5": Metric("saved_cost", cost_false_negative=5),
    "saved_cost, a wrong label costs 3": Metric("saved_cost", cost_false_positive=3),
}
WISHED = (0.8, 0.95)


def draw(photos: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw members float32 (members, photos, labels) and targets uint8 (photos, labels).

    Labels differ in how common they are, how well they are seen, and how far from calibrated; members err together and
    each by itself, now and then by much.
    """
    world, generator = np.random.default_rng(0), np.random.default_rng(seed)
    labels, group = len(GROUPS), GROUPS.count("article")
    prevalences = 0.3 / np.arange(1, labels + 1) ** 0.7
    prevalences[:group] /= prevalences[:group].sum()
    strength, scale = world.uniform(1.5, 4.5, labels), world.uniform(0.6, 1.4, (MEMBERS, 1, labels))
    bias, quality = world.normal(0, 0.5, (MEMBERS, 1, labels)), np.linspace(0.6, 1, MEMBERS)[:, None, None]
    targets = (generator.random((photos, labels)) < prevalences).astype(np.uint8)
    targets[:, :group] = np.eye(group)[generator.choice(group, photos, p=prevalences[:group])]
    together = generator.standard_t(6, (photos, labels))
    apart = generator.standard_normal((MEMBERS, photos, labels))
    seen = quality * strength
    evidence = seen * (0.7 * (together + apart) + seen * targets) - seen**2 / 2
    logits = bias + scale * (np.log(prevalences / (1 - prevalences)) + evidence)
    return sigmoid(logits).astype(np.float32), targets


def reached(metric: Metric, photos: int, judged: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Give what decisions made for micro-F1, and for the metric, reach of it on photos that they were not fitted on."""
    measure = measures.of(metric, GROUPS)
    figures = []
    for seed in range(1, TIMES + 1):
        members, targets = draw(photos, seed)
        for made in (measures.MICRO_F1, measure):
            groups = made.one_each(None, len(GROUPS))
            fit = methods.fit(
                (methods.LOG_LOSS,), (CALIBRATED,), groups=GROUPS, seed=0, swarm=Swarm(), one_each=groups, measure=made
            )
            figures.append(measure.score(judged[1], fit(members, targets)[methods.LOG_LOSS, made.rule](judged[0])))
    return np.reshape(figures, (TIMES, 2)).mean(axis=0)


def kept(
    wished: float, photos: int, judged: tuple[np.ndarray, np.ndarray], assured: bool
) -> tuple[float, float | None]:
    """Give the share of the labels that are given at a wished precision, and the share of these that keep it."""
    given, keeping = 0, 0
    for seed in range(1, TIMES + 1):
        members, targets = draw(photos, seed)
        rule = thresholds.assured_precision if assured else lowest
        decided = decide(judged[0][-1], rule(targets, members[-1], wished))
        right, predicted, _ = counts(judged[1], decided, axis=0)
        given += np.count_nonzero(predicted)
        keeping += np.count_nonzero((predicted > 0) & (right >= wished * predicted))
    return given / (TIMES * len(GROUPS)), keeping / given if given else None


def lowest(targets: np.ndarray, probabilities: np.ndarray, wished: float) -> np.ndarray:
    """Give each label's lowest threshold that reaches the wished precision on the photos that it is fitted on."""
    reaching = lambda right, predicted, _: np.where(right >= wished * predicted - ROUNDING, right, -1)  # noqa: E731
    return thresholds.best_of_each(targets, probabilities, reaching)


@click.command(help=__doc__)
def main() -> None:
    """Print both tables."""
    judged = draw(JUDGED, 0)
    click.echo(f"{len(GROUPS)} labels, {prevalence(judged[1]).sum():.1f} on a photo; {TIMES} draws each\n")
    click.echo("| metric | photos | made for micro-F1 | made for it |\n| --- | ---: | ---: | ---: |")
    for name, metric in METRICS.items():
        for photos in FITTED[:2]:
            click.echo("| {} | {:,} | {:.3f} | {:.3f} |".format(name, photos, *reached(metric, photos, judged)))
    click.echo("\n| wished precision | photos | given, assured | of these kept | given, lowest | of these kept |")
    click.echo("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for wished in WISHED:
        for photos in FITTED:
            shares = [share for assured in (True, False) for share in kept(wished, photos, judged, assured)]
            told = ["none" if share is None else f"{share:.0%}" for share in shares]
            click.echo(f"| {wished:g} | {photos:,} | {' | '.join(told)} |")


if __name__ == "__main__":
    main()
