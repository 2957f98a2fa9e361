import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob.errors import InputError
from mlob.features import runtimes
from mlob.recipes import FeatureSet

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
    return runtimes.run(runtimes.Choice(runtime, "float32"), extractor)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("count", [1, 7, 32, 40])
def test_each_runtime_gives_the_networks_features_in_the_order_of_the_photos(runtime, count, extractor):
    photos = drawn(count)
    found = run(runtime, extractor)(iter(photos))
    assert found.dtype == np.float32
    assert found == pytest.approx(extractor(photos).numpy(), abs=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_photos_give_no_rows(runtime, extractor):
    assert run(runtime, extractor)([]).shape == (0, 8)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_run_that_was_interrupted_leaves_nothing_to_the_next_one(runtime, extractor):
    def broken():
        yield from drawn(5)
        raise KeyboardInterrupt

    forward = run(runtime, extractor)
    with pytest.raises(KeyboardInterrupt):
        forward(broken())
    assert forward(drawn(3)) == pytest.approx(extractor(drawn(3)).numpy(), abs=1e-5)


def test_keras_runs_every_batch_at_one_size(extractor, monkeypatch):
    sizes = []

    def predict_on_batch(photos, predict=extractor.predict_on_batch):
        sizes.append(len(photos))
        return predict(photos)

    monkeypatch.setattr(extractor, "predict_on_batch", predict_on_batch)
    assert len(run("keras", extractor)(drawn(40))) == 40
    assert sizes == [runtimes.KERAS_BATCH] * 2


@given(arrays.arrays(np.float32, (4, 5), elements=st.floats(0.125, 8, width=32)), st.floats(0.5, 2))
@settings(deadline=None)
def test_scaling_leaves_the_cosine_at_one(rows, factor):
    assert runtimes.least_cosine(rows, np.float32(factor) * rows) == pytest.approx(1, abs=1e-5)


def test_the_worst_row_decides_on_the_cosine():
    expected, found = np.float32([[1, 0], [1, 1]]), np.float32([[1, 0], [1, 0]])
    assert runtimes.least_cosine(expected, found) == pytest.approx(2**-0.5)
    assert not runtimes.least_cosine(expected, np.full((2, 2), np.nan, np.float32)) >= runtimes.LEAST_COSINE


@pytest.fixture
def compiled(monkeypatch):
    """An OpenVINO whose bfloat16 has the error and the speed that a test sets; it notes what was compiled."""
    machine = {"error": 0.0, "speedup": 2.0, "compiled": []}

    def open_vino(model, precision):
        machine["compiled"].append(precision)
        return lambda photos: np.float32([[1, machine["error"] * (precision == "bfloat16")]])

    def seconds(forward, sample):
        return 1.0 if forward(sample)[0, 1] == 0 and machine["error"] else 1 / machine["speedup"]

    monkeypatch.setattr(runtimes, "open_vino", open_vino)
    monkeypatch.setattr(runtimes, "_seconds", seconds)
    monkeypatch.setattr(runtimes, "_has_bfloat16", lambda: True)
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: name)
    return machine


def chosen(**fields):
    return runtimes.choose(FeatureSet("mobilenet", **fields), None, drawn(2))


def test_bfloat16_is_taken_where_it_is_exact_enough_and_faster(compiled, capsys):
    compiled["error"] = 0.01
    assert chosen(runtime="openvino") == runtimes.Choice("openvino", "bfloat16")
    assert "0.99995" in capsys.readouterr().err


@pytest.mark.parametrize("machine", [{"error": 0.1}, {"error": 0.01, "speedup": 1.1}, {"error": np.nan}])
def test_else_auto_takes_float32_and_says_why(machine, compiled, capsys):
    compiled.update(machine)
    assert chosen(runtime="openvino") == runtimes.Choice("openvino", "float32")
    assert "float32" in capsys.readouterr().err


def test_a_precision_that_is_named_is_taken_without_a_trial(compiled):
    for precision in ("float32", "bfloat16"):
        assert chosen(runtime="openvino", precision=precision) == runtimes.Choice("openvino", precision)
    assert not compiled["compiled"]


def test_auto_takes_keras_on_a_gpu_and_openvino_on_other_x86_machines(compiled, monkeypatch):
    monkeypatch.setattr(runtimes.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(runtimes, "_has_gpu", lambda: False)
    assert chosen(precision="float32").runtime == "openvino"
    monkeypatch.setattr(runtimes, "_has_gpu", lambda: True)
    assert chosen() == runtimes.Choice("keras", "float32")
    monkeypatch.setattr(runtimes, "_has_gpu", lambda: False)
    monkeypatch.setattr(runtimes.platform, "machine", lambda: "aarch64")
    assert chosen().runtime == "keras"


def test_what_cannot_be_had_is_told(compiled, monkeypatch):
    with pytest.raises(InputError, match="Keras runtime computes in float32"):
        chosen(runtime="keras", precision="bfloat16")
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install openvino"):
        chosen(runtime="openvino")
