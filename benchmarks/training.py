"""An epoch of MLoB's mlp (2.8 million parameters) over a million rows of features: as MLoB ran it, and as mlob does.

    python -m benchmarks.training

writes 1,014,544 rows of 2,048 features once, with the labels of a fixed two-layer teacher: a store (4.2 GB) and the
same rows as float32 .npy (8.3 GB). Each measurement is a process of its own. The time of an epoch is that of all rows
but the first 8,192, during which everything compiles, scaled to all of them; the table states that warm-up, and the
first load, apart.
"""

import dataclasses
import json
import pathlib
import resource
import subprocess
import sys
import time

import click
import numpy as np

from mlob import machine
from mlob.data.dataset import Split
from mlob.features import store
from mlob.features.fingerprint import Fingerprint
from mlob.files import atomic
from mlob.recipes import MLP, Experiment, Training
from mlob.training import batches

ROWS, UNSEEN, FEATURES, LABELS = 1_014_544, 20_000, 2048, 228
FACTORS, TEACHER = 64, 128  # hidden causes of the features; the teacher's units
BUDGET_BYTES = 2_000_000_000
BASELINE_BATCH = 128
TRAINING = Training(epochs=1, batch=1024, learning_rate=4e-3, precision="auto")
OURS = Experiment(("made",), dataclasses.replace(MLP, prior_bias=True), TRAINING)
FLOP_A_ROW = 2 * (2 * FEATURES * 1024 + 3 * (1024 * 512 + 512 * 256 + 256 * LABELS))  # features need no gradient
KINDS = ("baseline", "resident", "streamed", "matmul")


# The data: one shard after another, each from its own seed
FINGERPRINT = Fingerprint("none", 1, "none", "none", "none", 0, "none", "made up", "none", "float16", None)


def write(folder: pathlib.Path, rows: int, unseen: int) -> None:
    """Write the rows in all their forms, unless they are there; targets.npy of train comes last."""
    if (folder / "train.npy").is_file():
        return
    _write_split(folder, "unseen", unseen)
    shape = (rows, FEATURES)
    with atomic(folder / "features.npy") as part:
        table = np.lib.format.open_memmap(part, "w+", np.float32, shape)
        _write_split(folder, "train", rows, table)
        table.flush()


def _write_split(folder: pathlib.Path, split: str, count: int, table: np.ndarray | None = None) -> None:
    """Write a split's shards, its targets, and its rows into a float32 table."""
    targets = np.empty((count, LABELS), np.uint8)
    for number, ids in enumerate(store.slices(ids_of(count))):
        rows = slice(number * store.SLICE, number * store.SLICE + len(ids))
        features, targets[rows] = draw(split, number, len(ids))
        digests = np.arange(rows.start, rows.stop, dtype=np.uint64) + np.uint64(1 + 2**40 * (split == "train"))
        shard = store.Shard(ids, features, digests, {})
        store.write(store.shard_path(folder / "store" / split, number), shard, FINGERPRINT)
        if table is not None:
            table[rows] = features
    with atomic(folder / f"{split}.npy") as part:
        np.save(part, targets)


def draw(split: str, number: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a shard: features float16 (count, 2048), positive parts of mixed factors, and the teacher's labels."""
    fixed = np.random.default_rng(0)
    mixing = fixed.normal(size=(FACTORS, FEATURES)).astype(np.float32) / np.sqrt(FACTORS)
    first = fixed.normal(size=(FEATURES, TEACHER)).astype(np.float32) / np.sqrt(FEATURES)
    second = fixed.normal(size=(TEACHER, LABELS)).astype(np.float32) / np.sqrt(TEACHER)
    drawn = np.random.default_rng((1 + (split == "train"), number))
    factors = drawn.standard_normal((count, FACTORS), np.float32)
    noise = drawn.standard_normal((count, FEATURES), np.float32)
    features = np.maximum(factors @ mixing + 0.5 * noise, 0).astype(np.float16)
    logits = 8 * np.maximum(features.astype(np.float32) @ first, 0) @ second - 6
    return features, (drawn.random((count, LABELS), np.float32) < 1 / (1 + np.exp(-logits))).astype(np.uint8)


def ids_of(count: int) -> tuple[str, ...]:
    """Name the rows of a split."""
    return tuple(f"{number}" for number in range(count))


def read(folder: pathlib.Path, split: str) -> batches.Labelled:
    """Find the rows of a split, left on disk."""
    targets = np.load(folder / f"{split}.npy")
    ids = ids_of(len(targets))
    rows = batches.read([folder / "store"], Split(split, ids, ((),) * len(ids), targets))
    return batches.Labelled(rows.ids, rows.features, targets)


# The measurements: each gives a dict, in a process of its own


def measure(kind: str, folder: pathlib.Path) -> dict[str, float]:
    """Measure one of KINDS in this process."""
    machine.load_keras()
    if kind == "matmul":
        return {"flops": max(_flops("float32"), _flops("bfloat16"))}
    figures = _baseline(folder) if kind == "baseline" else _ours(folder, kind)
    return {**figures, "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _ours(folder: pathlib.Path, kind: str) -> dict[str, float]:
    from mlob.training import fit

    started = time.monotonic()
    train, unseen = read(folder, "train"), read(folder, "unseen").resident()
    if kind == "resident":
        train = train.resident()
    else:
        train = dataclasses.replace(train, memory_bytes=BUDGET_BYTES - unseen.features.nbytes)
    loaded = time.monotonic() - started
    trained = fit.fit(OURS, train, unseen, name=kind)
    loss = trained.history[0]["dev_loss"]
    return _figures(len(train.ids), trained.steps_seconds, trained.warm_up_seconds, loaded, loss)


def _baseline(folder: pathlib.Path) -> dict[str, float]:
    """Train as MLoB did: a memory map of float32 rows, shuffled by `fit`, 128 a batch, Nadam in its first epoch."""
    import keras

    started = time.monotonic()
    features, targets = np.load(folder / "features.npy", mmap_mode="r"), np.load(folder / "train.npy")
    marks = [time.monotonic()]
    model = _mlobs_mlp()
    warm = batches.CHUNK // BASELINE_BATCH
    mark = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: marks.append(time.monotonic()) if batch == warm - 1 else None
    )
    model.fit(features, targets, batch_size=BASELINE_BATCH, epochs=1, shuffle=True, verbose=0, callbacks=[mark])
    marks.append(time.monotonic())
    unseen = read(folder, "unseen").resident()
    probabilities = model.predict(unseen.features.astype(np.float32), batch_size=batches.CHUNK, verbose=0)
    loss = float(np.mean(keras.ops.convert_to_numpy(keras.losses.binary_crossentropy(unseen.targets, probabilities))))
    loaded, ready, done = marks
    return _figures(len(features), done - ready, ready - loaded, loaded - started, loss)


def _mlobs_mlp():
    import keras

    layers = [keras.Input((FEATURES,))]
    for units in MLP.units:
        layers += [keras.layers.Dense(units, activation="relu"), keras.layers.BatchNormalization()]
    keras.utils.set_random_seed(0)
    model = keras.Sequential([*layers, keras.layers.Dense(LABELS, activation="sigmoid")])
    model.compile(keras.optimizers.Nadam(2e-3), loss="binary_crossentropy")
    return model


def _figures(rows: int, seconds: float, warm_up: float, loaded: float, loss: float) -> dict[str, float]:
    epoch = seconds * rows / (rows - batches.CHUNK)
    return {"epoch_seconds": epoch, "warm_up_seconds": warm_up, "load_seconds": loaded, "loss": loss}


def _flops(kind: str) -> float:
    """Measure the matrix product of the first layer: the fastest of ten, FLOP a second."""
    import keras

    rows, weights = (keras.ops.cast(keras.random.normal(shape), kind) for shape in ((2048, 2048), (2048, 1024)))
    times = []
    for _ in range(10):
        started = time.perf_counter()
        keras.ops.convert_to_numpy(keras.ops.matmul(rows, weights))
        times.append(time.perf_counter() - started)
    return 2 * 2048 * 2048 * 1024 / min(times)


# The comparison


def summary(measured: dict[str, dict[str, float]], rows: int) -> dict[str, float]:
    """Give the figures that the last line holds, from {kind: its measurement}."""
    baseline, resident, streamed = (measured[kind] for kind in KINDS[:3])
    return {
        "epoch_seconds": round(resident["epoch_seconds"], 2),
        "streamed_epoch_seconds": round(streamed["epoch_seconds"], 2),
        "baseline_epoch_seconds": round(baseline["epoch_seconds"], 2),
        "ratio": round(baseline["epoch_seconds"] / resident["epoch_seconds"], 2),
        "streamed_ratio": round(baseline["epoch_seconds"] / streamed["epoch_seconds"], 2),
        "loss": round(resident["loss"], 5),
        "streamed_loss": round(streamed["loss"], 5),
        "baseline_loss": round(baseline["loss"], 5),
        "peak_rss_mb": round(resident["peak_rss_mb"]),
        "streamed_peak_rss_mb": round(streamed["peak_rss_mb"]),
        "matmul_bound_seconds": round(rows * FLOP_A_ROW / measured["matmul"]["flops"], 2),
    }


def table(measured: dict[str, dict[str, float]], rows: int) -> str:
    """Lay the measurements out as text."""
    lines = [
        machine.processor(),
        f"An epoch of {rows:,} rows x {FEATURES:,} features, {LABELS} labels",
        f"{'':10}{'load s':>9}{'warm-up s':>11}{'epoch s':>9}{'rows/s':>9}{'loss':>9}{'peak MB':>9}",
    ]
    for kind in KINDS[:3]:
        figures = measured[kind]
        lines.append(
            f"{kind:10}{figures['load_seconds']:9.1f}{figures['warm_up_seconds']:11.1f}{figures['epoch_seconds']:9.1f}"
            f"{rows / figures['epoch_seconds']:9,.0f}{figures['loss']:9.4f}{figures['peak_rss_mb']:9,.0f}"
        )
    return "\n".join(lines)


@click.command()
@click.option("--rows", default=ROWS, show_default=True, type=click.IntRange(2 * batches.CHUNK), help="Rows of train.")
@click.option("--unseen", default=UNSEEN, show_default=True, help="Rows that the losses are taken on.")
@click.option("--folder", default="benchmarks/data", show_default=True, type=click.Path(path_type=pathlib.Path))
@click.option("--only", type=click.Choice(KINDS), hidden=True, help="Measure in this process.")
def main(rows: int, unseen: int, folder: pathlib.Path, only: str | None) -> None:
    """Train MLoB's mlp for an epoch: MLoB's way, resident, and streamed with 2 GB."""
    data = folder / f"training-{rows}"
    if only:
        print(json.dumps(measure(only, data)))
        return
    write(data, rows, unseen)
    command = [sys.executable, "-m", "benchmarks.training", "--rows", str(rows), "--folder", str(folder), "--only"]
    measured = {}
    for kind in KINDS:
        done = subprocess.run([*command, kind], stdout=subprocess.PIPE, text=True, check=True)
        measured[kind] = json.loads(done.stdout.splitlines()[-1])
    print(table(measured, rows))
    print(json.dumps(summary(measured, rows)))


if __name__ == "__main__":
    main()
