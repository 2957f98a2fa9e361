import keras
import numpy as np
import pytest

from mlob.data import images
from mlob.models import augmentation, heads
from mlob.phases import Augmentation

SIDE = 17  # odd: a window of half the side takes every second pixel
ALL = Augmentation(flip=True, crop=0.5, rotation=15, shift=0.1, zoom=0.1, colour=0.4, cutout=0.2)
EACH = [
    Augmentation(flip=True),
    Augmentation(crop=0.5),
    Augmentation(rotation=15),
    Augmentation(shift=0.1),
    Augmentation(zoom=0.1),
    Augmentation(colour=0.4),
    Augmentation(cutout=0.2),
    ALL,
]
DARK = np.zeros((1, SIDE, SIDE, 3), np.uint8)


def noise(count, side=SIDE):
    return np.random.default_rng(0).integers(0, 255, (count, side, side, 3), np.uint8)  # none is white


def changed(model, photos):
    return keras.ops.convert_to_numpy(model(photos, training=True))


def built(recipe, seed=3):
    return augmentation.build(recipe, (SIDE, SIDE, 3), seed)


@pytest.fixture
def with_draws(monkeypatch):
    """A function that changes photos by chosen numbers; those not named, 0.5, are the middle of what is drawn."""

    def change(recipe, photos, **named):
        numbers = [[named.get(name, 0.5) for name in augmentation.DRAWS]] * len(photos)
        monkeypatch.setattr(keras.random, "uniform", lambda shape, seed: keras.ops.convert_to_tensor(numbers))
        return changed(built(recipe), photos)

    return change


def test_a_recipe_without_changes_needs_no_model():
    assert built(Augmentation()) is None


@pytest.mark.parametrize("recipe", EACH)
def test_photos_change_in_training_only_each_by_itself(recipe):
    photos = np.repeat(noise(1), 12, axis=0)
    model = built(recipe)
    assert (keras.ops.convert_to_numpy(model(photos)) == photos).all()
    first = changed(model, photos)
    assert first.dtype == np.uint8 and first.shape == photos.shape
    assert len(np.unique(first, axis=0)) > 1 and (first != photos).any()
    others = np.concatenate([255 - photos[:4], photos[4:5], 255 - photos[5:]])
    assert (changed(built(recipe), others)[4] == first[4]).all()


def test_a_seed_gives_the_same_changes_and_stored_variables_go_on_with_them():
    photos = noise(4)
    one, other = built(ALL), built(ALL)
    first = changed(one, photos)
    assert (changed(other, photos) == first).all()
    assert (changed(built(ALL, seed=4), photos) != first).any()
    stored = [variable.numpy() for variable in one.variables]
    second = changed(one, photos)
    assert (second != first).any()
    resumed = built(ALL)
    for variable, value in zip(resumed.variables, stored, strict=True):
        variable.assign(value)
    assert (changed(resumed, photos) == second).all()


def test_compiled_steps_draw_anew_as_others_do():
    tensorflow = pytest.importorskip("tensorflow")
    photos, model, plain = noise(4), built(ALL), built(ALL)
    step = tensorflow.function(lambda batch: model(batch, training=True))
    for _ in range(2):
        assert np.abs(step(photos).numpy().astype(int) - changed(plain, photos)).max() <= 1


def test_about_half_of_the_photos_are_flipped():
    photos = noise(64)
    flipped = (changed(built(Augmentation(flip=True)), photos) == photos[:, :, ::-1]).all(axis=(1, 2, 3))
    assert 16 < flipped.sum() < 48
    assert (changed(built(Augmentation(flip=True)), photos)[~flipped] == photos[~flipped]).all()


def test_half_a_draw_changes_nothing(with_draws):
    photos = noise(2)
    assert (with_draws(Augmentation(flip=True, rotation=90, shift=0.5, zoom=0.5), photos) == photos).all()
    assert (with_draws(Augmentation(colour=1), photos) == photos).all()


@pytest.mark.parametrize(("draw", "turns"), [(0, 1), (1, -1)])
def test_photos_are_turned_either_way(with_draws, draw, turns):
    photos = noise(2)
    turned = with_draws(Augmentation(rotation=90), photos, rotation=draw)
    assert (turned == np.rot90(photos, turns, axes=(1, 2))).all()


def test_photos_are_shifted_over_white(with_draws):
    photos = noise(2)
    moved = with_draws(Augmentation(shift=4 / SIDE), photos, across=1, down=0)
    assert (moved[:, :-4, 4:] == photos[:, 4:, :-4]).all()
    assert (moved[:, -4:] == 255).all() and (moved[:, :, :4] == 255).all()


def test_zoom_enlarges_and_reduces_about_the_middle(with_draws):
    photos, half = noise(2), SIDE // 4
    reduced = with_draws(Augmentation(zoom=0.5), photos, zoom=0)
    assert (reduced[:, half:-half, half:-half] == photos[:, ::2, ::2]).all()
    assert (reduced[:, : half - 1] == 255).all()
    assert (with_draws(Augmentation(zoom=0.5), DARK, zoom=1) == 0).all()


@pytest.mark.parametrize(("across", "down", "left", "top"), [(0, 0, 0, 0), (1, 0, 8, 0), (0.5, 1, 4, 8)])
def test_a_crop_is_a_window_enlarged_to_the_whole(with_draws, across, down, left, top):
    photos = noise(2)
    crops = with_draws(Augmentation(crop=0.25), photos, crop=1, crop_across=across, crop_down=down)
    assert (crops[:, ::2, ::2] == photos[:, top : top + 9, left : left + 9]).all()
    assert (with_draws(Augmentation(crop=0.25), photos, crop=0) == photos).all()


def test_crops_have_nothing_from_outside_of_the_photo():
    assert changed(built(Augmentation(crop=0.1)), np.repeat(DARK, 50, axis=0)).max() == 0


def test_moves_together_are_those_moves_one_after_another(with_draws):
    smooth = np.indices((SIDE, SIDE, 3)).sum(axis=0)[None].astype(np.uint8) * 4
    together = Augmentation(rotation=90, shift=2 / SIDE, zoom=0.5, crop=0.25)
    draws = {"rotation": 0, "across": 1, "zoom": 1, "crop": 1, "crop_across": 0.25}
    one_by_one = smooth
    for alone in ({"rotation": 90}, {"zoom": 0.5}, {"shift": 2 / SIDE}, {"crop": 0.25}):
        one_by_one = with_draws(Augmentation(**alone), one_by_one, **draws)
    inside = slice(2, -2)
    difference = with_draws(together, smooth, **draws).astype(int) - one_by_one
    assert np.abs(difference[:, inside, inside]).max() <= 2


def test_colours_at_the_ends_of_their_ranges(with_draws):
    photos = noise(2) // 2 + 64
    mean = photos.mean(axis=-1, keepdims=True)
    strong = Augmentation(colour=1)
    assert (with_draws(strong, photos, brightness=0) == 0).all()
    assert (with_draws(strong, photos, brightness=1) == np.minimum(2 * photos.astype(int), 255)).all()
    assert np.abs(with_draws(strong, photos, saturation=0) - mean).max() <= 0.51
    assert np.abs(with_draws(strong, photos, contrast=0) - photos.mean(axis=(1, 2, 3), keepdims=True)).max() <= 0.51
    turned = with_draws(strong, photos, hue=1).astype(float)
    assert np.abs(turned - photos).max() > 20
    unclipped = (turned.min(axis=-1) > 0) & (turned.max(axis=-1) < 255)
    assert np.abs(turned.mean(axis=-1) - photos.mean(axis=-1))[unclipped].max() <= 0.51
    greys = np.repeat(photos[..., :1], 3, axis=-1)
    assert (with_draws(strong, greys, hue=0, saturation=1) == greys).all()


def test_a_cutout_is_a_grey_window_of_at_most_its_share(with_draws):
    photos = np.repeat(DARK, 40, axis=0)
    blanked = changed(built(Augmentation(cutout=0.25)), photos)
    assert set(np.unique(blanked)) == {0, augmentation.BLANK}
    shares = (blanked > 0).mean(axis=(1, 2, 3))
    assert shares.max() <= ((SIDE // 2 + 1) / SIDE) ** 2 and shares.std() > 0.01
    corner = with_draws(Augmentation(cutout=0.25), DARK, cutout=1, cutout_across=0, cutout_down=1)
    assert (corner[:, -8:, :8] == augmentation.BLANK).all() and corner[:, :8].max() == corner[:, :, 9:].max() == 0


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    photos = keras.Input((16, 16, 3), dtype="uint8", name="features")
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.ops.cast(photos, "float32") / 64)
    return keras.Model(photos, keras.layers.Dense(3, activation="sigmoid")(keras.layers.Flatten()(x)))


def predicted(model, photos):
    return keras.ops.convert_to_numpy(model(photos, training=False))


NAMES = tuple(name for name in images.VIEWS if name != "whole")


def test_without_views_it_is_the_model_itself(model):
    assert augmentation.over_views(model, ()) is model


@pytest.mark.parametrize("views", [("flip",), ("centre", "bottom_right"), NAMES])
def test_a_prediction_is_the_mean_over_views_made_by_hand(model, views):
    down, across = 16 * np.indices((16, 16), np.uint8)  # crops of it need no rounding
    photo = np.stack([across, down, 240 - down], axis=-1)
    by_hand = [predicted(model, images.view(photo, name)[None]) for name in ("whole", *views)]
    assert np.ptp(by_hand, axis=0).max() > 0.02
    found = predicted(augmentation.over_views(model, views), photo[None])
    np.testing.assert_allclose(found, np.mean(by_hand, axis=0), atol=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_views_have_the_pixels_of_features(name):
    photos = noise(2, side=16)
    pixels = keras.Input((16, 16, 3), dtype="uint8")
    whole = augmentation.over_views(keras.Model(pixels, keras.ops.cast(pixels, "float32")), (name,))
    view = 2 * predicted(whole, photos) - photos
    inside = slice(1, -1)
    difference = (view - np.stack([images.view(photo, name) for photo in photos]))[:, inside, inside]
    assert np.abs(difference).max() <= (0 if name == "flip" else 1)
    assert abs(difference.mean()) < 0.1  # rounded, not cut off


def test_a_flip_changes_nothing_for_symmetric_photos(model):
    photos = noise(2, side=16)
    symmetric = np.concatenate([photos[:, :, :8], photos[:, :, 7::-1]], axis=2)
    both = augmentation.over_views(model, ("flip",))
    np.testing.assert_allclose(predicted(both, symmetric), predicted(model, symmetric), rtol=1e-6)
    assert np.abs(predicted(both, photos) - predicted(model, photos)).max() > 1e-3


def test_a_saved_model_predicts_over_its_views(model, tmp_path):
    photos = noise(2, side=16)
    whole = augmentation.over_views(model, NAMES)
    whole.save(tmp_path / "head.keras")
    loaded = heads.load(tmp_path / "head.keras")
    assert (predicted(loaded, photos) == predicted(whole, photos)).all()
    np.testing.assert_allclose(loaded.predict(photos, verbose=0), predicted(whole, photos), atol=1e-5)
