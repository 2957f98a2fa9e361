"""Small things on large backgrounds: whether photos are cropped to them, and what that brings.

    python -m benchmarks.cropping > benchmarks/results/cropping.md

draws two sets of photos of 560 pixels. One thing of a fifth to a third of the side lies anywhere in each: a geometric
shape on clouds with scratches, or a garment of the demo on tiles. mlob itself trains the finder, extracts the features
of whole and of cropped photos, and trains the same head on either and on both. Boxes are compared with where things
were drawn, on validation photos, from which neither finder nor heads learned. The last line is JSON.
"""

import contextlib
import csv
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import click
import numpy as np
from PIL import Image, ImageDraw

from mlob import machine, predictions
from mlob.data import drawing
from mlob.data.dataset import read_dataset
from mlob.evaluation import repeats
from mlob.labels import columns_of
from mlob.recipes import Crop, FeatureSet, Judging

SIDE = 560
SMALLEST, LARGEST = 0.2, 0.35  # longer side of a thing, in sides of the photo
PHOTOS = {"train": 800, "validation": 400, "test": 20}
FOUND = 0.5  # intersection over union from which on a box has found its thing
SHAPES = ("disc", "square", "triangle", "star", "ring", "cross")
COLOURS = {"red": "#d22828", "green": "#28a03c", "blue": "#3250d2", "yellow": "#ebcd28", "purple": "#8c32a0"}
PATTERNS = ("plain", "stripes", "dots")
CLOTH = 256  # side of a shape before it is reduced, pixels
GROUPS = {"shapes": ("shape", "colour", "pattern"), "garments": ("category", "colour", "pattern")}
HEAD = "runs/small/finder/head.keras"
RECIPES = {
    "features/whole.py": 'FeatureSet("efficientnet_lite0")',
    "features/large.py": 'FeatureSet("efficientnet_lite0", size="huge")',
    "features/crop.py": f'FeatureSet("efficientnet_lite0", crop=Crop("{HEAD}"))',
    "experiments/small/suite.py": 'Suite("photos", members=("whole", "cropped", "both"))',
    "experiments/small/finder.py": 'Experiment(("large",), LOGISTIC)',
    "experiments/small/whole.py": 'Experiment(("whole",))',
    "experiments/small/enlarged.py": 'Experiment(("large",))',
    "experiments/small/cropped.py": 'Experiment(("crop",))',
    "experiments/small/both.py": 'Experiment(("whole", "crop"))',
}
MODELS = {
    "whole": "whole, 224 pixels",
    "enlarged": "whole, 560 pixels",
    "cropped": "cropped, 224 pixels",
    "both": "whole and cropped, side by side",
}

Drawn = tuple[Image.Image, tuple[str, ...], tuple[float, ...]]  # photo, a label of each group, box


# The photos


def draw(kind: str, seed: object) -> Drawn:
    """Draw a photo of a kind in `GROUPS`, with its labels and the box of its thing, in shares of the side.

    Equal seeds give equal photos.
    """
    rng = np.random.default_rng(seed)
    photo, (thing, labels) = (clouds(rng), shape(rng)) if kind == "shapes" else (tiles(rng), garment(rng))
    factor = rng.uniform(SMALLEST, LARGEST) * SIDE / max(thing.size)
    thing = thing.resize([max(1, round(factor * length)) for length in thing.size], Image.Resampling.LANCZOS)
    left, top = (int(rng.integers(SIDE - length + 1)) for length in thing.size)
    photo.paste(thing, (left, top), thing)
    box = left, top, left + thing.width, top + thing.height
    return photo, labels, tuple(edge / SIDE for edge in box)


def clouds(rng: np.random.Generator) -> Image.Image:
    """Draw a coloured sky with scratches."""
    sky = np.full((SIDE, SIDE, 3), rng.uniform(90, 190, 3))
    for places, strength in ((4, 50), (16, 25), (64, 12)):
        noise = Image.fromarray(rng.integers(0, 256, (places, places, 3), np.uint8))
        sky += (np.asarray(noise.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 128 - 1) * strength
    photo = Image.fromarray(sky.clip(0, 255).astype(np.uint8))
    for _ in range(25):
        (x, y), angle = rng.uniform(0, SIDE, 2), rng.uniform(0, 2 * math.pi)
        length, colour = rng.uniform(0.05, 0.3) * SIDE, tuple(rng.integers(70, 200, 3).tolist())
        end = x + length * math.cos(angle), y + length * math.sin(angle)
        ImageDraw.Draw(photo).line((x, y, *end), colour, int(rng.integers(1, 6)))
    return photo


def tiles(rng: np.random.Generator) -> Image.Image:
    """Draw a tiled wall with some grain."""
    count, tone = int(rng.integers(5, 12)), rng.uniform(90, 190, 3)
    tones = tone + rng.normal(0, 14, (count, count, 1)) + rng.normal(0, 6, (count, count, 3))
    wall = Image.fromarray(tones.clip(0, 255).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    joint = tuple((tone - 40).astype(int).tolist())
    for place in np.linspace(0, SIDE, count + 1):
        ImageDraw.Draw(wall).line((0, place, SIDE, place), joint, 4)
        ImageDraw.Draw(wall).line((place, 0, place, SIDE), joint, 4)
    grain = Image.fromarray(rng.integers(0, 256, (SIDE // 2, SIDE // 2, 3), np.uint8))
    return Image.blend(wall, grain.resize((SIDE, SIDE), Image.Resampling.BILINEAR), 0.12)


def garment(rng: np.random.Generator) -> tuple[Image.Image, tuple[str, ...]]:
    """Draw a garment as the demo does: RGBA, nothing around it, and a label of each group."""
    look = drawing.pick_look(rng, ())
    image = drawing.garment(look, np.array((240, 320)), rng)
    return image.crop(image.getchannel("A").getbbox()), tuple(look[group] for group in GROUPS["garments"])


def shape(rng: np.random.Generator) -> tuple[Image.Image, tuple[str, ...]]:
    """Draw a shape, turned at random: RGBA, nothing around it, and a label of each group."""
    name, colour, pattern = (str(rng.choice(names)) for names in (SHAPES, list(COLOURS), PATTERNS))
    cloth, mask = _cloth(COLOURS[colour], pattern), Image.new("L", (CLOTH, CLOTH))
    turn = np.exp(1j * rng.uniform(0, 2 * math.pi))
    points = CLOTH / 2 + 0.98 * CLOTH / 2 * np.array([(point.real, point.imag) for point in turn * _outline(name)])
    ImageDraw.Draw(mask).polygon([*map(tuple, points)], 255)
    if name == "ring":
        ImageDraw.Draw(mask).ellipse((0.27 * CLOTH, 0.27 * CLOTH, 0.73 * CLOTH, 0.73 * CLOTH), 0)
    cloth.putalpha(mask)
    return cloth.crop(mask.getbbox()), (name, colour, pattern)


def _outline(name: str) -> np.ndarray:
    """Give the corners of a shape, complex numbers in the unit circle."""
    corners = {"disc": 60, "ring": 60, "square": 4, "triangle": 3, "star": 10, "cross": 12}[name]
    circle = np.exp(2j * math.pi * np.arange(corners) / corners)
    if name == "star":
        circle[1::2] *= 0.45
    if name == "cross":  # of each three corners the second lies inside, at the crossing of the arms
        arms = np.array([1 - 0.33j, 1 + 0.33j, 0.33 + 0.33j]) / abs(1 + 0.33j)
        return np.concatenate([arms * 1j**quarter for quarter in range(4)])
    return circle


def _cloth(colour: str, pattern: str) -> Image.Image:
    """Give a square of cloth."""
    cloth = Image.new("RGB", (CLOTH, CLOTH), colour)
    light = Image.blend(cloth, Image.new("RGB", cloth.size, "white"), 0.7).getpixel((0, 0))
    pen = ImageDraw.Draw(cloth)
    for x in range(0, CLOTH, 42):
        if pattern == "stripes":
            pen.rectangle((x, 0, x + 19, CLOTH), light)
        for y in range(0, CLOTH, 42) if pattern == "dots" else ():
            pen.ellipse((x, y, x + 23, y + 23), light)
    return cloth


def write(folder: pathlib.Path, kind: str, photos: dict[str, int] = PHOTOS) -> dict[str, np.ndarray]:
    """Write a data set in the iMaterialist layout; give where things lie in it, {split: float64 (n, 4)}.

    Args:
        folder: of the data set, which is made.
        kind: as of `draw`.
        photos: how many each split has.
    """
    numbers: dict[tuple[str, str], int] = {}
    boxes = {}
    for split, count in photos.items():
        (folder / "images" / split).mkdir(parents=True)
        drawn = [draw(kind, [ord(kind[0]), len(split), number]) for number in range(count)]
        annotations = []
        for number, (photo, labels, _) in enumerate(drawn, 1):
            photo.save(folder / "images" / split / f"{number}.png", compress_level=1)
            named = [pair for pair in zip(GROUPS[kind], labels, strict=True) if pair[1]]
            ids = [numbers.setdefault(pair, len(numbers) + 1) for pair in named]
            annotations.append({"imageId": str(number), "labelId": ids})
        content = {"images": [{"imageId": row["imageId"], "url": "http://nowhere/"} for row in annotations]}
        content |= {"annotations": annotations} if split != "test" else {}
        (folder / f"{split}.json").write_text(json.dumps(content))
        boxes[split] = np.array([box for _, _, box in drawn])
    with open(folder / "label_map.csv", "w", newline="", encoding="utf-8") as file:
        rows = [(number, GROUPS[kind].index(group) + 1, name, group) for (group, name), number in numbers.items()]
        csv.writer(file).writerows([("labelId", "taskId", "labelName", "taskName"), *rows])
    return boxes


# The measurement


def measure(kind: str, folder: pathlib.Path, photos: dict[str, int] = PHOTOS) -> dict:
    """Train on one kind of photos in a folder, by mlob's own commands, and give the figures."""
    drawn = write(folder / "photos", kind, photos)["validation"]
    for name, recipe in RECIPES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"from mlob.recipes import *\n\nrecipe = {recipe}\n")
    for model in ("finder", *MODELS):
        command = [sys.executable, "-m", "mlob", "train", "--suite", "small", "--model", model]
        subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)
    overlaps = overlap(find(folder, photos["validation"]), drawn)
    right = {model: answers(folder, model) for model in MODELS}
    found = {"kind": kind, "found": float(np.mean(overlaps > FOUND)), "overlap": float(overlaps.mean())}
    judging = Judging()
    for model, rows in right.items():
        mean, gain = repeats.mean(rows, judging), repeats.gain(rows, right["whole"], judging)
        found[model] = {"top-1": mean.value, "interval": str(mean), "gain": gain.value, "gain interval": str(gain)}
    return found


def find(folder: pathlib.Path, count: int) -> np.ndarray:
    """Give the boxes that the finder puts into validation photos."""
    from mlob.features import decoding, forms, runtimes, weights

    with contextlib.chdir(folder):
        feature_set = FeatureSet("efficientnet_lite0", crop=Crop(HEAD))
        source = weights.at_hand(feature_set)
        assert source
        look = forms.Forms(feature_set, source, folder).looker(runtimes.Choice("openvino", "float32"))
        paths = [folder / "photos/images/validation" / f"{number}.png" for number in range(1, count + 1)]
        parts = (paths[start : start + 32] for start in range(0, count, 32))
        return np.concatenate([look([decoding.photo(path, SIDE).views["whole"] for path in part]) for part in parts])


def overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Give the intersection over union of each box and another one: (n,)."""
    low, high = np.maximum(boxes[:, :2], others[:, :2]), np.minimum(boxes[:, 2:], others[:, 2:])
    both = np.maximum(high - low, 0).prod(axis=1)
    areas = sum((each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, others))
    return both / (areas - both)


def answers(folder: pathlib.Path, model: str) -> np.ndarray:
    """Tell which validation photos get the right label of the first group: bool (1, n)."""
    dataset = read_dataset(folder / "photos")
    table = predictions.read(folder / "runs/small" / model / "predictions.h5")["validation"]
    columns = list(next(iter(columns_of(dataset.labels.groups).values())))
    probabilities = predictions.align({model: table}, dataset["validation"].ids)[0]
    chosen = probabilities[:, columns].argmax(axis=1)
    return dataset["validation"].targets[np.arange(len(chosen)), np.array(columns)[chosen]][np.newaxis] > 0


# The table


def lines(found: dict) -> Iterator[str]:
    """Tell the figures of one kind of photos in Markdown."""
    yield f"## {found['kind'].capitalize()}\n"
    yield f"Boxes found {found['found']:.1%} of the things: their intersection over union with what was drawn is above"
    yield f"{FOUND}. It is {found['overlap']:.2f} on average.\n"
    yield f"| features | {GROUPS[found['kind']][0]}, top-1 | 95% interval | less whole | 95% interval, paired |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for model, name in MODELS.items():
        row = found[model]
        yield f"| {name} | {row['top-1']:.3f} | {row['interval']} | {row['gain']:+.3f} | {row['gain interval']} |"
    yield ""


@click.command()
@click.option("--train", default=PHOTOS["train"], help="Photos to train on.")
@click.option("--validation", default=PHOTOS["validation"], help="Photos to judge by.")
def main(train: int, validation: int) -> None:
    """Draw both sets, measure, print a table and a line of JSON."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    photos = {**PHOTOS, "train": train, "validation": validation}
    machine.load_keras()
    print("# Cropping\n")
    print(f"`python -m benchmarks.cropping`, {machine.processor()}: {train} photos to train on, {validation} to judge")
    print("by in each set.\n")
    figures = []
    for kind in GROUPS:
        with tempfile.TemporaryDirectory() as folder:
            figures.append(measure(kind, pathlib.Path(folder), photos))
        print("\n".join(lines(figures[-1])), flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
