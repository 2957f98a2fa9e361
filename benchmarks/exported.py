"""Whether models that have left label photos as submission.csv does, without mlob.

    python -m benchmarks.exported --suite demo
    python -m benchmarks.exported --suite fashion_products --data data/fashion-products --format onnx

exports the suite's ensemble in each format that is asked for (what is there is taken), and has all test photos labelled
by it: in a process of its own, with Pillow and the format's runtime, one photo at a time. That process is started in
isolation (`python -I -P`) and refuses to have mlob loaded, or, but for the format keras, Keras.

submission.csv rests on features as the stores hold them, which may be of bfloat16; what has left computes in float32.
So mlob answers once more, in float32, on the photos whose labels differ: where it then gives the model's labels, the
stores' precision made the difference.
"""

import csv
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import click
import numpy as np

from mlob import exporting, machine
from mlob import workspace as places
from mlob.data import images
from mlob.exports import checking, parts
from mlob.exports.formats import FORMATS
from mlob.features import backbones
from mlob.runs import ensemble
from mlob.workspace import Workspace

SCRIPT = """
import importlib.metadata, json, pathlib, re, sys, time
import numpy as np
from PIL import Image, ImageOps

folder, listed, out = map(pathlib.Path, sys.argv[1:])
known = json.loads((folder / "labels.json").read_text("utf-8"))
side = int(re.search(r"\\((\\d+), ", known["input"]["is"])[1])


def keras(path):
    import keras

    return keras.saving.load_model(path).predict_on_batch


def onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda photo: session.run(None, {"photo": photo})[0]


def openvino(path):
    import openvino

    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda photo: model({0: photo})[0]


def litert(path):
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(path, num_threads=2)
    photo_at, answer_at = model.get_input_details()[0]["index"], model.get_output_details()[0]["index"]

    def run(photo):
        model.resize_tensor_input(photo_at, photo.shape)
        model.allocate_tensors()
        model.set_tensor(photo_at, photo)
        model.invoke()
        return model.get_tensor(answer_at)

    return run


def decoded(path):
    try:
        with Image.open(path) as image:
            image.draft("RGB", (side, side))
            image = ImageOps.exif_transpose(image)
            if image.has_transparency_data:
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            return np.asarray(image.convert("RGB"))[np.newaxis]
    except OSError:
        return None


run, rows, seconds = globals()[known["format"]](str(folder / known["files"][0])), {}, 0.0
for name, path in json.loads(listed.read_text("utf-8")).items():
    photo = decoded(path)
    started = time.monotonic()
    rows[name] = None if photo is None else np.asarray(run(photo))[0].tolist()
    seconds += time.monotonic() - started
assert "mlob" not in sys.modules and ("keras" in sys.modules) == (known["format"] == "keras"), "not without them"
given = {}
for name, row in rows.items():
    if row is not None:
        row = np.float32(row)
        is_given = row >= np.float32(known["thresholds"])
        for columns in known["one_each"]:
            is_given[columns] = np.arange(len(columns)) == row[columns].argmax()
        given[name] = [str((known["ids"] or range(len(row)))[column]) for column in np.flatnonzero(is_given)]
out.write_text(json.dumps({"given": given, "probabilities": rows, "seconds": seconds}), "utf-8")
"""


def labelled(folder: pathlib.Path, photos: dict[str, str]) -> dict:
    """Label photos, {id: path}, by the model in a folder, in a process without mlob: what `SCRIPT` writes."""
    with tempfile.TemporaryDirectory() as made:
        script, listed, out = (pathlib.Path(made) / name for name in ("label.py", "photos.json", "given.json"))
        script.write_text(SCRIPT, "utf-8")
        listed.write_text(json.dumps(photos), "utf-8")
        command = [sys.executable, "-I", "-P", str(script), str(folder.resolve()), str(listed), str(out)]
        subprocess.run(command, check=True, cwd=made, stderr=subprocess.DEVNULL)
        return json.loads(out.read_text("utf-8"))


def submitted(path: pathlib.Path) -> dict[str, list[str]]:
    """Read submission.csv of the usual form: {id: labels}."""
    with path.open(newline="", encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    return {name: labels.split() for name, labels in rows}


def in_float32(work: Workspace, photos: dict[str, str], side: int) -> dict[str, list[str]]:
    """Have mlob label photos, {id: path}, with Keras in float32: {id: labels}."""
    if not photos:
        return {}
    whole = parts.of_ensemble(work)
    pixels = [images.whole(pathlib.Path(path).read_bytes(), side) for path in photos.values()]
    answers, _ = checking.in_float32(whole, *parts.loaded(whole), pixels)
    ids = [str(each) for each in (whole.labels.ids if whole.labels.ids_are_own else range(len(whole.labels)))]
    given = [[ids[column] for column in np.flatnonzero(row)] for row in answers.decided]
    return dict(zip(photos, given, strict=True))


def row(work: Workspace, name: str, known_in_float32: dict[str, list[str]]) -> str:
    """Compare one format's labels of test with submission.csv: a row of the table.

    Args:
        work: the suite.
        name: of the format.
        known_in_float32: labels of photos by `in_float32`, to which what is asked for is added.
    """
    exporting.export(work, name, None)
    folder, home = work.run(places.EXPORT) / "ensemble" / name, work.run("ensemble")
    test = work.dataset["test"]
    photos = {
        photo: str(pathlib.Path(place).resolve())
        for photo, place in zip(test.ids, work.dataset.photos("test"), strict=True)
        if place
    }
    found, wanted = labelled(folder, photos), submitted(home / places.SUBMISSION)
    table, _ = ensemble.answers(home, "test")
    known = dict(zip(table.ids, table.probabilities, strict=True))
    given = found["given"]
    others = [photo for photo in given if set(given[photo]) != set(wanted[photo])]
    side = max(backbones.side(each.feature_set) for each in parts.of_ensemble(work).read.values())
    known_in_float32 |= in_float32(work, {each: photos[each] for each in others if each not in known_in_float32}, side)
    unexplained = sum(set(given[photo]) != set(known_in_float32[photo]) for photo in others)
    decisions = sum(len(set(given[photo]) ^ set(wanted[photo])) for photo in others)
    apart = np.array([np.abs(np.float32(found["probabilities"][photo]) - known[photo]).max() for photo in given])
    size = sum((folder / file).stat().st_size for file in FORMATS[name].files)
    return (
        f"| {work.name} | {name} | {size / 1e6:,.0f} MB | {len(given) / found['seconds']:.1f} | {len(given):,} | "
        f"{len(others):,} | {unexplained:,} | {decisions:,} of {len(given) * table.probabilities.shape[1]:,} | "
        f"{np.median(apart):.1g} | {apart.max():.1g} |"
    )


@click.command()
@click.option("--suite", default="demo", show_default=True, help="A folder of experiments/, whose submission is made.")
@click.option("--data", default=None, metavar="FOLDER", help="Data folder, instead of the suite's own.")
@click.option("--weights", default=None, metavar="PATH", help="Weights file, or a folder of them.")
@click.option("--format", "names", multiple=True, type=click.Choice(FORMATS), default=tuple(FORMATS), show_default=True)
def main(suite: str, data: str | None, weights: str | None, names: Sequence[str]) -> None:
    """Print the table."""
    answers = Workspace(suite, data, weights).run("ensemble") / places.SUBMISSION
    if not answers.is_file():
        raise click.ClickException(f"{answers} is missing: run `mlob submission --suite {suite}` first.")
    print(
        "| ensemble of | format | size | photos/s | photos | that differ | also in float32 | decisions that differ | "
        "median difference | largest |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    known: dict[str, list[str]] = {}
    for name in names:
        print(row(Workspace(suite, data, weights), name, known), flush=True)
    print(f"\nProcessor: {machine.processor()}.")


if __name__ == "__main__":
    main()
