"""What a GPU makes of mlob: arithmetic, extraction, heads, networks, thresholds and swarm, on KERAS_BACKEND's backend.

    KERAS_BACKEND=jax python -m benchmarks.gpu --log gpu.jsonl --markdown benchmarks/results/gpu.md

Photos, rows and weights are made up. Each step is a process of its own with a time limit; each figure is printed, and
appended to the log, as soon as it is known, so that a run that is cut off still tells something. The table is made from
all of the log, which may hold several backends. `--tiny` runs every step in seconds on any machine.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from benchmarks import ensembling, extraction, training
from mlob import machine
from mlob.features import backbones
from mlob.recipes import Experiment, FeatureSet, Head, Network, Phase, Training

if TYPE_CHECKING:
    import keras

    from mlob.features import pipeline
    from mlob.training.batches import Labelled
    from mlob.training.learner import Learner

NETWORKS = (
    *("xception", "inception_v3", "resnet50", "mobilenet", "densenet169", "efficientnet_v2_b0", "efficientnet_lite0"),
    *("mnasnet1_0", "wide_resnet50_2"),
)
COSINE_PHOTOS = 64  # on which half precision is compared with float32


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        side: of the matrices that are multiplied.
        networks: names of backbones.
        end_to_end: the one that runs from files.
        ready: photos that a runtime is timed on.
        drawn: photos on disk.
        photos: that an end-to-end run takes, each drawn one several times.
        rows: of an epoch.
        tuned: names of the backbones that are trained whole.
        tuned_photos: that they are trained on.
        tuned_pixels: side of these photos; 0 takes the network's own.
        batches: photos a step.
        judged: photos that thresholds and weights are fitted on.
        passes: over what is timed, after one that compiles; the fastest counts, since other work only ever adds.
        patience: by which the steps' time limits are multiplied.
    """

    side: int = 8192
    networks: tuple[str, ...] = NETWORKS
    end_to_end: str = "xception"
    ready: int = 2048
    drawn: int = 512
    photos: int = 16_384
    rows: int = training.ROWS
    tuned: tuple[str, ...] = ("mobilenet", "xception")
    tuned_photos: int = 4096
    tuned_pixels: int = 0
    batches: tuple[int, ...] = (128, 64)
    judged: int = ensembling.PHOTOS
    passes: int = 3
    patience: int = 1


Row = dict[str, Any]  # a measurement: "name" and figures, then the places below
Step = Callable[["Scale"], Iterator[Row]]
PLACE = ("card", "backend", "step")  # of a row, beside its name and figures
FULL = Scale()
TINY = Scale(256, ("mobilenet",), "mobilenet", 32, 8, 16, 2 * 8192, ("mobilenet",), 8, 32, (4,), 50, 1, 10)


# The steps: each yields dicts, a "name" and figures, in a process of its own


def device(scale: Scale) -> Iterator[Row]:
    """Name the processor and the packages, measure the card's matrix product and the copy of photos to it."""
    yield {"name": "machine", "processor": machine.processor(), **_versions()}
    for precision in ("float32", "bfloat16", "float16"):
        yield {"name": f"matrix product, {precision}", "tflops": round(_matmul_flops(scale, precision) / 1e12, 3)}
    yield {"name": "copy to the device", "gb_per_second": round(_copy_rate(scale) / 1e9, 2)}


def extract_ready(scale: Scale, network: str) -> Iterator[Row]:
    """Run one network on ready photos, in half precision and in float32, in the batch that was found."""
    from mlob.features import forms, runtimes, weights

    feature_set = _feature_set(network)
    extractor = forms.Forms(feature_set, weights.random(), pathlib.Path())
    pixels, rows = backbones.side(feature_set), {}
    photos = np.random.default_rng(0).integers(0, 256, (scale.ready, pixels, pixels, 3), np.uint8)
    for precision in ("float16", "float32"):
        started = time.monotonic()
        make_up_weights(extractor.model(precision))
        run = extractor.runner(runtimes.Choice("keras", precision))
        ready = time.monotonic() - started
        rate = len(photos) / _fastest(functools.partial(run, photos), scale.passes)
        rows[precision] = run(photos[:COSINE_PHOTOS])
        yield {
            "name": f"{network} {pixels}, {precision}",
            "photos_per_second": round(rate),
            "batch": run.batch,
            "tflops": round(rate * flop(extractor.model(precision)) / 1e12, 2),
            "seconds_before": round(ready, 1),
        }
    cosine = runtimes.least_cosine(rows["float32"], rows["float16"])
    yield {"name": f"{network} {pixels}, float16 against float32", "smallest_cosine": round(cosine, 6)}


def files(scale: Scale) -> Iterator[Row]:
    """Run one network from JPEG files to shards: prepared ones of its size, and photos of 600 x 800."""
    feature_set = _feature_set(scale.end_to_end)
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        for name, photos in _drawn(folder, feature_set, scale):
            rate = _decoding_rate(feature_set, photos, scale.photos)
            yield {"name": f"{name}, decoding alone", "photos_per_second": round(rate)}
            figures = _end_to_end(feature_set, photos, scale.photos, folder / "store" / name)
            yield {"name": f"{name}, {scale.end_to_end} to shards", **figures}


def head(scale: Scale) -> Iterator[Row]:
    """Train the mlp of benchmarks.training for an epoch: on rows made on the device, then on rows in host memory."""
    yield {"name": "rows made on the device", **_epoch_on_device(scale.rows)}
    yield {"name": "rows in host memory", **_epoch_from_host(scale.rows)}


def finetune(scale: Scale, network: str) -> Iterator[Row]:
    """Train a whole network, all layers unfrozen, by `mlob train`'s steps: on photos on the device, and in host memory.

    The hours are those of an epoch of as many photos as iMaterialist has.
    """
    from mlob.training import batches

    started, pixels = time.monotonic(), scale.tuned_pixels or backbones.side(_feature_set(network))
    learner = _learner(_feature_set(network), scale.tuned_photos, pixels)
    places = {"on the device": batches.on_device(learner.train), "in host memory": learner.train}
    yield {"name": f"{network} {pixels}, built", "seconds_before": round(time.monotonic() - started, 1)}
    for batch, (where, rows) in itertools.product(scale.batches, places.items()):
        first, seconds, loss = _passes(learner, rows, batch, scale.passes)
        rate = scale.tuned_photos / seconds
        yield {
            "name": f"{network} {pixels}, batch {batch}, {where}, {learner.precision}",
            "photos_per_second": round(rate, 1),
            "tflops": round(3 * rate * flop(learner.model) / 1e12, 2),
            "hours_an_epoch": round(training.ROWS / rate / 3600, 3),
            "seconds_before": round(first, 1),
            "last_loss": round(loss, 4),
        }


def ensemble(scale: Scale) -> Iterator[Row]:
    """Time thresholds and swarm, which run in NumPy on the processor, whatever the device."""
    members, targets = ensembling.draw(scale.judged)
    for kind in (ensembling.exact_thresholds, ensembling.swarm_fitness, ensembling.pso):
        name = f"{kind.__name__.replace('_', ' ')}, on the processor"
        yield {"name": name, "seconds": round(kind(members, targets), 3)}


def steps(scale: Scale) -> dict[str, tuple[Step, float]]:
    """List the steps: {name: (generator of rows, seconds that it may take)}.

    Those whose figures have targets come first: they are known even where the card is lent for a short time.
    """
    networks = {
        f"extract {network}": (functools.partial(extract_ready, network=network), 90) for network in scale.networks
    }
    first, *others = networks
    return {
        "device": (device, 60),
        first: networks[first],
        "files": (files, 90),
        "head": (head, 90),
        **{f"finetune {network}": (functools.partial(finetune, network=network), 100) for network in scale.tuned},
        **{name: networks[name] for name in others},
        "ensemble": (ensemble, 60),
    }


# What the steps are made of


def _feature_set(network: str) -> FeatureSet:
    is_large = network in ("xception", "inception_v3")  # what they were made for
    return FeatureSet(network, "large" if is_large else "small", weights="random")


@functools.cache
def card() -> str:
    """Name card and driver as the driver does."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "no GPU"


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    import keras

    return {"versions": f"{keras.backend.backend()} {version(keras.backend.backend())}, keras {keras.__version__}"}


def _matmul_flops(scale: Scale, precision: str, products: int = 10) -> float:
    """Measure the matrix product on random numbers, FLOP a second: chained products, waited for at their end."""
    import keras

    side = scale.side
    matrix = keras.ops.cast(keras.random.normal((side, side), stddev=side**-0.5), precision)

    def chain() -> Any:
        product = matrix
        for _ in range(products):
            product = keras.ops.matmul(matrix, product)
        return product[:1, :1]

    return 2 * side**3 * products / _fastest(chain, scale.passes)


def _copy_rate(scale: Scale) -> float:
    """Measure the copy from host memory, bytes a second."""
    import keras

    data = np.random.default_rng(0).integers(0, 256, (4 * scale.side, scale.side), np.uint8)
    return data.nbytes / _fastest(lambda: keras.ops.convert_to_tensor(data)[:1, :1], scale.passes)


def _fastest(work: Callable[[], Any], passes: int) -> float:
    """Time work, whose result is waited for: the fewest seconds of some passes, after one that compiles."""
    import keras

    seconds = []
    for _ in range(1 + passes):
        started = time.perf_counter()
        keras.ops.convert_to_numpy(work())
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def make_up_weights(model: "keras.Model") -> None:
    """Draw kernels that keep the variance from layer to layer (He et al. 2015), so that half precision holds it.

    Keras's own starting values take a depthwise kernel for one over all channels, and fade to zero in 27 such layers.
    What is added to a residual is halved, or sixteen sums grow beyond float16.
    """
    generator = np.random.default_rng(0)
    for layer in model._flatten_layers():
        if any(type(node.operation).__name__ == "Add" for node in layer._outbound_nodes) and hasattr(layer, "gamma"):
            layer.gamma.assign(np.full(layer.gamma.shape, 0.5, np.float32))
    for _, kernels in _convolutions(model):
        for kernel in kernels:
            is_depthwise = kernel.shape[-1] == 1
            inputs = np.prod(kernel.shape[:2] if is_depthwise else kernel.shape[:-1])
            kernel.assign(generator.normal(0, (2 / inputs) ** 0.5, kernel.shape).astype(np.float32))


def flop(model: "keras.Model") -> int:
    """Count the operations of a network's convolutions on one photo, two to each multiplication and addition."""
    sizes = [(layer.output.shape[1:-1], kernel.shape) for layer, kernels in _convolutions(model) for kernel in kernels]
    return sum(2 * int(np.prod(places)) * int(np.prod(kernel)) for places, kernel in sizes)


def _convolutions(model: "keras.Model") -> "Iterator[tuple[keras.Layer, list[keras.Variable]]]":
    """Yield each layer that has kernels, with them."""
    for layer in model._flatten_layers():
        kernels = [weight for weight in layer.weights if "kernel" in weight.name]
        if kernels and not layer._layers:
            yield layer, kernels


def _drawn(folder: pathlib.Path, feature_set: FeatureSet, scale: Scale) -> Iterator[tuple[str, list[pathlib.Path]]]:
    """Draw photos of 600 x 800 and prepare them; yield a name and the paths, prepared ones first."""
    from mlob.data import images

    pixels = backbones.side(feature_set)
    extraction.draw(folder / "600 x 800", scale.drawn)
    prepared = folder / f"prepared {pixels}"
    prepared.mkdir()

    def prepare(path: pathlib.Path) -> None:
        (prepared / path.name).write_bytes(images.prepared(path.read_bytes(), pixels, 10**6))

    with concurrent.futures.ThreadPoolExecutor(machine.cores()) as threads:
        list(threads.map(prepare, (folder / "600 x 800").iterdir()))
    for kind in (prepared, folder / "600 x 800"):
        yield f"{kind.name} JPEGs", sorted(kind.iterdir())


@dataclasses.dataclass(frozen=True)
class Again:
    """A photo once more, as a different one: its bytes are followed by a number."""

    path: pathlib.Path
    number: int

    def read_bytes(self) -> bytes:
        """Read the file."""
        return self.path.read_bytes() + self.number.to_bytes(8, "big")


def _slices(photos: list[pathlib.Path], count: int, folder: pathlib.Path) -> "list[pipeline.Slice]":
    from mlob.features import pipeline, store

    places = store.slices([Again(photos[number % len(photos)], number) for number in range(count)])
    return [
        pipeline.Slice(tuple(f"{place.number}" for place in part), part, {"set": store.shard_path(folder, number)})
        for number, part in enumerate(places)
    ]


def _decoding_rate(feature_set: FeatureSet, photos: list[pathlib.Path], count: int) -> float:
    """Decode and drop: photos a second of all processors, without a network."""
    from mlob.features import pipeline, runtimes

    blind = runtimes.Runner(lambda photos: np.zeros((len(photos), 1), np.float32), 128, machine.has_gpu())
    slices, known = _slices(photos, count, pathlib.Path("unwritten")), {"set": pipeline.Known()}
    work = slices, {"set": pipeline.Extractor("whole", blind)}, backbones.side(feature_set)
    return _steady_rate(lambda advance: list(pipeline.make_shards(*work, known=known, advance=advance)))


def _end_to_end(
    feature_set: FeatureSet, photos: list[pathlib.Path], count: int, folder: pathlib.Path
) -> dict[str, float]:
    """Extract to shards: photos a second, and the seconds of each stage."""
    from mlob.features import extract, log, plan, runtimes, weights

    source = weights.random()
    precision = "float16" if machine.has_gpu() else "float32"
    fingerprint = plan.fingerprint(feature_set, source, runtimes.Choice("keras", precision))
    work = {"set": extract.Extraction(feature_set, source, folder, fingerprint)}
    rate = _steady_rate(
        lambda advance: extract.make_slices(work, False, _slices(photos, count, folder / "0001"), advance)
    )
    stages = {f"{stage}_seconds": round(spent, 2) for stage, spent in log.read(folder).stages.items()}
    return {"photos_per_second": round(rate), "photos": count, **stages}


def _steady_rate(run: Callable[[Callable[[int], None]], object]) -> float:
    """Run something with an `advance` to call: photos a second once a quarter of the calls is over.

    Before that networks are compiled, and processes started.
    """
    times, counts = [time.monotonic()], [0]

    def advance(count: int) -> None:
        times.append(time.monotonic())
        counts.append(count)

    run(advance)
    first = len(times) // 4
    return sum(counts[first + 1 :]) / (times[-1] - times[first])


def _epoch_on_device(rows: int) -> dict[str, float]:
    """Take an epoch's steps on rows that the device makes, with the labels of a linear teacher."""
    import keras

    from mlob.models import heads, losses
    from mlob.training import batches, schedule
    from mlob.training import steps as training_steps

    batch = training.TRAINING.batch
    shape = (batches.CHUNK // batch, batch, training.FEATURES)
    teacher = keras.random.normal((training.FEATURES, training.LABELS), stddev=training.FEATURES**-0.5, seed=0)

    def draw(seed: int) -> tuple[Any, Any]:
        features = keras.random.normal(shape, seed=seed)
        return keras.ops.cast(features, "float16"), keras.ops.cast(keras.ops.matmul(features, teacher) > 1, "uint8")

    features, targets = (keras.ops.convert_to_numpy(array)[0] for array in draw(0))
    model = heads.build(training.OURS.head, features, targets, "bfloat16")
    optimizer = schedule.optimizer(schedule.phases(training.OURS, rows)[-1], rows // batch)
    run = training_steps.compiled(heads.with_logits(model), optimizer, losses.binary, jit=True)
    started = time.monotonic()
    first = run(*draw(0)).mean()
    warm = time.monotonic() - started
    calls = rows // batches.CHUNK
    started = time.monotonic()
    for call in range(calls):
        last = run(*draw(1 + call)).mean()
    seconds = (time.monotonic() - started) * rows / (calls * batches.CHUNK)
    return _epoch(rows, seconds, warm, first, last)


def _epoch_from_host(rows: int) -> dict[str, float]:
    """Fit for two epochs on rows in host memory, as `mlob train` does; the second counts, with its look at dev."""
    from mlob.training import batches, fit

    distinct, ends = min(rows, 2 * batches.CHUNK), []
    features, targets = (np.resize(array, (rows, array.shape[1])) for array in training.draw("train", 0, distinct))
    train = batches.Labelled(np.arange(rows).astype(object), features, targets)
    dev = train.take(np.arange(rows) < batches.CHUNK)
    experiment = dataclasses.replace(training.OURS, training=dataclasses.replace(training.TRAINING, epochs=2))
    started = time.monotonic()
    fitted = fit.fit(experiment, train, dev, name="head", after_epoch=lambda history: ends.append(time.monotonic()))
    first, last = (row["loss"] for row in fitted.history)
    return _epoch(rows, ends[1] - ends[0], ends[0] - started, first, last)


def _learner(feature_set: FeatureSet, count: int, pixels: int) -> "Learner":
    """Give a network in training, on photos and targets made up."""
    from mlob.features import weights
    from mlob.models.beginning import Beginning
    from mlob.training import batches
    from mlob.training.learner import Facts, Learner

    drawn = np.random.default_rng(0)
    photos = drawn.integers(0, 256, (count, pixels, pixels, 3), np.uint8)
    targets = (drawn.random((count, training.LABELS)) < 0.03).astype(np.uint8)
    train = batches.Labelled(np.arange(count).astype(object), photos, targets)
    reads = FeatureSet(backbones.PIXELS, feature_set.size, pool="grid")
    head, tuned = Head(units=(), standardise=False), Training(precision="auto")
    experiment = Experiment(("made",), head, tuned, network=Network("made", phases=(Phase(schedule="constant"),)))
    dev = train.take(np.arange(count) < 1)
    return Learner(experiment, train, dev, None, Beginning(reads, feature_set, weights.random()), Facts([]))


def _passes(learner: "Learner", rows: "Labelled", batch: int, passes: int) -> tuple[float, float, float]:
    """Take steps on all rows: seconds of the first step, which compiles, and of the fastest pass, and the last loss."""
    from mlob.training import batches

    drawn, seconds, started = np.random.default_rng(0), [], time.monotonic()
    learner.run(*next(batches.epoch(rows, batch, drawn)))
    first = time.monotonic() - started
    for _ in range(passes):
        started = time.monotonic()
        losses = [learner.run(*chunk).mean() for chunk in batches.epoch(rows, batch, drawn)]
        seconds.append(time.monotonic() - started)
    return first, min(seconds), float(losses[-1])


def _epoch(rows: int, seconds: float, warm_up: float, first: float, last: float) -> dict[str, float]:
    return {
        "epoch_seconds": round(seconds, 2),
        "rows_per_second": round(rows / seconds),
        "seconds_before": round(warm_up, 1),
        "first_loss": round(float(first), 4),
        "last_loss": round(float(last), 4),
    }


# The command


def run_step(name: str, arguments: list[str], seconds: float) -> Iterator[Row]:
    """Run a step in a process of its own; yield its rows, and a last one where it was cut off or failed."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--only", name, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        for line in process.stdout or ():
            if line.startswith("{"):
                yield {"step": name, **json.loads(line)}
        timer.cancel()
    if process.returncode:
        killed = process.returncode == -signal.SIGKILL
        yield {"step": name, "name": name, "note": f"cut after {seconds:.0f} s" if killed else "failed"}


def measure(
    steps: dict[str, tuple[Step, float]], patience: float, arguments: list[str], seconds: float
) -> Iterator[Row]:
    """Run every step that begins within the seconds; yield its rows, and one for each step that was not begun."""
    end = time.monotonic() + seconds
    for name, (_, limit) in steps.items():
        left = end - time.monotonic()
        if left > 0:
            yield from run_step(name, arguments, min(patience * limit, left))
        else:
            yield {"step": name, "name": name, "note": "not begun: the time was over"}


def summary(row: Row) -> str:
    """Tell a row in one line."""
    figures = [f"{key} {_shown(value)}" for key, value in row.items() if key not in ("name", *PLACE)]
    return f"{row['backend']} {row['step']}: {row['name']}: {', '.join(figures)}"


def markdown(rows: Iterable[Row]) -> str:
    """Lay rows out as tables, one for each card, backend and kind of step; of rows with one name the last counts."""
    places: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        own = places.setdefault((row["card"], row["backend"], row["step"].split()[0]), {})
        own[row["name"]] = row
    parts = ["# A GPU", "`python -m benchmarks.gpu`, photos, rows and weights made up."]
    for place, own in places.items():
        parts += [f"## {', '.join(place)}", _table(own.values())]
    return "\n\n".join(parts) + "\n"


def _table(rows: Iterable[Row]) -> str:
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row if key not in PLACE))
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1)]
    lines += [[_shown(row.get(column, "")) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("_", " ")


def _chosen(scale: Scale, names: tuple[str, ...]) -> dict[str, tuple[Step, float]]:
    known = steps(scale)
    if unknown := [name for name in names if name not in known]:
        raise click.BadParameter(f"there is no step {unknown[0]!r}; there are: {', '.join(known)}")
    return {name: step for name, step in known.items() if name in names or not names}


def _shown(value: Any) -> Any:
    return f"{value:,}" if isinstance(value, int | float) else value


def with_share(row: Row, rows: list[Row]) -> Row:
    """Add to a network's row its rate as a share of the matrix product on that card, in that precision."""
    if "photos_per_second" not in row or "tflops" not in row:
        return row
    product = {**{key: row[key] for key in PLACE}, "step": "device"}
    product["name"] = f"matrix product, {row['name'].rpartition(', ')[2]}"
    known = [other["tflops"] for other in rows if product.items() <= other.items()]
    return {**row, "of_matrix_product": round(row["tflops"] / known[-1], 3)} if known else row


def _read(log: pathlib.Path | None) -> list[Row]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log and log.is_file() else []


@click.command()
@click.option("--tiny", is_flag=True, help="Every step in seconds, on any machine: figures mean nothing.")
@click.option("--seconds", default=500.0, show_default=True, help="After these no step begins.")
@click.option("--log", type=click.Path(path_type=pathlib.Path), help="Append each figure to this file, JSON lines.")
@click.option("--markdown", "table", type=click.Path(path_type=pathlib.Path), help="Write the log's tables here.")
@click.option("--step", "names", multiple=True, help="Take this step alone; may be given again.")
@click.option("--only", hidden=True, help="Run one step in this process.")
def main(
    tiny: bool,
    seconds: float,
    log: pathlib.Path | None,
    table: pathlib.Path | None,
    names: tuple[str, ...],
    only: str | None,
) -> None:
    """Measure what a GPU makes of mlob, on the backend that KERAS_BACKEND names."""
    scale = TINY if tiny else FULL
    chosen = _chosen(scale, names)
    if only:
        machine.load_keras()
        for row in steps(scale)[only][0](scale):
            print(json.dumps(row), flush=True)
        return
    for path in filter(None, (log, table)):
        path.parent.mkdir(parents=True, exist_ok=True)
    backend, rows = os.environ.get("KERAS_BACKEND", "tensorflow"), _read(log)
    with _shared_compilations():
        for row in measure(chosen, scale.patience, ["--tiny"] if tiny else [], seconds):
            rows.append(with_share({"card": card(), "backend": backend, **row}, rows))
            print(summary(rows[-1]), flush=True)
            if log:
                with log.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    if table:
        table.write_text(markdown(rows))


@contextlib.contextmanager
def _shared_compilations() -> Iterator[None]:
    """Let JAX's processes share what they compile, which is a large part of a short measurement."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
        yield


if __name__ == "__main__":
    main()
