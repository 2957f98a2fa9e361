"""Photos with a title each: the photo alone, the title alone, and both in one ensemble.

    python -m benchmarks.texts

draws garments in front of a wall (as `make demo` does) and names each in a few words, as a shop would: a title has the
colour and the pattern half of the time, calls the garment by one of several words, and says things that no photo shows.
Titles are drawn from the labels, so what they bring here says nothing of other shops' titles; the benchmark shows that
the whole way works. It runs the suite `texts` on them, and compares the ensemble of all its members with the photo's
own, both judged on folds that did not choose them.
"""

import csv
import os
import pathlib
import tempfile
from collections.abc import Sequence

import click
import numpy as np

from mlob import machine, steps
from mlob.data import drawing
from mlob.ensemble.measures import MICRO_F1
from mlob.evaluation import choice, crossfit, scores
from mlob.runs import ensemble, stack
from mlob.runs.stack import Stack
from mlob.workspace import Workspace

WORDS = {
    "dress": ("dress", "gown", "frock"),
    "T-shirt": ("t-shirt", "tee", "top"),
    "trousers": ("trousers", "pants"),
    "shirt": ("shirt", "blouse"),
    "skirt": ("skirt",),
}
BRANDS = ("Alba", "Brook", "Corvo", "Dune", "Elm", "Fjord", "Gale", "Heath")
SAID = 0.5  # share of the titles that name the colour, and of those that name the pattern


def title(look: drawing.Look, rng: np.random.Generator) -> str:
    """Name a garment as a shop would."""
    said = [look[group] for group in ("colour", "pattern") if rng.random() < SAID]
    kind = rng.choice(WORDS.get(look["category"], (look["category"],)))
    hidden = [look[group] for group in ("neckline", "sleeve", "length") if look.get(group) and rng.random() < SAID]
    return " ".join(filter(None, [rng.choice(BRANDS), *said, str(kind), *hidden]))


def draw(folder: pathlib.Path, photos: int, seed: int = 0, size: int = 240) -> None:
    """Draw photos with their titles and labels: photos.csv, and images/ beside it; a seventh each is for judging.

    Args:
        folder: an empty one.
        photos: their number.
        seed: of all that is random.
        size: of the longer side, pixels.
    """
    (folder / "images").mkdir(parents=True)
    groups = ("category", "colour", "pattern", "sleeve", "neckline")
    with (folder / "photos.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["image", "title", "split", *groups])
        for number in range(photos):
            rng = np.random.default_rng([seed, number])
            look = drawing.pick_look(rng, ())
            shown = drawing.photo(drawing.garment(look, np.array([size * 3 // 4, size]), rng), rng)
            (folder / "images" / f"{number}.jpg").write_bytes(drawing.jpeg(shown))
            split = {0: "validation", 1: "test"}.get(number % 7, "train")
            table.writerow([f"{number}.jpg", title(look, rng), split, *(look.get(group, "") for group in groups)])


def decided(work: Workspace, members: Sequence[str]) -> tuple[Stack, np.ndarray]:
    """Decide validation by an ensemble of some members, its choice made on other folds: (members' stack, decisions)."""
    runs = {name: work.run(name) for name in members}
    found, recipe = stack.read(work.dataset, runs, False)["validation"], work.suite.ensemble
    judging = recipe.judging
    fold = crossfit.folds(found.targets, judging.folds, seed=judging.seed, keys=found.keys)
    fits = ensemble.fits(work.dataset, recipe)
    each = crossfit.crossfit(fits, found.members, found.targets, fold, found.keys)
    candidates = choice.Candidates(found.targets, each, fold, found.keys)
    return found, choice.taken(candidates, choice.nested(candidates, judging))


def table(work: Workspace) -> str:
    """Compare the ensembles of some members with that of the photo's head alone, on the same photos: Markdown."""
    sets = {"photo": ["photo"], "title": ["words", "tfidf"], "photo and title": [*work.suite.members]}
    both = [decided(work, members) for members in sets.values()]
    found, judging = both[0][0], work.suite.ensemble.judging
    figures = scores.measured(MICRO_F1, found.targets, *(each for _, each in both), judging=judging, keys=found.keys)
    lines = [
        "| ensemble of | micro-F1 | 95% interval | gain | 95% interval of the gain |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {name}: {', '.join(members)} | {own.value:.3f} | {own} | {gain.value:+.3f} | {gain.low:+.3f} to "
            f"{gain.high:+.3f} |"
            for (name, members), (own, gain) in zip(sets.items(), figures, strict=True)
        ),
    ]
    total = sum(len(split.ids) for split in work.dataset.splits.values())
    told = f"{len(found.targets):,} validation photos of {total:,}. Processor: {machine.processor()}."
    return "\n".join([*lines, "", told])


@click.command()
@click.option("--photos", type=click.IntRange(100), default=3500, show_default=True, help="Drawn ones.")
def main(photos: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        draw(folder / "photos", photos)
        os.environ |= {f"MLOB_{name.upper()}": str(folder / name) for name in ("features", "runs")}
        work = Workspace("texts", data=str(folder / "photos"))
        steps.train(work, work.suite.members)
        print(table(work))


if __name__ == "__main__":
    main()
