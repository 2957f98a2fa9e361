import keras
import numpy as np
import pytest

from mlob.data import images
from mlob.ensemble.means import Mean
from mlob.exports import graph
from mlob.feature_sets import FeatureSet
from mlob.features import pipeline
from mlob.labels import Exclusive
from mlob.models import heads
from mlob.recipes import Head
from mlob.training.predicting import predict

VIEWS = ("whole", "flip", "top_left")


def extractor(seed=0):
    """A small network from uint8 photos to 12 features."""
    keras.utils.set_random_seed(seed)
    photos = keras.Input((96, 96, 3), dtype="uint8")
    pixels = keras.ops.cast(photos, "float32") / 255 - keras.ops.convert_to_tensor([0.5, 0.4, 0.3])
    x = keras.layers.Conv2D(12, 8, strides=8)(pixels)
    return keras.Model(photos, keras.layers.GlobalAveragePooling2D()(x))


def head(seed, width, **options):
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(30, width)).astype(np.float16)
    targets = np.eye(4, dtype=np.uint8)[generator.integers(0, 3, 30)]
    return heads.build(Head(units=(5,), signed_sqrt=True, standardise=True), features, targets, **options)


@pytest.fixture(scope="module")
def parts():
    """Members that read one store, two side by side, and three views; three fits of one are its mean."""
    stores = {name: graph.Store(FeatureSet("mobilenet", size="tiny", view=name), extractor()) for name in VIEWS}
    stores["other"] = graph.Store(FeatureSet("mobilenet", size="tiny"), extractor(1))
    members = {
        "folds": graph.Member(heads.mean_of([head(seed, 12) for seed in range(3)]), ("whole",)),
        "both": graph.Member(head(3, 24, exclusive=[Exclusive((0, 1, 2), True)]), ("whole", "other")),
        "views": graph.Member(head(4, 12), VIEWS),
        "nothing": graph.Member(head(5, 12), ("whole",)),
    }
    return members, stores, Mean(np.array([0.3, 0.5, 0.2, 0.0]))


@pytest.fixture(scope="module")
def model(parts):
    members, stores, blend = parts
    return graph.build([*members], {name: members[name] for name in members if name != "nothing"}, stores, blend)


def wanted(parts, pixels):
    members, stores, blend = parts
    features = {}
    for name, each in stores.items():
        square = images.view(images.letterboxed(pixels, 96), each.feature_set.view)
        features[name] = pipeline.stored(np.asarray(each.extractor(square[np.newaxis])))
    rows = (np.concatenate([features[store] for store in own.stores], axis=-1) for own in members.values())
    return blend.predict(np.stack([predict(own.head, row) for own, row in zip(members.values(), rows, strict=True)]))


@pytest.mark.parametrize("shape", [(50, 70, 3), (96, 96, 3), (200, 130, 3)])
def test_the_model_says_of_a_photo_of_any_size_what_its_parts_say_one_after_the_other(parts, model, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert np.asarray(model(pixels[np.newaxis])) == pytest.approx(wanted(parts, pixels), abs=2e-6)


def test_what_is_put_instead_of_an_operation_has_no_name_that_the_head_has():
    keras.utils.clear_session()  # names are counted anew, as in the process that made the head
    inputs = keras.Input((3,))
    x = keras.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0])(inputs)
    trained = keras.Model(inputs, keras.ops.expm1(-keras.ops.exp((x - 1) / 2)))
    keras.utils.clear_session()
    rows = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    assert np.asarray(graph._named(trained, "head")(rows)) == pytest.approx(np.asarray(trained(rows)), abs=1e-6)


def test_features_are_rounded_as_stores_hold_them():
    generator = np.random.default_rng(0)
    sizes = 10.0 ** generator.integers(-9, 6, 5000)
    features = np.concatenate([generator.normal(size=5000) * sizes, 1 + np.arange(99) / 2048, [0, 65504, -1e6]])
    features = features.astype(np.float32)[np.newaxis]
    inputs = keras.Input(batch_shape=features.shape)
    rounded = keras.Model(inputs, graph._stored(inputs)).predict(features, verbose=0)
    assert np.array_equal(rounded, pipeline.stored(features).astype(np.float32))


def test_the_model_holds_nothing_but_what_keras_has(model, tmp_path):
    model.save(tmp_path / "model.keras")
    again, photo = keras.saving.load_model(tmp_path / "model.keras"), np.full((1, 40, 60, 3), 7, np.uint8)
    assert np.array_equal(np.asarray(again(photo)), np.asarray(model(photo)))
    assert {type(layer).__module__.split(".")[0] for layer in again._flatten_layers()} == {"keras"}
