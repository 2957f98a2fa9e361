"""What a network cannot begin with, or read, is refused before anything is loaded."""

import dataclasses

import pytest

from mlob.errors import InputError
from mlob.models import beginning
from mlob.models.beginning import Beginning
from mlob.phases import Augmentation, Convolutions, Network, Phase
from mlob.recipes import FeatureSet

PIXELS = FeatureSet("pixels", pool="grid")
EXTRACTOR = FeatureSet("mobilenet")
MAPS = dataclasses.replace(EXTRACTOR, layer="conv_pw_11_relu", pool="grid")


@pytest.mark.parametrize("reads", [PIXELS, MAPS])
def test_pixels_and_maps_of_an_earlier_layer_are_read(reads):
    beginning.check(reads, EXTRACTOR)


@pytest.mark.parametrize(
    "reads, extractor, told",
    [
        (dataclasses.replace(PIXELS, size="large"), EXTRACTOR, "takes photos of the size 'small': found .*'large'"),
        (dataclasses.replace(PIXELS, view="flip"), EXTRACTOR, "sees photos as wholes"),
        (dataclasses.replace(MAPS, backbone="xception"), EXTRACTOR, "an earlier layer of mobilenet"),
        (dataclasses.replace(MAPS, weights="random"), EXTRACTOR, "an earlier layer of mobilenet"),
        (dataclasses.replace(MAPS, pool="avg"), EXTRACTOR, "an earlier layer of mobilenet"),
        (dataclasses.replace(MAPS, layer="last"), EXTRACTOR, "an earlier layer of mobilenet"),
        (MAPS, dataclasses.replace(EXTRACTOR, pool="blocks"), 'cannot have the pool "blocks"'),
        (PIXELS, PIXELS, "begins with a backbone"),
        (MAPS, None, "convolutions reads a store of pixels"),
    ],
)
def test_other_stores_are_refused(reads, extractor, told):
    with pytest.raises(InputError, match=told):
        beginning.check(reads, extractor)


@pytest.mark.parametrize(
    ("network", "fields"),
    [
        (Network("mobilenet", phases=(Phase(), Phase(size=160))), r"network\.phases\[1\]\.size"),
        (
            Network("mobilenet", phases=(Phase(augmentation=Augmentation(flip=True)),), views=("flip",)),
            r"network\.phases\[0\]\.augmentation, network\.views",
        ),
    ],
)
def test_only_a_network_on_pixels_may_change_them(network, fields):
    with pytest.raises(InputError, match=rf"^{fields}: maps stay as they are stored"):
        beginning.refuse_changes_of_maps(MAPS, network)
    beginning.refuse_changes_of_maps(PIXELS, network)
    beginning.refuse_changes_of_maps(MAPS, Network("mobilenet"))


def test_a_head_reads_no_pixels():
    beginning.refuse_pixels({"mobilenet": EXTRACTOR})
    with pytest.raises(InputError, match="store pixels_small holds pixels, which a head cannot read"):
        beginning.refuse_pixels({"pixels_small": PIXELS})


def test_flattened_convolutions_take_photos_of_one_size():
    phases = (Phase(size=96), Phase())
    Network(convolutions=Convolutions(flatten=False), phases=phases)
    with pytest.raises(InputError, match=r"Phases have the sizes \[0, 96\], but flattened convolutions take one"):
        Network(convolutions=Convolutions(), phases=phases)


def test_networks_are_told_apart_by_the_fields_that_they_always_had():
    told = Beginning(PIXELS, EXTRACTOR).identity["extractor"]
    assert {*told} == {"backbone", "size", "layer", "pool", "view", "weights", "detector"}
