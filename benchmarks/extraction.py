"""Xception's features at 299 pixels from JPEG files, photos a second: as MLoB extracted them, and as mlob does.

    python -m benchmarks.extraction

draws its own photos (600 x 800, noisy) and measures three things, each in a process of its own: team MLoB's loop, read
generously, as the baseline (Pillow in the main thread, batches of 32, float32 TensorFlow [MLoB]); mlob, from files to
shards, with each runtime and precision; the runtime alone, on arrays. Then a detector of the usual size, made up, from
files to shards and boxes. Medians of three; loading and compiling are not counted.
"""

import concurrent.futures
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np

from mlob import machine
from mlob.data import images
from mlob.features import backbones, extract, forms, pipeline, plan, runtimes, store, weights
from mlob.recipes import Detector, FeatureSet, Size

PHOTOS, WIDTH, HEIGHT, RUNS, MLOBS_BATCH = 256, 600, 800, 3, 32
SSD, CLASSES, BOXES, ANCHORS = 300, 20, 100, 6  # pixels a side; classes, boxes a photo, boxes at each place of a map
OURS = ("keras-float32", *(f"openvino-{precision}" for precision in ("float32", "bfloat16", "int8")))


def draw(folder: pathlib.Path, count: int) -> None:
    """Draw photos: smooth colours under the noise of a camera, about 130 KB a photo."""
    from PIL import Image

    def draw_photo(number: int) -> None:
        drawn = np.random.default_rng(number)
        coarse = Image.fromarray(drawn.integers(0, 256, (12, 9, 3), np.uint8)).resize(
            (WIDTH, HEIGHT), Image.Resampling.BICUBIC
        )
        noisy = np.asarray(coarse, np.float32) + drawn.normal(0, 8, (HEIGHT, WIDTH, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number:05d}.jpg", quality=85)

    folder.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(machine.cores()) as threads:
        list(threads.map(draw_photo, range(count)))


# The measurements: each gives a dict, in a process of its own


def baseline(photos: list[pathlib.Path], feature_set: FeatureSet, source: weights.Source, call: str) -> dict[str, Any]:
    """MLoB's loop; `call` names the method of the Keras model that it calls on a batch."""
    from PIL import Image

    model = forms.Forms(feature_set, source, pathlib.Path()).model("float32")
    size = backbones.side(feature_set)
    options = {"verbose": 0} if call == "predict" else {}

    def run() -> np.ndarray:
        rows: list[np.ndarray] = []
        for start in range(0, len(photos), MLOBS_BATCH):
            batch = []
            for path in photos[start : start + MLOBS_BATCH]:
                with Image.open(path) as image:
                    batch.append(np.asarray(images._letterboxed(image.convert("RGB"), size)))
            rows.extend(getattr(model, call)(np.stack(batch), **options))
        return np.stack(rows)

    getattr(model, call)(np.zeros((MLOBS_BATCH, size, size, 3), np.uint8), **options)  # compiles
    seconds, rows = _timed(run)
    return {"images_per_second": len(photos) / seconds, "rows": rows}


def ours(
    photos: list[pathlib.Path],
    feature_set: FeatureSet,
    source: weights.Source,
    choice: runtimes.Choice,
    folder: pathlib.Path,
) -> dict[str, Any]:
    """Extract from files to shards, then run the runtime alone on ready arrays."""
    work = extract.Extraction(feature_set, source, folder, plan.fingerprint(feature_set, source, choice))
    ids = tuple(path.stem for path in photos)
    path = store.shard_path(folder / "0001", 0)
    slices = [pipeline.Slice(ids, photos, {"set": path})]

    def make() -> None:
        path.unlink(missing_ok=True)  # what is there is not made again
        extract.make_slices({"set": work}, False, slices, lambda count: None)

    make()  # compiles
    seconds, _ = _timed(make)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    run = work.extractor().run
    ready = np.stack([images.decode(path.read_bytes(), backbones.side(feature_set)) for path in photos])
    alone, rows = _timed(lambda: run(ready))
    rates = {"images_per_second": len(photos) / seconds, "model_only_images_per_second": len(photos) / alone}
    return {**rates, "peak_rss_mb": peak, "rows": rows}


def quantise(
    photos: list[pathlib.Path], feature_set: FeatureSet, source: weights.Source, folder: pathlib.Path
) -> dict[str, Any]:
    """Write the int8 form, calibrated on the last of the photos."""
    size = backbones.side(feature_set)
    sample = [images.decode(path.read_bytes(), size) for path in photos[-extract.CALIBRATION :]]
    forms.Forms(feature_set, source, folder).write_int8(np.stack(sample))
    return {"rows": np.zeros((0, 1))}


def write_detector(path: pathlib.Path) -> FeatureSet:
    """Write a detector with the arithmetic of SSD on MobileNet (Liu et al. 2016), and weights drawn by chance.

    Its boxes come from the two largest maps, and are not suppressed: the best 100 are as many objects.
    """
    import keras

    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNet(input_shape=(SSD, SSD, 3), include_top=False, weights=None)
    maps = (network.get_layer(f"conv_pw_{number}_relu").output for number in (11, 13))
    heads = [keras.layers.Conv2D(ANCHORS * (4 + CLASSES), 3, padding="same")(each) for each in maps]
    found = keras.layers.Concatenate(axis=1)([keras.layers.Reshape((-1, 4 + CLASSES))(head) for head in heads])
    centre, half = keras.ops.sigmoid(found[..., :2]), keras.ops.sigmoid(found[..., 2:4]) / 4
    best, numbers = keras.ops.top_k(keras.ops.sigmoid(found[..., 4:]), 1)
    rows = keras.ops.concatenate([centre - half, centre + half, best, keras.ops.cast(numbers, "float32")], axis=-1)
    _, order = keras.ops.top_k(best[..., 0], BOXES)
    model = runtimes.convert(keras.Model(network.input, keras.ops.take_along_axis(rows, order[..., None], axis=1)))
    model.output(0).get_tensor().set_names({"rows"})
    runtimes.load_openvino().save_model(model, path, False)
    made = Detector(str(path), SSD, CLASSES, outputs=("rows",), mean=(127.5,), scale=(127.5,), most=BOXES)
    return FeatureSet("detector", detector=made)


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Give the median of three times and the last result."""
    seconds = []
    for _ in range(RUNS):
        started = time.monotonic()
        result = run()
        seconds.append(time.monotonic() - started)
    return statistics.median(seconds), result


def measure(
    kind: str, photos: list[pathlib.Path], feature_set: FeatureSet, given: str | None, folder: pathlib.Path
) -> dict[str, float]:
    """Measure one thing in this process: {figure: value}; the features go to <folder>/<kind>.npy."""
    machine.load_keras()
    source = weights.at_hand(feature_set, given) or weights.download(feature_set)
    if kind == "detector":
        feature_set = write_detector(folder / "ssd.xml")
        figures = ours(photos, feature_set, weights.at_hand(feature_set), forms.Finder.choice, folder / kind)
    elif kind == "quantise":
        figures = quantise(photos, feature_set, source, folder)
    elif "-" in kind:
        figures = ours(photos, feature_set, source, runtimes.Choice(*kind.split("-")), folder)
    else:
        figures = baseline(photos, feature_set, source, kind)
    np.save(folder / f"{kind}.npy", figures.pop("rows"))
    return figures


# The comparison


Figures = dict[str, str | float]  # of one runtime, as a line of the table and the last line hold them


def compare(measured: dict[str, dict[str, float]], folder: pathlib.Path) -> tuple[Figures, dict[str, Figures]]:
    """Give the figures of the fastest runtime that keeps the features, and those of each: {runtime: figures}."""
    exact = np.load(folder / "predict_on_batch.npy")
    cosines = {kind: runtimes.least_cosine(exact, np.load(folder / f"{kind}.npy")) for kind in measured if "-" in kind}
    faithful = [kind for kind, cosine in cosines.items() if cosine >= runtimes.LEAST_COSINE]
    best = max(faithful, key=lambda kind: measured[kind]["images_per_second"])
    return _figures(best, measured, cosines[best]), {kind: _figures(kind, measured, cosines[kind]) for kind in cosines}


def _figures(kind: str, measured: dict[str, dict[str, float]], cosine: float) -> Figures:
    own, base = measured[kind], measured["predict_on_batch"]["images_per_second"]
    return {
        "runtime": kind,
        "images_per_second": round(own["images_per_second"], 2),
        "baseline_images_per_second": round(base, 2),
        "predict_images_per_second": round(measured["predict"]["images_per_second"], 2),
        "ratio": round(own["images_per_second"] / base, 2),
        "model_only_images_per_second": round(own["model_only_images_per_second"], 2),
        "of_model_only": round(own["images_per_second"] / own["model_only_images_per_second"], 3),
        "peak_rss_mb": round(own["peak_rss_mb"]),
        "cosine": round(cosine, 6),
    }


def table(rows: dict[str, Figures], detector: dict[str, float]) -> str:
    """Lay the figures of each runtime out as text, and of the detector below them."""
    first = next(iter(rows.values()))
    lines = [
        machine.processor(),
        f"baseline, predict_on_batch: {first['baseline_images_per_second']:.1f} photos/s; "
        f"predict, as MLoB had it: {first['predict_images_per_second']:.1f}",
        f"{'':18}{'photos/s':>10}{'ratio':>8}{'alone':>8}{'of it':>8}{'peak MB':>9}{'cosine':>10}",
    ]
    for kind, figures in rows.items():
        lines.append(
            f"{kind:18}{figures['images_per_second']:10.1f}{figures['ratio']:8.2f}"
            f"{figures['model_only_images_per_second']:8.1f}{figures['of_model_only']:8.2f}"
            f"{figures['peak_rss_mb']:9,}{figures['cosine']:10.6f}"
        )
    whole, alone = detector["images_per_second"], detector["model_only_images_per_second"]
    lines.append(f"{'detector':18}{whole:10.1f}{'':8}{alone:8.1f}{whole / alone:8.2f}{detector['peak_rss_mb']:9,.0f}")
    return "\n".join(lines)


@click.command()
@click.option("--count", default=PHOTOS, show_default=True, help="Photos.")
@click.option("--photos", type=click.Path(path_type=pathlib.Path), help="A folder of JPEGs, instead of drawn ones.")
@click.option("--weights", "given", help="As WEIGHTS=; random weights without it.")
@click.option("--backbone", default="xception", show_default=True)
@click.option("--size", default="large", show_default=True)
@click.option("--layer", default="last", show_default=True, help="Where the network is cut.")
@click.option("--only", hidden=True, help="Measure this in this process.")
@click.option("--folder", type=click.Path(path_type=pathlib.Path), hidden=True)
def main(
    count: int,
    photos: pathlib.Path | None,
    given: str | None,
    backbone: str,
    size: Size,
    layer: str,
    only: str | None,
    folder: pathlib.Path | None,
) -> None:
    """Extract Xception's features: MLoB's way, and ours with each runtime and precision."""
    feature_set = FeatureSet(backbone, size, layer=layer, weights="imagenet" if given else "random")
    if only and photos and folder:
        paths = sorted(photos.glob("*.jpg"))[:count]
        print(json.dumps(measure(only, paths, feature_set, given, folder)))
        return
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        if not photos:
            photos = folder / "photos"
            draw(photos, count)
        asked = {"count": count, "photos": photos, "weights": given, "backbone": backbone, "size": size, "layer": layer}
        _compare({**asked, "folder": folder})


def _compare(asked: dict[str, Any]) -> None:
    options = [part for name, value in asked.items() if value for part in (f"--{name}", str(value))]
    measured = {}
    for kind in ("predict_on_batch", "predict", "quantise", *OURS, "detector"):
        command = [sys.executable, "-m", "benchmarks.extraction", *options, "--only", kind]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        measured[kind] = json.loads(done.stdout.splitlines()[-1])
    best, rows = compare(measured, asked["folder"])
    print(table(rows, measured["detector"]))
    print(json.dumps({**best, "detector_images_per_second": round(measured["detector"]["images_per_second"], 2)}))


if __name__ == "__main__":
    main()
