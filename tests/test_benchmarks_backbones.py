"""The benchmark that counts parameters and operations of backbones agrees with their tables."""

import pytest

from benchmarks import backbones as benchmark
from mlob.features.backbones import BACKBONES


@pytest.mark.parametrize("name", ["mobilenet", "mobilenet_v3_small", "vgg16", "xception", "efficientnet_lite1"])
def test_the_table_has_what_is_counted(name):
    assert benchmark.measure(name) == (BACKBONES[name].parameters, BACKBONES[name].gflop)


def test_every_backbone_has_its_numbers():
    assert all(backbone.parameters > 0 and backbone.gflop > 0 for backbone in BACKBONES.values())
