import dataclasses

import keras
import numpy as np
import pytest

from mlob.models import heads
from mlob.recipes import LINEAR, MLP, Head


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    features = generator.lognormal(0, 2, (200, 8)).astype(np.float16)
    return features, (generator.random((200, 5)) < (0.9, 0.5, 0.1, 0.02, 0)).astype(np.uint8)


@pytest.mark.parametrize("head", [Head(), LINEAR])
def test_without_its_last_weights_a_head_predicts_the_labels_shares(head, rows):
    model = heads.build(head, *rows)
    last = model.get_layer("labels")
    last.kernel.assign(np.zeros(last.kernel.shape))
    shares = rows[1].mean(axis=0)
    assert shares.max() < 1 and shares[-1] == 0
    expected = np.maximum(shares, heads.SMALLEST_SHARE)
    assert model.predict_on_batch(rows[0][:3]) == pytest.approx(np.tile(expected, (3, 1)), rel=1e-4)
    assert last.bias.numpy() == pytest.approx(np.log(expected / (1 - expected)), rel=1e-4)


def test_a_label_on_all_rows_or_on_none_starts_at_finite_odds():
    odds = heads.log_odds(np.array([[1, 0], [1, 0]], np.uint8))
    assert np.isfinite(odds).all() and odds[0] == pytest.approx(-odds[1]) and odds[0] > 5


def test_the_mlp_is_mlobs_to_the_parameter():
    model = heads.build(MLP, np.zeros((4, 2048), np.float16), np.zeros((4, 228), np.uint8))
    assert model.count_params() == 2_820_068
    kinds = [type(layer) for layer in model.layers if layer.count_params()]
    assert kinds == [*[keras.layers.Dense, keras.layers.BatchNormalization] * 3, keras.layers.Dense]
    assert [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)] == [1024, 512, 256, 228]
    assert not model.get_layer("labels").bias.numpy().any()


def test_a_head_gives_float32_probabilities_of_float16_features(rows):
    for head in (Head(), LINEAR, MLP):
        model = heads.build(head, *rows)
        assert model.input.dtype == "float16"
        found = model.predict_on_batch(rows[0])
        assert found.dtype == np.float32 and found.shape == rows[1].shape
        assert (found >= 0).all() and (found <= 1).all()


def test_the_first_layer_sees_standardised_square_roots(rows):
    model = heads.build(Head(), *rows)
    seen = keras.Model(model.input, model.get_layer("standardise").output).predict_on_batch(rows[0])
    roots = np.sqrt(rows[0].astype(np.float64))
    assert seen == pytest.approx((roots - roots.mean(axis=0)) / roots.std(axis=0), abs=1e-3)


def test_a_square_root_keeps_the_sign():
    found = heads.signed_sqrt(np.float16([-4, 0, 9]))
    assert found.dtype == np.float32 and found.tolist() == [-2, 0, 3]


@pytest.mark.parametrize("transform", [heads.as_float32, heads.signed_sqrt])
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_moments_are_numpys_in_float64_at_float16s_extremes_too(transform, block):
    generator = np.random.default_rng(0)
    features = generator.normal(3, 50, (100, 4)).astype(np.float16)
    features[:, 0] = np.finfo(np.float16).max * generator.choice([-1, 1], 100)
    exact = transform(features).astype(np.float64)
    mean, variance = heads.moments(features, transform, block=block)
    assert mean.dtype == variance.dtype == np.float32
    assert mean == pytest.approx(exact.mean(axis=0), rel=1e-5)
    assert variance == pytest.approx(exact.var(axis=0), rel=1e-5)


def test_a_feature_that_never_changes_does_not_divide_by_zero(rows):
    features = rows[0].copy()
    features[:, 3] = 1000
    for head in (Head(), dataclasses.replace(LINEAR, signed_sqrt=False)):
        assert np.isfinite(heads.build(head, features, rows[1]).predict_on_batch(features)).all()


def test_the_models_signed_square_root_is_numpys_below_zero_too(rows):
    features = rows[0] * np.float16([1, -1] * 4)
    model = heads.build(dataclasses.replace(LINEAR, standardise=False), features, rows[1])
    seen = keras.Model(model.input, model.get_layer("labels").input).predict_on_batch(features)
    assert seen == pytest.approx(heads.signed_sqrt(features), rel=1e-6)


@pytest.mark.parametrize("head", [Head(feature_dropout=0.1), LINEAR, MLP], ids=["dense", "linear", "MLP"])
def test_a_head_that_was_saved_and_loaded_predicts_the_same(head, rows, tmp_path):
    model = heads.build(head, *rows)
    model.save(tmp_path / "head.keras")
    loaded = keras.saving.load_model(tmp_path / "head.keras")
    assert np.array_equal(loaded.predict_on_batch(rows[0]), model.predict_on_batch(rows[0]))
