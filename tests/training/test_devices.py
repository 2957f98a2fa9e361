"""Several GPUs, here two made-up devices of JAX in a process of its own, train as one does."""

import importlib.util
import os
import subprocess
import sys
import textwrap

import keras
import pytest

from mlob.training import devices

PROGRAM = """
    import contextlib
    import keras
    import numpy as np
    from mlob.models import losses
    from mlob.training import devices, steps

    devices.machine.has_gpu = lambda: True
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 2, (3, 8, 2)).astype(np.uint8)

    def trained(layers, shape, context):
        features = np.random.default_rng(1).normal(size=(3, 8, *shape)).astype(np.float16)
        with context:
            keras.utils.set_random_seed(0)
            model = keras.Sequential([keras.Input(shape), *layers(), keras.layers.Dense(2)])
            run = steps.compiled(model, keras.optimizers.SGD(0.1, momentum=0.5), losses.binary, jit=True)
            values = [run(features, targets), run(features[:1, :5], targets[:1, :5])]
            spread = {len(variable.value.sharding.device_set) for variable in model.weights}
        return spread, [np.concatenate(values), *model.get_weights()]

    head = lambda: [keras.layers.Dense(8, activation="relu"), keras.layers.BatchNormalization()]
    network = lambda: [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()]
    for layers, shape in ((head, (4,)), (network, (6, 6, 3))):
        one, expected = trained(layers, shape, contextlib.nullcontext())
        two, found = trained(layers, shape, devices.shared_out())
        assert (one, two) == ({1}, {2}), (one, two)
        for values, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(values, wanted, rtol=1e-4, atol=1e-5)
    assert keras.distribution.distribution() is None
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs JAX")
def test_two_devices_give_the_losses_and_weights_of_one():
    two = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM)]
    done = subprocess.run(command, check=False, env=os.environ | two, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    said = [line for line in done.stderr.splitlines() if line.startswith("Each batch")]
    assert said == ["Each batch is shared out among 2 GPUs; one that does not divide by 2 goes whole to each."] * 2


def test_without_several_gpus_nothing_changes(capsys):
    with devices.shared_out():
        assert keras.distribution.distribution() is None
        assert devices.placed(batches := object()) is batches
    assert capsys.readouterr().err == ""
