"""Fine-tuning the last blocks of MobileNet 224 and Xception 299, photos a second: MLoB's loop, and mlob's two ways.

    python -m benchmarks.finetuning

draws its own photos, targets and weights. What learns is what MLoB's last phase taught: the last 17 of MobileNet's 86
layers or of Xception's 132, and the top, by SGD (rate 1e-4, Nesterov's momentum 0.9), in batches of 64. Three ways:

- baseline: MLoB's loop, read generously. A generator reads JPEG files one by one with Pillow, divides by 255 and
  appends the targets, and `fit` takes its batches with one worker, a thread that reads ahead. Every step runs all
  layers, in float32. The files have the network's size, as MLoB's downloader left them. Left out is what only made
  the loop slower: a scan of a million rows of the table for each photo, and batches in float64.
- pixels: mlob on a store of pixels. Every step runs all layers, too.
- maps: mlob on a store of the maps that leave the frozen layers; steps run the layers above them. The same weights
  learn from the same photos.

A pass over the photos takes the seconds of its steps, and its share of those that the store took: the store is made of
the same files, once for all passes. MLoB's whole schedule was 3.58 of them (56,800 batches of 64 of 1,014,544 photos).

Each way is a process of its own, kept alive and asked for one round after another, A B C A B C, so that whatever else
the machine does meets all of them. A round is a pass. Figures are medians over rounds; an interval holds 95% of the
medians of rounds drawn again (Efron and Tibshirani 1993).
"""

import contextlib
import dataclasses
import functools
import json
import math
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from benchmarks import extraction, gpu
from mlob import machine
from mlob.features import backbones
from mlob.recipes import Experiment, FeatureSet, Head, Network, Phase, Size, Training

if TYPE_CHECKING:
    import keras

    from mlob.features import weights
    from mlob.training.learner import Learner

BATCH, LABELS, POSITIVE = 64, 228, 0.026  # the share of the labels that a photo of iMaterialist has
PASSES = (3.58, 10)  # MLoB's, and more
WINDOW = 2  # batches of a streamed store that are in memory at once: an epoch has several such windows
DRAWS = 10_000
SGD = Phase("17", optimizer="sgd", learning_rate=1e-4, momentum=0.9, nesterov=True, schedule="constant", epochs=10**6)
PLAIN = Head(units=(), signed_sqrt=False, standardise=False, dropout=0.0, prior_bias=False)

Row = dict[str, float]  # figures of one round


@dataclasses.dataclass(frozen=True)
class Case:
    """A network that is fine-tuned.

    Attributes:
        backbone: a name in `backbones.BACKBONES`.
        size: of its input.
        frozen: the layer whose map leaves the frozen ones.
        head: MLoB's top, but for MobileNet's dropout of a thousandth.
        steps: of a round.
    """

    backbone: str
    size: Size
    frozen: str
    head: Head
    steps: int

    @property
    def pixels(self) -> int:
        """Side of the photos."""
        return backbones.pixels(self.size)


CASES = {
    "mobilenet": Case("mobilenet", "small", "conv_dw_11_relu", PLAIN, 6),
    "xception": Case("xception", "large", "add_10", dataclasses.replace(PLAIN, units=(1024,)), 2),
}


# What all ways begin with


def write(folder: pathlib.Path, case: Case, batch: int) -> None:
    """Draw a round's photos of the network's size, targets and weights into a folder."""
    from mlob.data import images

    count = case.steps * batch
    extraction.draw(folder / "drawn", count)
    (folder / "photos").mkdir()
    for path in (folder / "drawn").iterdir():
        (folder / "photos" / path.name).write_bytes(images.prepared(path.read_bytes(), case.pixels, 10**6))
    targets = np.random.default_rng(0).random((count, LABELS)) < POSITIVE
    np.save(folder / "targets.npy", targets.astype(np.uint8))
    network = backbones.build(FeatureSet(case.backbone, case.size))
    gpu.make_up_weights(network)
    network.save_weights(weights_of(folder))


def weights_of(folder: pathlib.Path) -> pathlib.Path:
    """Give the file of the weights."""
    return folder / "made_up.weights.h5"


def photos_of(folder: pathlib.Path) -> list[pathlib.Path]:
    """List the photos."""
    return sorted((folder / "photos").iterdir())


# The ways: each yields the figures of a round when it is asked for the next; the first round compiles


def baseline(case: Case, folder: pathlib.Path, batch: int) -> Iterator[Row]:
    """Train by MLoB's loop."""
    model = mlobs_model(case, weights_of(folder))
    photos, targets = photos_of(folder), np.load(folder / "targets.npy")
    while True:
        started, reading = _now(), [0.0]
        made = mlobs_generator(photos, targets, batch, case.pixels, reading)
        model.fit(made, steps_per_epoch=case.steps, epochs=1, shuffle=False, verbose=0)
        yield {**_since(started), "reading": sum(reading)}


def mlobs_generator(
    photos: list[pathlib.Path], targets: np.ndarray, batch: int, pixels: int, reading: list[float]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield a pass of MLoB's batches, float32 photos from 0 to 1 and their targets; note the seconds of each."""
    from PIL import Image

    order = np.random.default_rng().permutation(len(photos))
    for rows in order.reshape(-1, batch):
        started = time.monotonic()
        seen = np.empty((batch, pixels, pixels, 3), np.float32)
        for place, row in enumerate(rows):
            with Image.open(photos[row]) as image:
                seen[place] = np.asarray(image.convert("RGB"))
        seen /= 255
        reading.append(time.monotonic() - started)
        yield seen, targets[rows].astype(np.float32)


def mlobs_model(case: Case, path: pathlib.Path) -> "keras.Model":
    """Build the network with MLoB's top; the layers that MLoB froze are frozen."""
    import keras

    network = backbones.build(FeatureSet(case.backbone, case.size))
    network.load_weights(path)
    for layer in network.layers[: -int(SGD.unfreeze)]:
        layer.trainable = False
    x = keras.layers.GlobalAveragePooling2D()(network.output)
    for units in case.head.units:
        x = keras.layers.Dense(units, activation="relu")(x)
    model = keras.Model(network.input, keras.layers.Dense(LABELS, activation="sigmoid")(x))
    optimizer = keras.optimizers.SGD(SGD.learning_rate, momentum=SGD.momentum, nesterov=SGD.nesterov)
    model.compile(optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    return model


def on_pixels(case: Case, folder: pathlib.Path) -> tuple[FeatureSet, Phase]:
    """Give the feature set of a store of pixels, and the phase that trains on it."""
    return FeatureSet(backbones.PIXELS, case.size, pool="grid"), SGD


def on_maps(case: Case, folder: pathlib.Path) -> tuple[FeatureSet, Phase]:
    """Give the feature set of the maps that leave the frozen layers, and the phase that trains what is above them."""
    reads = FeatureSet(case.backbone, case.size, case.frozen, "grid", weights=str(weights_of(folder)))
    return reads, dataclasses.replace(SGD, unfreeze="everything")


def ours(
    reading: Callable[[Case, pathlib.Path], tuple[FeatureSet, Phase]], case: Case, folder: pathlib.Path, batch: int
) -> Iterator[Row]:
    """Make a store and train on it, by mlob's own steps, in each round."""
    from mlob.features import weights

    reads, phase = reading(case, folder)
    source = weights.at_hand(reads)
    assert source
    make = functools.partial(_make_store, *_extractor(reads, source, photos_of(folder), folder / reads.backbone))
    make()
    learner = _learner(case, folder, batch, reads, phase)
    while True:
        started = _now()
        make()
        making, steps, waiting, started = _since(started), learner.steps_seconds, learner.waiting_seconds, _now()
        learner.run_epoch(lambda count=1, note="": None)
        trained = _since(started) | {"seconds": learner.steps_seconds - steps}
        made = {f"store_{name}": figure for name, figure in making.items()}
        yield {**trained, **made, "waiting": learner.waiting_seconds - waiting}


def _make_store(work: Any, slices: list[Any]) -> None:
    """Make a store's only shard anew."""
    from mlob.features import extract

    for path in slices[0].shards.values():
        path.unlink(missing_ok=True)
    extract.make_slices({"set": work}, False, slices, lambda count: None)


def _extractor(
    reads: FeatureSet, source: "weights.Source", photos: list[pathlib.Path], folder: pathlib.Path
) -> tuple[Any, list[Any]]:
    """Settle how a store is made, as `mlob features` does: what makes it, and its only slice."""
    from mlob.data import images
    from mlob.features import extract, forms, pipeline, plan, runtimes, store

    made = forms.of(reads, source, folder)
    if not isinstance(made, forms.Forms):
        choice = made.choice
    else:
        sample = [images.decode(path.read_bytes(), backbones.side(reads)) for path in photos[: extract.SAMPLE]]
        choice = runtimes.choose(reads, made.runner, np.stack(sample))
    work = extract.Extraction(reads, source, folder, plan.fingerprint(reads, source, choice))
    path = store.shard_path(folder / "train", 0)
    return work, [pipeline.Slice(tuple(photo.stem for photo in photos), photos, {"set": path})]


def _learner(case: Case, folder: pathlib.Path, batch: int, reads: FeatureSet, phase: Phase) -> "Learner":
    """Begin to train a network on a store that is streamed."""
    from mlob.data.dataset import Split
    from mlob.features import weights
    from mlob.models.beginning import Beginning
    from mlob.training import batches
    from mlob.training.learner import Facts, Learner

    ids, targets = tuple(photo.stem for photo in photos_of(folder)), np.load(folder / "targets.npy")
    rows = batches.read([folder / reads.backbone], Split("train", ids, ((),) * len(ids), targets))
    row_bytes = (rows.features.nbytes + targets.nbytes) // len(ids)
    memory = row_bytes * batch * (batches.CHUNKS + 2 * WINDOW)
    train = batches.Labelled(rows.ids, rows.features, targets, memory)
    dev = train.take(np.arange(len(ids)) < 1).resident()
    extractor = FeatureSet(case.backbone, case.size, weights=str(weights_of(folder)))
    network, training = Network("made", phases=(phase,)), Training(batch=batch, precision="auto")
    experiment = Experiment(("made",), case.head, training, network=network)
    return Learner(experiment, train, dev, None, Beginning(reads, extractor, weights.at_hand(extractor)), Facts([]))


def _now() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


def _since(started: tuple[float, float]) -> Row:
    """Give the seconds since then, and those of all processors."""
    seconds, processor_seconds = np.subtract(_now(), started).tolist()
    return {"seconds": seconds, "processor_seconds": processor_seconds}


# The rounds

WAYS: dict[str, Callable[[Case, pathlib.Path, int], Iterator[Row]]] = {
    "baseline": baseline,
    "pixels": functools.partial(ours, on_pixels),
    "maps": functools.partial(ours, on_maps),
}


def serve(kind: str, case: Case, folder: pathlib.Path, batch: int) -> None:
    """Run a way in this process: a line of figures a round, as long as there is a line on stdin that asks for one."""
    machine.load_keras()
    for figures in WAYS[kind](case, folder, batch):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**figures, "peak_rss_mb": peak}), flush=True)
        if not sys.stdin.readline():
            return


def measure(command: list[str], rounds: int) -> dict[str, list[Row]]:
    """Start a process for each way, and run rounds in turn: {kind: figures of each round}, compilation left out."""
    with contextlib.ExitStack() as stack:
        processes = {}
        for kind in WAYS:
            started = subprocess.Popen([*command, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            processes[kind] = stack.enter_context(started)
            _answer(started)
        measured: dict[str, list[Row]] = {kind: [] for kind in WAYS}
        for _ in range(rounds):
            for kind, process in processes.items():
                assert process.stdin
                process.stdin.write("again\n")
                process.stdin.flush()
                measured[kind].append(_answer(process))
        return measured


def _answer(process: "subprocess.Popen[str]") -> Row:
    """Read the figures of a round.

    Raises:
        click.ClickException: the process ended before.
    """
    assert process.stdout
    for line in process.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise click.ClickException(f"{process.args!r} ended without figures.")


# The comparison


def summary(measured: dict[str, list[Row]], photos: int) -> dict[str, dict[str, Any]]:
    """Give the figures of each way, as the last line holds them."""
    return {kind: _figures(rows, measured["baseline"], photos) for kind, rows in measured.items()}


def _figures(rows: list[Row], base: list[Row], photos: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"photos_per_second": round(photos / float(np.median(_seconds(rows))), 2)}
    if rows is not base:
        making = np.array([row["store_seconds"] for row in rows])
        figures["store_photos_per_second"] = round(photos / float(np.median(making)), 1)
        figures["waiting"] = round(float(np.median([row["waiting"] / row["seconds"] for row in rows])), 4)
        for passes in PASSES:
            figures[f"photos_per_second_of_{passes}_passes"] = round(
                photos / float(np.median(_seconds(rows, passes))), 2
            )
            for name, of in (("ratio", ""), ("processor_ratio", "processor_")):
                ratios = _seconds(base, of=of) / _seconds(rows, passes, of)
                figures[f"{name}_of_{passes}_passes"] = _with_interval(ratios)
    return {**figures, "peak_rss_mb": round(max(row["peak_rss_mb"] for row in rows))}


def _seconds(rows: list[Row], passes: float = math.inf, of: str = "") -> np.ndarray:
    """Give the seconds of a pass in each round, float64 (rounds,), with its share of the making of the store."""
    return np.array([row[f"{of}seconds"] + row.get(f"store_{of}seconds", 0) / passes for row in rows])


def _with_interval(ratios: np.ndarray) -> list[float]:
    """Give the median and the ends of its 95% interval."""
    drawn = np.random.default_rng(0).choice(ratios, (DRAWS, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return [round(float(figure), 2) for figure in (np.median(ratios), low, high)]


def table(name: str, figures: dict[str, dict[str, Any]]) -> str:
    """Lay the figures of a network out as a Markdown table."""
    columns = ["photos/s of steps", "of the store", *(f"of {passes} passes" for passes in PASSES)]
    columns += [f"ratio, {passes} passes (95%)" for passes in PASSES]
    columns += [f"ratio of processor seconds, {PASSES[0]} passes", "waiting", "peak MB"]
    lines = [[name, *columns], ["---", *["---:"] * len(columns)]]
    for kind, own in figures.items():
        cells = [own["photos_per_second"], own.get("store_photos_per_second", "")]
        cells += [own.get(f"photos_per_second_of_{passes}_passes", cells[0]) for passes in PASSES]
        cells += [_shown(own.get(f"ratio_of_{passes}_passes")) for passes in PASSES]
        cells += [_shown(own.get(f"processor_ratio_of_{PASSES[0]}_passes"))]
        cells += [f"{own['waiting']:.1%}" if "waiting" in own else "", f"{own['peak_rss_mb']:,}"]
        lines.append([kind, *map(str, cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(ratio: list[float] | None) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(*ratio) if ratio else "1"


@click.command()
@click.option("--network", "names", type=click.Choice([*CASES]), multiple=True, help="These alone.")
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1), help="Of each way.")
@click.option("--tiny", is_flag=True, help="MobileNet, two rounds of two photos a step: figures mean nothing.")
@click.option("--only", type=click.Choice([*WAYS]), hidden=True, help="Run this way in this process.")
@click.option("--folder", type=click.Path(path_type=pathlib.Path), hidden=True)
def main(names: tuple[str, ...], rounds: int, tiny: bool, only: str | None, folder: pathlib.Path | None) -> None:
    """Fine-tune the last blocks of networks: MLoB's loop, on pixels, and on maps."""
    names, batch = (("mobilenet",), 2) if tiny else (names or (*CASES,), BATCH)
    if only and folder:
        serve(only, CASES[names[0]], folder, batch)
        return
    machine.load_keras()
    figures = {}
    print(machine.processor())
    for name in names:
        with tempfile.TemporaryDirectory() as made:
            write(pathlib.Path(made), CASES[name], batch)
            options = ["--network", name, "--folder", made, *(["--tiny"] if tiny else [])]
            command = [sys.executable, "-m", "benchmarks.finetuning", *options, "--only"]
            measured = measure(command, 2 if tiny else rounds)
        figures[name] = summary(measured, CASES[name].steps * batch)
        print(f"\n{table(name, figures[name])}", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
