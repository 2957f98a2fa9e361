"""What ties whole networks to heads on stored features, for every backbone, on small photos and settled weights."""

import dataclasses
import types

import keras
import numpy as np
import pytest
import settled

from mlob.errors import InputError
from mlob.features import backbones, weights
from mlob.models import heads, networks
from mlob.models.beginning import Beginning
from mlob.phases import Convolutions, Network, Phase
from mlob.recipes import Experiment, FeatureSet, Head

pytestmark = pytest.mark.slow  # networks are built

SIDE = 96  # of photos: the smallest that all backbones take, nearly
OTHER_SIDE = 128
PHOTOS, LABELS = 16, 5
PIXELS = FeatureSet("pixels", pool="grid")
PIXELS_ALONE = Beginning(PIXELS, source=weights.random())
CLOSE = 1e-3  # between probabilities, of features that are rounded to float16
HEAD = Head(units=(16,))


@pytest.fixture(scope="module", autouse=True)
def small():
    """Let small photos be small, and each backbone be built once, settled."""
    built, photos = {}, settled.photos(PHOTOS, SIDE)

    def network(feature_set, source):
        name = feature_set.backbone
        if name not in built:
            keras.layers.Add()  # so that Keras counts Xception's from another number on
            built[name] = settled.settle(build(FeatureSet(name), source), FeatureSet(name), photos)
        return backbones.cut(built[name], feature_set)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(backbones.SIZES, "small", SIDE)
        build = weights.network
        patch.setattr(weights, "network", network)
        yield


@pytest.fixture(scope="module")
def tie(small, tmp_path_factory):
    """Make features, a head on them, and the plan of a network that takes it over: tie(feature set, reads, head)."""
    photos, source = settled.photos(PHOTOS, SIDE), weights.random()
    targets = (np.random.default_rng(1).random((PHOTOS, LABELS)) < 0.4).astype(np.uint8)

    def make(feature_set, reads=PIXELS, head=HEAD):
        path, stored = tmp_path_factory.mktemp("head") / "head.keras", extracted(feature_set, photos)
        heads.build(head, stored, targets).save(path)
        rows = photos if backbones.is_pixels(reads) else extracted(reads, photos)
        experiment = Experiment(("any",), head, network=Network(feature_set.backbone))
        plan = networks.plan(experiment, Beginning(reads, feature_set, source, path, {}), rows, targets)
        return types.SimpleNamespace(plan=plan, rows=rows, expected=networks.answers(heads.load(path), stored))

    return make


def extracted(feature_set, photos):
    """Features float16, as a store holds them."""
    extractor = backbones.extractor(weights.network(feature_set, weights.random()), feature_set)
    return networks.answers(extractor, photos).astype(np.float16)


def far_apart(probabilities):
    """Whether photos get different answers: else those of another network would be close to them, too."""
    return np.ptp(probabilities, axis=0).min() > 10 * CLOSE


NAMES = (  # a network of each family
    *("xception", "inception_v3", "resnet50", "mobilenet", "densenet169", "efficientnet_v2_b0", "convnext_tiny"),
    *("efficientnet_lite0", "mnasnet1_0", "wide_resnet50_2"),
)


@pytest.fixture(scope="module", params=NAMES)
def tied(request, tie):
    """Each backbone, with a head that was trained on its features."""
    made = tie(FeatureSet(request.param))
    made.model = made.plan.build()
    return made


def test_with_everything_frozen_a_network_predicts_what_its_head_does_on_stored_features(tied):
    assert far_apart(tied.expected)
    assert networks.answers(tied.model, tied.rows) == pytest.approx(tied.expected, abs=CLOSE)


def test_in_training_its_backbone_computes_as_it_does_in_prediction(tied):
    plain = dataclasses.replace(tied.plan, head=dataclasses.replace(HEAD, dropout=0))
    model = heads.with_logits(plain.build())
    before = [variable.numpy() for variable in model.variables]
    learned = plain.in_training(model, Phase(), seed=0)
    found = keras.ops.convert_to_numpy(learned(tied.rows, training=True))
    assert found == pytest.approx(networks.answers(model, tied.rows), abs=1e-5)
    assert all(np.array_equal(one, other) for one, other in zip(before, model.variables, strict=True))
    assert {id(one) for one in learned.trainable_variables} == {id(one) for one in model.trainable_variables}


def test_shares_of_the_rate_fall_from_block_to_block(tied):
    shares = tied.plan.shares(tied.model, Phase(block_decay=0.5))
    backbone = networks.backbone_of(tied.model)
    assert {*shares} == {variable.path for variable in backbone.variables}
    in_order = [shares[variable.path] for layer in backbone.layers for variable in layer.variables]
    assert {*in_order} == {0.5**block for block in range(1, len(tied.plan.stages) + 1)}
    assert np.mean(np.diff(in_order) < 0) < 0.03  # layers of parallel branches stand in any order


POOLS = [
    (FeatureSet("mobilenet", pool="max"), HEAD),
    (FeatureSet("mobilenet", pool="blocks"), HEAD),
    (FeatureSet("mobilenet", pool="grid"), dataclasses.replace(HEAD, queries=2)),
    (FeatureSet("mobilenet", layer="conv_pw_11_relu"), HEAD),
    (FeatureSet("mobilenet"), Head(units=(), standardise=False, signed_sqrt=False)),
    (FeatureSet("mobilenet"), Head(units=(16,), batch_norm=True, branches=3)),
    (FeatureSet("xception", layer="add_10"), HEAD),
]


@pytest.mark.parametrize("feature_set, head", POOLS)
def test_so_it_does_with_other_pools_cuts_and_heads(feature_set, head, tie):
    tied = tie(feature_set, head=head)
    assert far_apart(tied.expected)
    assert networks.answers(tied.plan.build(), tied.rows) == pytest.approx(tied.expected, abs=CLOSE)


MAPS = [("mobilenet", "conv_pw_11_relu"), ("xception", "add_10"), ("resnet50", "conv4_block6_out")]


@pytest.mark.parametrize("name, layer", MAPS)
def test_and_over_maps_of_an_earlier_layer(name, layer, tie):
    tied = tie(FeatureSet(name), FeatureSet(name, pool="grid", layer=layer))
    model = tied.plan.build()
    assert model.input.dtype == "float16" and far_apart(tied.expected)
    assert networks.answers(model, tied.rows) == pytest.approx(tied.expected, abs=CLOSE)


@pytest.fixture(scope="module", params=["mobilenet", "xception"])
def one(request, tie):
    """A network of two backbones, for what is the same of all."""
    made = tie(FeatureSet(request.param))
    made.model = made.plan.build()
    return made


def test_saved_and_loaded_a_network_predicts_the_same_bytes(one, tmp_path):
    one.model.save(tmp_path / "head.keras")
    again = heads.load(tmp_path / "head.keras")
    assert networks.answers(again, one.rows).tobytes() == networks.answers(one.model, one.rows).tobytes()


def test_built_for_photos_of_another_size_it_has_the_same_weights(one):
    other = one.plan.build(OTHER_SIDE)
    assert other.input_shape == one.model.input_shape
    assert all(np.array_equal(*pair) for pair in zip(other.get_weights(), one.model.get_weights(), strict=True))
    assert np.abs(networks.answers(other, one.rows) - one.expected).max() > CLOSE  # it does see other photos


# What is unfrozen


def learning(tied, wanted):
    """Unfreeze; the names of the backbone's layers that learn."""
    tied.plan.unfreeze(tied.model, Phase(unfreeze=wanted))
    backbone = networks.backbone_of(tied.model)
    learned = {id(variable) for variable in tied.model.trainable_variables}
    names = [layer.name for layer in backbone.layers if layer.trainable]
    own = {id(variable) for layer in backbone.layers if layer.name in names for variable in layer.trainable_variables}
    head = learned - {id(variable) for variable in backbone.variables}
    assert own <= learned and len(learned) == len(own) + len(head) and len(head) == 4  # two layers of the head
    return names


def test_layers_are_unfrozen_by_number_or_name_all_or_none(one):
    names = [layer.name for layer in networks.backbone_of(one.model).layers]
    assert learning(one, "everything") == names and learning(one, "nothing") == learning(one, "0") == []
    assert learning(one, "17") == names[-17:] and learning(one, str(len(names))) == names
    assert learning(one, names[-9]) == names[-9:] and learning(one, names[0]) == names


def test_a_name_that_keras_counts_on_means_the_layer_of_the_published_network(tie):
    tied = tie(FeatureSet("xception"))
    tied.model = tied.plan.build()
    assert "add" not in [layer.name for layer in networks.backbone_of(tied.model).layers]
    assert learning(tied, "add_10") == learning(tied, "block13_sepconv1_act")


def test_layers_that_are_not_there_are_refused(one):
    count = len(networks.backbone_of(one.model).layers)
    with pytest.raises(InputError, match=rf"unfreeze is '{count + 1}', but the backbone has {count} layers"):
        learning(one, str(count + 1))
    first = networks.backbone_of(one.model).layers[1].name
    with pytest.raises(InputError, match=f"unfreeze is '{first}s': the backbone has no such layer.*{first}"):
        learning(one, f"{first}s")


def test_a_head_of_another_form_is_not_taken_over(tie):
    plan = tie(FeatureSet("mobilenet")).plan
    with pytest.raises(InputError, match=r"The head .*head\.keras is not of this network's form"):
        dataclasses.replace(plan, head=Head(units=(8,))).build()


# Trained from nothing


def from_nothing(convolutions, head=HEAD):
    photos = settled.photos(PHOTOS, SIDE)
    targets = (np.random.default_rng(1).random((PHOTOS, LABELS)) < 0.4).astype(np.uint8)
    experiment = Experiment(("any",), head, network=Network(convolutions=convolutions))
    return networks.plan(experiment, Beginning(PIXELS), photos, targets), photos


def test_seed_004s_layers_have_the_parameters_that_they_had():
    convolutions = Convolutions(filters=(8, 16, 32), kernel=4, pooled=3, pool=4)
    model = from_nothing(convolutions, Head(units=(), standardise=False))[0].build()
    expected = (4 * 4 * 3 + 1) * 8 + (4 * 4 * 8 + 1) * 16 + (4 * 4 * 16 + 1) * 32 + (32 + 1) * LABELS
    assert model.count_params() == expected  # 96 pixels, a fourth of them thrice, are one


def test_layers_from_nothing_standardise_with_the_moments_of_what_they_give_at_first():
    plan, photos = from_nothing(Convolutions(flatten=False))
    model = plan.build()
    keras.utils.set_random_seed(9)  # what was drawn in between has no say
    standardised = keras.Model(model.input, model.get_layer("standardise").output)
    features = networks.answers(standardised, photos)
    assert features.mean(axis=0) == pytest.approx(np.zeros(32), abs=1e-3)
    assert features[:, features.any(axis=0)].std(axis=0) == pytest.approx(1, abs=1e-3)
    assert networks.backbone_of(model) is model.get_layer(backbones.EXTRACTOR)


@pytest.mark.parametrize("extractor", ["", "mobilenet"])
def test_the_recipes_seed_decides_what_starts_at_random(extractor, small):
    photos, targets = settled.photos(PHOTOS, SIDE), np.eye(PHOTOS, LABELS, dtype=np.uint8)
    begin = dataclasses.replace(PIXELS_ALONE, extractor=FeatureSet(extractor)) if extractor else PIXELS_ALONE
    network = Network(extractor, None if extractor else Convolutions())
    found = []
    for seed in (0, 0, 1):
        experiment = Experiment(("any",), HEAD, seed=seed, network=network)
        found.append(networks.plan(experiment, begin, photos, targets).build().get_weights())
    one, again, other = ([array.tobytes() for array in each] for each in found)
    assert one == again and one[-4] != other[-4]  # of the head's first layer


def test_averaged_over_the_places_they_take_photos_of_another_size():
    plan, photos = from_nothing(Convolutions(flatten=False))
    model, other = plan.build(), plan.build(OTHER_SIDE)
    other.set_weights(model.get_weights())
    assert networks.answers(other, photos).shape == (PHOTOS, LABELS)


# Before anything is read


@pytest.mark.parametrize(
    "wanted, told",
    [
        ("conv_pw_12_rele", "unfreeze is 'conv_pw_12_rele': the backbone has no such layer.*conv_pw_12_relu"),
        ("17000", "unfreeze is '17000', but the backbone has 86 layers"),
    ],
)
def test_layers_that_a_backbone_lacks_are_refused_before_its_weights_are_there(wanted, told, small):
    network = Network("mobilenet", phases=(Phase(unfreeze="17"), Phase(unfreeze=wanted)))
    with pytest.raises(InputError, match=told):
        networks.check_unfreezing(network, PIXELS, FeatureSet("mobilenet"))


def test_so_are_layers_below_the_maps_that_a_network_reads(small):
    maps, extractor = FeatureSet("mobilenet", pool="grid", layer="conv_pw_11_relu"), FeatureSet("mobilenet")
    networks.check_unfreezing(Network("mobilenet", phases=(Phase(unfreeze="conv_dw_12"),)), maps, extractor)
    below = Network("mobilenet", phases=(Phase(unfreeze="conv_dw_2"),))
    networks.check_unfreezing(below, PIXELS, extractor)
    with pytest.raises(InputError, match="unfreeze is 'conv_dw_2': the backbone has no such layer"):
        networks.check_unfreezing(below, maps, extractor)
