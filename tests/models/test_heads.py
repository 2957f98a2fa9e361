import dataclasses
import io
import json
import zipfile

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from mlob.errors import InputError
from mlob.labels import Exclusive, columns_of, exclusive_groups
from mlob.models import heads
from mlob.recipes import LINEAR, MLP, Head


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    features = generator.lognormal(0, 2, (200, 8)).astype(np.float16)
    return features, (generator.random((200, 5)) < (0.9, 0.5, 0.1, 0.02, 0)).astype(np.uint8)


@pytest.mark.parametrize("head", [Head(), LINEAR])
def test_without_its_last_weights_a_head_predicts_the_labels_prevalences(head, rows):
    model = heads.build(head, *rows)
    last = model.get_layer("labels")
    last.kernel.assign(np.zeros(last.kernel.shape))
    prevalence = rows[1].mean(axis=0)
    assert prevalence.max() < 1 and prevalence[-1] == 0
    expected = np.maximum(prevalence, heads.SMALLEST_PREVALENCE)
    assert model.predict_on_batch(rows[0][:3]) == pytest.approx(np.tile(expected, (3, 1)), rel=1e-4)
    assert last.bias.numpy() == pytest.approx(np.log(expected / (1 - expected)), rel=1e-4)


def test_a_label_on_all_rows_or_on_none_starts_at_finite_odds():
    odds = heads.prior(np.array([[1, 0], [1, 0]], np.uint8))
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


@pytest.mark.parametrize("value", [0, 0.1, -3.3, 1000, 60000])
@pytest.mark.parametrize("signed_sqrt", [False, True])
def test_a_feature_that_no_training_row_moves_keeps_its_scale_when_it_moves_later(value, signed_sqrt, rows):
    features = rows[0].copy()
    features[:, 3] = value
    model = heads.build(dataclasses.replace(LINEAR, signed_sqrt=signed_sqrt), features, rows[1])
    later, transform = features.copy(), heads.signed_sqrt if signed_sqrt else heads.as_float32
    later[:, 3] += np.float16(0.5)
    moved = transform(later)[:, 3] - transform(features)[:, 3]
    see = keras.Model(model.input, model.get_layer("standardise").output).predict_on_batch
    assert see(features)[:, 3] == pytest.approx(0, abs=1e-4) and see(later)[:, 3] == pytest.approx(moved, abs=1e-4)
    assert np.delete(see(later), 3, axis=1) == pytest.approx(np.delete(see(features), 3, axis=1))


@pytest.mark.parametrize("count", [2, 100, 5000])
def test_features_have_no_variance_where_scikit_learns_scaler_finds_none(count):
    generator = np.random.default_rng(0)
    levels = np.float16([0, 1e-3, 0.1, 1 / 3, 7, 333, 65504])
    still = np.tile(levels, (count, 1))
    moving = (levels + 1) * generator.random((count, len(levels)))
    once = still.copy()
    once[-1] = np.nextafter(levels, np.float16(0), dtype=np.float16) + np.float16([1e-3, *[0] * 6])
    features = np.hstack([still, moving, once]).astype(np.float16)
    scale = StandardScaler().fit(features.astype(np.float64)).scale_
    assert (scale[: len(levels)] == 1).all() and (scale[len(levels) :] != 1).all()
    _, variance = heads.moments(features, heads.as_float32, block=64)
    wanted = np.where(scale**2 > heads.LEAST_VARIANCE, scale**2, 1)
    assert variance == pytest.approx(wanted, rel=1e-5)


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


# Groups


GROUPS = ("size", "colour", "colour", "size", "colour", "extra", "kind", "kind", "size")


@pytest.fixture
def grouped():
    """Features and targets: one size always, one colour or none, kinds at will."""
    generator = np.random.default_rng(0)
    targets = np.zeros((300, len(GROUPS)), np.uint8)
    for row in targets:
        row[generator.choice([0, 3, 8])] = 1
        row[generator.choice([1, 2, 4, 5])] = 1
        row[[6, 7]] = generator.random(2) < 0.7
    return generator.lognormal(0, 2, (300, 8)).astype(np.float16), targets


def test_a_group_shares_a_softmax_where_no_row_has_two_of_its_labels(grouped):
    assert exclusive_groups(GROUPS, grouped[1]) == [((0, 3, 8), False), ((1, 2, 4), True)]
    grouped[1][7, [0, 3]] = 1
    assert exclusive_groups(GROUPS, grouped[1]) == [((1, 2, 4), True)]


def exclusive(grouped):
    return exclusive_groups(GROUPS, grouped[1])


def softmax(outputs):
    return np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)


def test_probabilities_are_a_softmax_in_each_exclusive_group_and_sigmoids_elsewhere(grouped):
    model = heads.build(Head(units=(), groups=True, dropout=0.0), *grouped, exclusive=exclusive(grouped))
    found = model.predict_on_batch(grouped[0])
    z = keras.Model(model.input, model.get_layer("labels").output).predict_on_batch(grouped[0]).astype(np.float64)
    assert found[:, [0, 3, 8]] == pytest.approx(softmax(z[:, [0, 3, 8]]), abs=1e-5)
    with_none = softmax(np.pad(z[:, [1, 2, 4]], ((0, 0), (0, 1))))
    assert found[:, [1, 2, 4]] == pytest.approx(with_none[:, :3], abs=1e-5)
    assert found[:, [5, 6, 7]] == pytest.approx(1 / (1 + np.exp(-z[:, [5, 6, 7]])), abs=1e-5)
    assert found[:, [0, 3, 8]].sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_of_one_label_a_softmax_with_none_is_the_sigmoid(rows):
    model = heads.build(LINEAR, rows[0], rows[1][:, :1], exclusive=[Exclusive((0,), True)])
    outputs = heads.with_outputs(model).predict_on_batch(rows[0])
    assert heads.with_logits(model).predict_on_batch(rows[0]) == pytest.approx(
        outputs, abs=1e-3, rel=1e-3
    )  # of 1 - p, float32 keeps few digits
    assert outputs.max() - outputs.min() > 2


def test_odds_stay_finite_however_sure_a_softmax_is(grouped):
    model = heads.build(Head(units=(), groups=True), *grouped, exclusive=exclusive(grouped))
    model.get_layer("labels").kernel.assign(1e4 * model.get_layer("labels").kernel)
    assert np.isfinite(heads.with_logits(model).predict_on_batch(grouped[0])).all()


def test_without_its_last_weights_a_head_of_groups_predicts_the_prevalences_too(grouped):
    model = heads.build(Head(groups=True), *grouped, exclusive=exclusive(grouped))
    model.get_layer("labels").kernel.assign(0 * model.get_layer("labels").kernel)
    expected = grouped[1].mean(axis=0)
    assert model.predict_on_batch(grouped[0][:3]) == pytest.approx(np.tile(expected, (3, 1)), rel=1e-3)


def test_branches_are_heads_of_their_own_and_the_probabilities_are_their_mean(grouped):
    model = heads.build(Head(units=(8,), groups=True, branches=3), *grouped, exclusive=exclusive(grouped))
    each = 1 / (1 + np.exp(-heads.with_logits(model).predict_on_batch(grouped[0])))
    assert each.shape == (300, 3, len(GROUPS))
    assert model.predict_on_batch(grouped[0]) == pytest.approx(each.mean(axis=1), abs=1e-6)
    assert each[:, :, [0, 3, 8]].sum(axis=2) == pytest.approx(1, abs=1e-5)
    assert not np.allclose(each[:, 0], each[:, 1], atol=1e-3)
    assert model.get_layer("labels").bias.numpy() == pytest.approx(
        np.tile(heads.prior(grouped[1], exclusive(grouped)), (3, 1))
    )


@pytest.mark.parametrize("branches", [1, 2])
def test_the_logits_have_an_axis_of_branches_where_there_are_several(branches, grouped):
    model = heads.build(Head(units=(8,), branches=branches), *grouped)
    assert heads.with_outputs(model).output_shape == ((None, 9) if branches == 1 else (None, 2, 9))
    assert model.output_shape == (None, 9)


@pytest.mark.parametrize("head", [Head(), LINEAR, MLP, Head(groups=True)])
def test_the_sigmoid_of_the_logits_are_the_probabilities_before_and_after_training(head, grouped):
    model = heads.build(head, *grouped, exclusive=exclusive(grouped))
    logits = heads.with_logits(model)
    for _ in range(2):
        found = 1 / (1 + np.exp(-logits.predict_on_batch(grouped[0])))
        assert found == pytest.approx(model.predict_on_batch(grouped[0]), abs=1e-6)
        logits.get_layer("labels").bias.assign_add(np.ones(len(GROUPS)))


# Specialists, views, maps


BY_TASK = Head(units=(16,), task_units=(5, 2), groups=True, dropout=0.0)


@pytest.fixture
def by_task(grouped):
    """A head with layers of each task, and the columns of each."""
    tasks = [*columns_of(GROUPS).values()]
    return heads.build(BY_TASK, *grouped, exclusive=exclusive(grouped), tasks=tasks), tasks


def test_layers_of_a_task_are_as_wide_as_its_labels_are_many(by_task):
    model, tasks = by_task
    widths = [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert sorted(widths) == sorted([16, *(len(columns) * width for columns in tasks for width in (5, 2, 1))])


def test_a_tasks_own_layers_move_no_other_task(by_task, grouped):
    model, tasks = by_task
    before = model.predict_on_batch(grouped[0])
    for columns in tasks:
        weights = model.get_weights()
        for layer in model.layers:
            if getattr(layer, "units", 0) == 5 * len(columns):
                layer.set_weights([weight + 1 for weight in layer.get_weights()])
        moved = np.abs(model.predict_on_batch(grouped[0]) - before).max(axis=0) > 0
        same_width = {column for other in tasks if len(other) == len(columns) for column in other}
        assert moved.any() and {*np.flatnonzero(moved)} <= same_width
        model.set_weights(weights)


def test_where_its_last_weights_are_none_each_task_starts_at_the_prevalences(by_task, grouped):
    model, _ = by_task
    shared = heads.build(dataclasses.replace(BY_TASK, task_units=()), *grouped, exclusive=exclusive(grouped))
    for each in (model, shared):
        for layer in each.layers:
            if isinstance(layer, keras.layers.Dense):
                layer.kernel.assign(np.zeros(layer.kernel.shape))
    features = grouped[0][:3]
    assert model.predict_on_batch(features) == pytest.approx(shared.predict_on_batch(features), rel=1e-5)


@pytest.mark.parametrize(
    "head", [Head(units=(16, 8)), dataclasses.replace(MLP, units=(16,)), Head(units=(8,), branches=3), LINEAR]
)
def test_a_head_with_a_start_begins_with_its_layers_and_has_labels_of_its_own(head, rows, tmp_path):
    first = heads.build(head, *rows)
    first.set_weights([weight + 0.1 for weight in first.get_weights()])
    heads.spread(first, range(5), 8).save(tmp_path / "head.keras")
    features, targets = rows[0][::-1] * 2, rows[1][:, 1:4]
    made = heads.Plan(head, features, targets, start=tmp_path / "head.keras").build()
    plain = heads.Plan(head, features, targets).build()
    below = [keras.Model(model.input, model.get_layer("labels").input) for model in (made, first, plain)]
    found, expected, other = (model.predict_on_batch(rows[0][:20]) for model in below)
    assert np.array_equal(found, expected) and not np.array_equal(found, other)
    assert made.output_shape == (None, 3)


def test_a_specialist_predicts_its_own_columns_and_nothing_elsewhere(rows):
    model = heads.build(Head(), *rows)
    wide = heads.spread(model, [6, 1, 2, 0, 4], 8)
    found = wide.predict_on_batch(rows[0])
    assert found[:, [6, 1, 2, 0, 4]] == pytest.approx(model.predict_on_batch(rows[0]))
    assert found.shape == (200, 8) and not found[:, [3, 5, 7]].any()


def test_a_head_of_views_takes_one_and_standardises_by_all(rows):
    views = np.stack([rows[0], 2 * rows[0]], axis=1)
    model = heads.build(Head(), views.reshape(200, 16), rows[1], views=2)
    assert model.input_shape == (None, 8)
    mean, variance = heads.moments(views.reshape(400, 8), heads.signed_sqrt)
    layer = model.get_layer("standardise")
    assert np.ravel(layer.mean) == pytest.approx(mean) and np.ravel(layer.variance) == pytest.approx(variance)


def test_stores_of_different_lengths_are_no_views(rows):
    with pytest.raises(InputError, match=r"expected 2 equal parts, found 15 features"):
        heads.build(Head(), np.zeros((4, 15), np.float16), rows[1][:4], views=2)


@pytest.fixture
def maps(rows):
    generator = np.random.default_rng(1)
    return generator.lognormal(0, 1, (200, 3, 2, 8)).astype(np.float16), rows[1]


def test_attention_starts_as_the_average_over_the_places(maps):
    model = heads.build(dataclasses.replace(LINEAR, queries=3), *maps)
    pooled = keras.Model(model.input, model.get_layer("labels").input).predict_on_batch(maps[0])
    places = heads.signed_sqrt(maps[0]).reshape(200, 6, 8)
    mean, variance = heads.moments(maps[0], heads.signed_sqrt)
    expected = ((places - mean) / np.sqrt(variance)).mean(axis=1)
    assert pooled == pytest.approx(np.tile(expected, (1, 3)), abs=1e-4)


def test_a_query_that_matches_a_place_alone_pools_just_that_place(maps):
    features = np.zeros_like(maps[0])
    features[..., 1] = maps[0][..., 1]
    features[np.arange(200), np.arange(200) % 3, np.arange(200) % 2, 0] = 100
    model = heads.build(dataclasses.replace(LINEAR, queries=1, signed_sqrt=False), features, maps[1])
    model.get_layer("queries").kernel.assign(1e3 * np.eye(8, 1))
    pooled = keras.Model(model.input, model.get_layer("labels").input).predict_on_batch(features)
    mean, variance = heads.moments(features, heads.as_float32)
    there = features[np.arange(200), np.arange(200) % 3, np.arange(200) % 2]
    assert pooled == pytest.approx((there - mean) / np.sqrt(variance), abs=1e-3)


def test_moments_of_maps_count_every_place_as_a_row(maps):
    flat = maps[0].reshape(-1, 8)
    for found, expected in zip(heads.moments(maps[0], heads.as_float32, block=7), heads.moments(flat, heads.as_float32),
                               strict=True):  # fmt: skip
        assert found == pytest.approx(expected, rel=1e-5)


def test_heads_of_groups_specialists_and_maps_are_loaded_without_code_of_ours(grouped, maps, tmp_path):
    groups = heads.spread(heads.build(Head(groups=True), *grouped, exclusive=exclusive(grouped)), list(range(9)), 12)
    for model, features in ((groups, grouped[0]), (heads.build(Head(), *maps), maps[0])):
        model.save(tmp_path / "head.keras")
        loaded = keras.saving.load_model(tmp_path / "head.keras")
        assert np.array_equal(loaded.predict_on_batch(features), model.predict_on_batch(features))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The bytes of a small head's file, and a path to write others to."""
    path = tmp_path_factory.mktemp("run") / "head.keras"
    generator = np.random.default_rng(0)
    features = generator.normal(size=(20, 3)).astype(np.float16)
    heads.build(Head(units=(4,)), features, np.eye(20, 2, dtype=np.uint8)).save(path)
    return path.read_bytes(), path


def loaded_or_told(path):
    """Load a file: a head, or one sentence that names the file and the mend."""
    try:
        model = heads.load(path)
    except InputError as error:
        assert "head.keras is" in str(error) and f"remove {path.parent} and run" in str(error)
        assert str(error).count("\n") == 0 and len(str(error)) < 400
    else:
        found = model.predict_on_batch(np.ones((2, 3), np.float16))
        assert found.ndim == 2 and len(found) == 2


@pytest.mark.parametrize("share", [None, 0, 0.3, 0.999])
def test_a_head_that_is_missing_empty_or_cut_is_told_with_the_mend(share, saved):
    content, path = saved
    path.unlink(missing_ok=True)
    if share is not None:
        path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"head\.keras is (missing|damaged \(.*\)): remove .*make train MODEL=run"):
        heads.load(path)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_head_with_changed_bytes_is_loaded_or_told(saved, edits):
    content = bytearray(saved[0])
    for place, byte in edits:
        content[place % len(content)] = byte
    saved[1].write_bytes(content)
    loaded_or_told(saved[1])


VALUES = st.none() | st.booleans() | st.integers(-2, 9) | st.text(max_size=4) | st.just([]) | st.just({})


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.data())
def test_a_head_whose_configuration_was_changed_is_loaded_or_told(saved, data):
    content, path = saved
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    inner, key = data.draw(st.sampled_from(list(places_in(config))))
    inner[key] = data.draw(VALUES)
    with zipfile.ZipFile(path, "w") as archive:
        for name, written in {**files, "config.json": json.dumps(config)}.items():
            archive.writestr(name, written)
    loaded_or_told(path)


def places_in(value):
    """Yield every (dict or list, key) of nested JSON."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key
        yield from places_in(inner)


def test_the_prior_is_the_share_of_the_rows_that_know_the_label():
    targets = np.array([[1, 255, 255], [0, 255, 1], [255, 1, 255], [255, 0, 0]], np.uint8)
    assert heads.prior(targets) == pytest.approx([0, 0, 0])
    known, half = heads.prior(targets[:, :1]), heads.prior(np.uint8([[1], [0]]))
    assert np.array_equal(known, half)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="slopes are TensorFlow's")
@pytest.mark.parametrize("jit", [False, True])
def test_slopes_pass_a_head_where_features_are_0_so_that_a_network_below_it_can_learn(rows, jit):
    import tensorflow

    model = heads.build(LINEAR, *rows)

    @tensorflow.function(jit_compile=jit)
    def slopes(features):
        with tensorflow.GradientTape() as tape:
            tape.watch(features)
            total = tensorflow.reduce_sum(keras.Function(model.input, model.output)(features))
        return tape.gradient(total, features)

    found = slopes(tensorflow.constant([[0, 1, -4, 2, 0, 0, 1, 1]], "float32")).numpy()
    assert np.isfinite(found).all() and found[0, 0] == 0 and found[0, 1:4].all()
