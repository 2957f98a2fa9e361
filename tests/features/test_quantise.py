import sys

import keras
import numpy as np
import pytest

from mlob.errors import InputError
from mlob.features import runtimes

pytest.importorskip("openvino")
quantise = pytest.importorskip("mlob.features.quantise")
nncf = pytest.importorskip("nncf")

pytestmark = pytest.mark.slow  # networks are compiled


def drawn(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 24, 24, 3), np.uint8)


def separable(x, channels):
    x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(keras.layers.ReLU()(x))
    return keras.layers.Conv2D(channels, 1)(x)


@pytest.fixture(scope="module")
def converted():
    """A stem of two convolutions, a pool, two separable convolutions and a residual, as Xception is made."""
    keras.utils.set_random_seed(0)
    photos = keras.Input((24, 24, 3), dtype="uint8")
    x = keras.layers.Conv2D(16, 3, activation="relu")(keras.ops.cast(photos, "float32") / 127.5 - 1)
    x = keras.layers.Conv2D(32, 3, bias_initializer="normal")(keras.layers.MaxPooling2D()(x))
    x = keras.layers.add([x, separable(separable(x, 32), 32)])
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return runtimes.convert(keras.Model(photos, x))


def weights(model, kind):
    return [node.input_value(1).get_node().data for node in model.get_ordered_ops() if node.get_type_name() == kind]


def with_uneven_channels(converted):
    """Make the depthwise channels' ranges thirtyfold apart, which the convolution behind takes back."""
    from openvino import opset13 as ops

    model = quantise.folded(converted)
    for node in model.get_ordered_ops():
        if node.get_type_name() == "GroupConvolution":
            after = next(iter(node.output(0).get_target_inputs())).get_node()
            scale = np.logspace(-0.75, 0.75, 32, dtype=np.float32)
            for changed, factor in ((node, scale[:, None, None, None, None]), (after, 1 / scale[:, None, None])):
                value = changed.input_value(1).get_node().data * factor
                changed.input(1).replace_source_output(ops.constant(value).output(0))
    return model


def test_evening_out_the_ranges_changes_no_feature(converted):
    model, photos = with_uneven_channels(converted), drawn(8, 1)
    expected, before = quantise.features_of(model, photos), weights(model, "GroupConvolution")
    quantise.equalise(model, drawn(8, 2))
    assert quantise.features_of(model, photos) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert all(np.ptp(found / old) > 1 for found, old in zip(weights(model, "GroupConvolution"), before, strict=True))


def test_evened_out_channels_and_the_weights_that_read_them_have_equal_ranges(converted):
    model, photos = with_uneven_channels(converted), drawn(8, 1)
    quantise.equalise(model, photos)
    convolutions = quantise._convolutions(model)
    *_, (lowest, highest) = quantise._ranges(convolutions, model, photos)
    columns = np.abs(convolutions[-1].input_value(1).get_node().data).max(axis=(0, 2, 3))
    assert np.maximum(highest, -lowest) == pytest.approx(columns, rel=1e-3)


@pytest.mark.parametrize("alter", [lambda model: model, with_uneven_channels], ids=["even", "uneven"])
def test_quantised_features_stay_close_to_float32s_on_photos_it_was_not_calibrated_on(converted, alter):
    model, photos = alter(converted), drawn(16, 1)
    quantised = quantise.int8(model, drawn(16, 2))
    found = quantise.features_of(quantised, photos)
    assert found.dtype == np.float32
    assert runtimes.least_cosine(quantise.features_of(model, photos), found) > 0.999
    assert any(node.get_type_name() == "FakeQuantize" for node in quantised.get_ops())


def test_equal_photos_give_equal_constants_and_leave_the_model_as_it_was(converted):
    photos, before = drawn(8, 3), quantise.features_of(converted, drawn(2, 4))
    first, second = (quantise.int8(converted, photos) for _ in range(2))
    constants = [
        [node.data.tobytes() for node in model.get_ordered_ops() if node.get_type_name() == "Constant"]
        for model in (first, second)
    ]
    assert constants[0] == constants[1]
    assert (quantise.features_of(converted, drawn(2, 4)) == before).all()


def test_the_mean_error_over_the_calibration_photos_is_taken_off(converted):
    photos = drawn(8, 5)
    errors = quantise.features_of(quantise.int8(converted, photos), photos) - quantise.features_of(converted, photos)
    assert errors.mean(axis=0) == pytest.approx(0, abs=1e-5)
    assert np.abs(errors).max() > 1e-4


def test_where_no_harm_is_allowed_nothing_is_quantised(converted, monkeypatch):
    monkeypatch.setattr(quantise, "MOST_HARM", 0)
    quantised = quantise.int8(converted, drawn(8, 6))
    assert not any(node.get_type_name() == "FakeQuantize" for node in quantised.get_ops())


def test_nothing_reaches_the_terminal(converted, capfd):
    quantise.int8(converted, drawn(8, 7))
    assert capfd.readouterr() == ("", "")


def test_missing_nncf_is_named_with_its_mend(converted, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(InputError, match=r'pip install "mlob\[int8\]"'):
        quantise.int8(converted, drawn(1, 8))


def test_no_photos_are_refused(converted):
    with pytest.raises(InputError, match="there are none"):
        quantise.int8(converted, drawn(0, 9))
