"""What a network looks like inside, on tiny networks whose answers are known."""

import keras
import numpy as np
import pytest

from mlob.errors import InputError
from mlob.features import backbones
from mlob.models import augmentation, heads, inside, networks
from mlob.models.beginning import Beginning
from mlob.phases import Convolutions, Network
from mlob.recipes import LINEAR, Experiment, FeatureSet

PIXELS = FeatureSet(backbones.PIXELS, pool="grid")
SIDE, LABELS = 16, 3


def network(*, flatten=True, pooled=0):
    """A network of convolutions from photos of 16 pixels to three labels."""
    keras.utils.set_random_seed(0)
    begun = Convolutions(filters=(4, 5), kernel=3, pooled=pooled, pool=2, flatten=flatten)
    experiment = Experiment(("pixels",), LINEAR, network=Network(convolutions=begun))
    targets = np.eye(LABELS, dtype=np.uint8)
    return networks.plan(experiment, Beginning(PIXELS), photos(LABELS), targets).build()


def photos(count):
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def watching_a_corner(model):
    """Let label 1 depend on the upper left quarter alone, which speaks for it."""
    kernel = np.zeros((SIDE, SIDE, 5, LABELS), np.float32)
    kernel[: SIDE // 2, : SIDE // 2, :, 1] = 1
    model.get_layer("labels").kernel.assign(kernel.reshape(-1, LABELS))
    return model


def ignored(count=1):
    pass


def test_a_label_that_depends_on_a_corner_is_seen_in_that_corner_alone():
    parts = inside.taken_apart(watching_a_corner(network()))
    (found,) = inside.places(parts, photos(1), [1], SIDE)
    assert found.shape == (SIDE, SIDE) and found.max() == pytest.approx(1) and found.min() == 0
    assert not found[SIDE // 2 + 1 :].any() and not found[:, SIDE // 2 + 1 :].any()


def test_of_features_that_are_means_places_are_grad_cams_formula():
    parts, rows = inside.taken_apart(network(flatten=False)), photos(4)
    (maps,) = parts.to_maps(rows)
    columns = [0, 1, 2, 0]
    to_log_odds = lambda maps: parts.log_odds(parts.to_features([maps]), columns)  # noqa: E731
    _, slopes = inside.slope_of(to_log_odds)(keras.ops.convert_to_numpy(maps))
    summed = np.einsum("nhwc,nc->nhw", maps, slopes.mean(axis=(1, 2))).clip(0)
    expected = summed / np.maximum(summed.max(axis=(1, 2), keepdims=True), 1e-30)
    assert expected.any()
    assert inside.places(parts, rows, columns, SIDE) == pytest.approx(expected, abs=1e-5)


def test_what_speaks_against_a_label_is_seen_nowhere():
    model = watching_a_corner(network())
    model.get_layer("labels").kernel.assign(-model.get_layer("labels").kernel)
    assert not inside.places(inside.taken_apart(model), photos(2), [1, 1], SIDE).any()


def test_a_made_up_photo_raises_its_labels_log_odds_and_is_the_same_again():
    parts, steps = inside.taken_apart(network(pooled=1)), []
    made_up, before, after = inside.maximised(parts, [2, 0], 5, lambda: steps.append(1))
    assert made_up.shape == (2, SIDE, SIDE, 3) and made_up.dtype == np.uint8 and len(steps) == inside.STEPS
    assert (after > before).all()
    assert after == pytest.approx(parts.log_odds(parts.to_features(parts.to_maps(made_up)), [2, 0]), abs=1e-3)
    assert np.array_equal(inside.maximised(parts, [2, 0], 5, ignored)[0], made_up)
    assert not np.array_equal(inside.maximised(parts, [2, 0], 6, ignored)[0], made_up)


def test_filters_are_colours_in_the_order_of_the_layer():
    model = network()
    first = inside._convolutions(networks.backbone_of(model))[0]
    kernel = np.zeros(first.kernel.shape, np.float32)
    kernel[0, 1, 0, 0], kernel[2, 2, 2, 1] = 0.1, -7
    first.kernel.assign(kernel)
    found = inside.filters(model)
    assert found.shape == (4, 3, 3, 3)
    assert found[0, 0, 1].tolist() == [1, 0.5, 0.5] and found[1, 2, 2].tolist() == [0.5, 0.5, 0]
    assert np.count_nonzero(found != 0.5) == 2


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_filters_show_the_colours_of_photos_in_whatever_order_a_network_takes_them(channels):
    model = network()
    extractor = model.get_layer(backbones.EXTRACTOR)
    kernel = np.array(inside._convolutions(extractor)[0].kernel)
    taken = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    x = keras.ops.cast(taken, "float32")
    backbone = keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.layers.Conv2D(4, 3, padding="same")])
    pooled = keras.layers.GlobalAveragePooling2D()(backbone(keras.ops.flip(x, axis=3) if channels == "bgr" else x))
    photo = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    features = keras.Model(taken, pooled, name=backbones.EXTRACTOR)(photo)
    answer = keras.layers.Dense(1)(keras.layers.Identity(name=networks.FEATURES)(features))
    backbone.layers[0].kernel.assign(kernel[..., ::-1, :] if channels == "bgr" else kernel)
    whole = keras.Model(photo, keras.layers.Activation("sigmoid", name="probabilities")(answer))
    assert inside.filters(whole) == pytest.approx(inside.filters(model), abs=1e-5)


def test_maps_are_the_strongest_channels_of_each_layer():
    model, row = network(), photos(1)[0]
    found = inside.maps(model, row, None)
    assert [maps.shape for maps in found.values()] == [(count, inside.MAP_SIDE, inside.MAP_SIDE) for count in (4, 5)]
    extractor = model.get_layer(backbones.EXTRACTOR)
    for layer, maps in found.items():
        assert maps.min() >= 0 and maps.max() <= 1
        (whole,) = np.array(keras.Model(extractor.input, extractor.get_layer(layer).output)(row[np.newaxis]))
        strongest = whole[..., whole.mean(axis=(0, 1)).argmax()]
        times = inside.MAP_SIDE // SIDE
        expected = (strongest - strongest.min()) / np.ptp(strongest)
        assert maps[0, ::times, ::times] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("pool", ["avg", "max", "grid", "blocks"])
def test_a_backbone_is_found_in_a_saved_mean_over_views_whatever_its_pool(tmp_path, pool, monkeypatch):
    feature_set, rows = FeatureSet("mobilenet", pool=pool), photos(2)
    monkeypatch.setitem(backbones.BACKBONES, "mobilenet", tiny_backbone())
    extractor = backbones.extractor(backbones.build(feature_set, SIDE), feature_set)
    photo = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    features = keras.layers.Identity(name=networks.FEATURES)(extractor(photo))
    grown = keras.Model(photo, heads.grow(LINEAR, features, np.eye(LABELS, dtype=np.uint8), None))
    augmentation.over_views(grown, ("flip",)).save(tmp_path / "head.keras")
    model = heads.load(tmp_path / "head.keras")
    parts = inside.taken_apart(model)
    assert inside.places(parts, rows, [0, 1], SIDE).shape == (2, SIDE, SIDE)
    assert [*inside.maps(model, rows[0], feature_set)] == ["low", "high"]
    assert len(inside.filters(model)) == 6
    expected = keras.ops.convert_to_numpy(grown(rows))[:, 1]
    log_odds = np.array(parts.log_odds(parts.to_features(parts.to_maps(parts.seen(rows))), [1, 1]))
    assert 1 / (1 + np.exp(-log_odds)) == pytest.approx(expected, abs=1e-5)


def tiny_backbone():
    """A backbone of two stages."""

    def build(pixels):
        given = keras.Input((pixels, pixels, 3))
        low = keras.layers.Conv2D(6, 3, 2, activation="relu", name="low")(given)
        return keras.Model(given, keras.layers.Conv2D(7, 3, 2, activation="relu", name="high")(low))

    return backbones.Backbone(build, lambda pixels: pixels / 127.5 - 1, 7, ("low", "high"), None, "none")


def test_a_network_of_maps_has_places_and_upper_maps(monkeypatch):
    monkeypatch.setitem(backbones.BACKBONES, "mobilenet", tiny_backbone())
    feature_set = FeatureSet("mobilenet")
    upper = backbones.above(backbones.build(feature_set, SIDE), "low", feature_set)
    extractor = backbones.extractor_of_maps(upper, feature_set)
    maps = keras.Input(extractor.input_shape[1:], dtype="float16")
    features = keras.layers.Identity(name=networks.FEATURES)(extractor(maps))
    model = keras.Model(maps, heads.grow(LINEAR, features, np.eye(LABELS, dtype=np.uint8), None))
    parts, rows = inside.taken_apart(model), np.random.default_rng(0).random((2, 7, 7, 6)).astype(np.float16)
    assert not parts.reads_photos
    assert inside.places(parts, rows, [0, 1], SIDE).shape == (2, SIDE, SIDE)
    assert [*inside.maps(model, rows[0], feature_set)] == ["high"]


def test_a_network_of_some_labels_alone_is_refused():
    model = heads.spread(network(), [0, 1, 3], 4)
    with pytest.raises(InputError, match="some of the labels alone"):
        inside.taken_apart(model)
