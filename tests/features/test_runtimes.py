import os
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob.errors import InputError
from mlob.features import runtimes
from mlob.recipes import FeatureSet

pytestmark = pytest.mark.slow  # networks are compiled

openvino = pytest.mark.skipif(not runtimes.importlib.util.find_spec("openvino"), reason="OpenVINO is for x86 Linux")
RUNTIMES = [pytest.param("openvino", marks=openvino), "keras"]


@pytest.fixture(scope="module")
def extractor():
    keras.utils.set_random_seed(0)
    photos = keras.Input((16, 16, 3), dtype="uint8")
    x = keras.layers.Conv2D(8, 3, activation="relu")(keras.ops.cast(photos, "float32") / 255)
    return keras.Model(photos, keras.layers.GlobalAveragePooling2D()(x))


def drawn(count):
    return np.random.default_rng(count).integers(0, 256, (count, 16, 16, 3), np.uint8)


def run(runtime, extractor):
    if runtime == "keras":
        return runtimes.keras_runner(extractor)
    return runtimes.openvino_runner(runtimes.convert(extractor), "float32")


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("count", [1, 7, 32, 40])
def test_each_runtime_gives_the_networks_features_in_the_order_of_the_photos(runtime, count, extractor):
    photos = drawn(count)
    found = run(runtime, extractor)(photos)
    assert found.dtype == np.float32
    assert found == pytest.approx(extractor(photos).numpy(), abs=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_photos_give_no_rows(runtime, extractor):
    assert run(runtime, extractor)(drawn(0)).shape == (0, 8)


@openvino
def test_nothing_of_openvinos_stands_among_the_results_however_much_is_told(extractor, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["mlob", "features", "--verbose"])
    runtimes.convert(extractor)
    assert capfd.readouterr().out == ""


def test_keras_runs_every_batch_at_one_size(extractor, monkeypatch):
    sizes = []

    def predict_on_batch(photos, predict=extractor.predict_on_batch):
        sizes.append(len(photos))
        return predict(photos)

    monkeypatch.setattr(extractor, "predict_on_batch", predict_on_batch)
    assert len(run("keras", extractor)(drawn(40))) == 40
    assert sizes == [runtimes.CPU_BATCH] * 2


@given(arrays.arrays(np.float32, (4, 5), elements=st.floats(0.125, 8, width=32)), st.floats(0.5, 2))
@settings(deadline=None)
def test_scaling_leaves_the_cosine_at_one(rows, factor):
    assert runtimes.least_cosine(rows, np.float32(factor) * rows) == pytest.approx(1, abs=1e-5)


def test_the_worst_row_decides_on_the_cosine():
    expected, found = np.float32([[1, 0], [1, 1]]), np.float32([[1, 0], [1, 0]])
    assert runtimes.least_cosine(expected, found) == pytest.approx(2**-0.5)
    assert not runtimes.least_cosine(expected, np.full((2, 2), np.nan, np.float32)) >= runtimes.LEAST_COSINE


@pytest.fixture
def machine(monkeypatch):
    """A machine whose half precision has the error and the speed that a test sets; it notes what was tried."""
    monkeypatch.setenv("MLOB_VERBOSE", "1")
    made = {"error": 0.0, "speedup": 2.0, "half": "bfloat16", "gpu": False, "tried": []}

    def runner_of(choice):
        made["tried"].append(choice.precision)
        return runtimes.Runner(lambda photos: np.float32([[1, made["error"] * (choice.precision != "float32")]]))

    def seconds(forward, sample):
        return 1.0 if forward(sample)[0, 1] == 0 and made["error"] else 1 / made["speedup"]

    monkeypatch.setattr(runtimes, "_seconds", seconds)
    monkeypatch.setattr(runtimes, "_half_precision", lambda runtime: made["half"])
    monkeypatch.setattr(runtimes, "has_gpu", lambda: made["gpu"])
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(runtimes.platform, "machine", lambda: "x86_64")
    made["choose"] = lambda **fields: runtimes.choose(FeatureSet("mobilenet", **fields), runner_of, drawn(2))
    return made


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_half_precision_is_taken_where_it_is_exact_enough_and_faster(half, machine, capsys):
    machine.update(error=0.01, half=half)
    assert machine["choose"](runtime="openvino") == runtimes.Choice("openvino", half)
    assert "0.99995" in capsys.readouterr().err


@pytest.mark.parametrize("other", [{"error": 0.1}, {"error": 0.01, "speedup": 1.1}, {"error": np.nan}])
def test_else_auto_takes_float32_and_says_why(other, machine, capsys):
    machine.update(other)
    assert machine["choose"](runtime="openvino") == runtimes.Choice("openvino", "float32")
    assert "float32" in capsys.readouterr().err


def test_a_machine_without_half_precision_takes_float32_without_a_trial(machine):
    machine["half"] = None
    assert machine["choose"]() == runtimes.Choice("openvino", "float32") and not machine["tried"]


def test_a_precision_that_is_named_is_taken_without_a_trial(machine):
    for precision in ("float32", "bfloat16", "float16", "int8"):
        assert machine["choose"](runtime="openvino", precision=precision) == runtimes.Choice("openvino", precision)
    assert not machine["tried"]


def test_auto_takes_keras_on_a_gpu_and_openvino_on_other_x86_machines(machine, monkeypatch):
    assert machine["choose"](precision="float32").runtime == "openvino"
    machine["gpu"] = True
    assert machine["choose"](precision="float32").runtime == "keras"
    machine["gpu"] = False
    monkeypatch.setattr(runtimes.platform, "machine", lambda: "aarch64")
    assert machine["choose"](precision="float32").runtime == "keras"


def test_what_cannot_be_had_is_told(machine, monkeypatch):
    with pytest.raises(InputError, match="int8 runs on OpenVINO alone"):
        machine["choose"](runtime="keras", precision="int8")
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install openvino"):
        machine["choose"](runtime="openvino")


def test_an_int8_model_that_is_gone_is_named_with_the_mend(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path / 'int8.xml'} is missing.*make features"):
        runtimes.read_int8(tmp_path / "int8.xml")


@given(st.integers(0, 7))
def test_the_batch_is_the_largest_up_to_128_that_memory_holds(doublings):
    fitting, tried = runtimes.SMALLEST_BATCH * 2**doublings, []

    def run(batch):
        tried.append(batch)
        if batch > fitting:
            raise MemoryError

    assert runtimes.largest_batch(run) == tried[-1] == min(fitting, runtimes.LARGEST_BATCH)


def test_a_network_too_large_for_the_smallest_batch_is_no_silent_choice():
    def run(batch):
        raise MemoryError

    with pytest.raises(MemoryError):
        runtimes.largest_batch(run)


def test_on_a_gpu_two_batches_are_under_way_and_rows_keep_their_order(extractor, monkeypatch):
    monkeypatch.setattr(runtimes, "has_gpu", lambda: True)
    monkeypatch.setattr(runtimes, "largest_batch", lambda run: 8)
    both, photos = threading.Barrier(2, timeout=10), drawn(16)

    def predict_on_batch(one, predict=extractor.predict_on_batch):
        both.wait()
        return predict(one)

    monkeypatch.setattr(extractor, "predict_on_batch", predict_on_batch)
    assert run("keras", extractor)(list(photos)) == pytest.approx(extractor(photos).numpy(), abs=1e-5)


def test_a_network_that_fails_on_one_batch_raises_and_runs_the_next_photos(extractor, monkeypatch):
    def predict_on_batch(photos, predict=extractor.predict_on_batch):
        if not photos[0].any():
            raise MemoryError
        return predict(photos)

    monkeypatch.setattr(extractor, "predict_on_batch", predict_on_batch)
    runner = run("keras", extractor)
    with pytest.raises(MemoryError):
        runner(np.zeros((40, 16, 16, 3), np.uint8))
    assert runner(drawn(3)).shape == (3, 8)


def test_on_a_gpu_the_network_is_jitted_and_runs_in_the_batch_that_fits(extractor, monkeypatch):
    monkeypatch.setattr(runtimes, "has_gpu", lambda: True)
    monkeypatch.setattr(runtimes, "largest_batch", lambda run: 64)
    runner = run("keras", extractor)
    assert runner.batch == 64 and runner.is_on_gpu and extractor.jit_compile
    assert runner(drawn(70)) == pytest.approx(extractor(drawn(70)).numpy(), abs=1e-5)


BACKENDS = """
import numpy as np, keras
import pathlib
from mlob.features import forms, runtimes, weights
from mlob.recipes import FeatureSet

photos = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
for precision in ("float32", "float16"):
    features = FeatureSet("efficientnet_lite0")
    model = forms.Forms(features, weights.at_hand(features), pathlib.Path()).model(precision)
    runtimes.CPU_BATCH = 2
    rows = runtimes.keras_runner(model)(photos)
    assert rows.dtype == np.float32 and rows.shape == (3, 1280)
    exact = rows if precision == "float32" else exact
    print(keras.backend.backend(), runtimes.least_cosine(exact, rows))
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_give_features_too(backend):
    if not runtimes.importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is an extra")
    environment = os.environ | {"KERAS_BACKEND": backend}
    command = [sys.executable, "-c", BACKENDS]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in found] == [backend] * 2
    assert all(float(line[1]) > 0.99 for line in found)
