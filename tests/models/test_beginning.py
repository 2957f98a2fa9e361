import pytest

from mlob.errors import InputError
from mlob.models import beginning
from mlob.phases import Augmentation, Network, Phase
from mlob.recipes import FeatureSet

PIXELS = FeatureSet("pixels", pool="grid")
MAPS = FeatureSet("mobilenet", layer="conv_pw_10_relu", pool="grid")


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
