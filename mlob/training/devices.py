"""Several GPUs of one machine, on JAX: each holds all weights, and takes its share of every batch."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from mlob import machine
from mlob.progress import say


@contextlib.contextmanager
def shared_out() -> Iterator[None]:
    """Share batches out among all GPUs that JAX sees, and say so; with fewer than two, or elsewhere, change nothing.

    Models and optimizers are built within.
    """
    gpus = keras.distribution.list_devices() if keras.backend.backend() == "jax" and machine.has_gpu() else []
    if len(gpus) < 2:
        yield
        return
    say(f"Each batch is shared out among {len(gpus)} GPUs; one that does not divide by {len(gpus)} goes whole to each.")
    with keras.distribution.DataParallel(devices=gpus, auto_shard_dataset=False).scope():
        yield


def placed(batches: Any) -> Any:
    """Put an array (steps, batch, ...) where its batches are shared out to; as it is where they are not."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return batches
    mesh = distribution.device_mesh
    shared = mesh.axis_names[0] if batches.shape[1] % mesh.shape[0] == 0 else None
    layout = keras.distribution.TensorLayout((None, shared, *[None] * (batches.ndim - 2)), mesh)
    return keras.distribution.distribute_tensor(batches, layout)
