"""Networks of torchvision, against PyTorch's arithmetic in NumPy, by the names of torchvision's modules."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from mlob.errors import InputError
from mlob.features import backbones, torchvision, weights
from mlob.recipes import FeatureSet

pytestmark = pytest.mark.slow  # networks are built

MNASNET_STACKS = {8: (3, 2, 3, 24, 3), 9: (5, 2, 3, 40, 3), 10: (5, 2, 6, 80, 3), 11: (3, 1, 6, 96, 2)}
MNASNET_STACKS |= {12: (5, 2, 6, 192, 4), 13: (3, 1, 6, 320, 1)}


class Arithmetic:
    """What torch.nn computes (n, c, h, w); arrays of modules are drawn when they are first asked for."""

    def __init__(self):
        self.arrays, self.generator = {}, np.random.default_rng(0)

    def array(self, name, shape, low, high):
        if name not in self.arrays:
            self.arrays[name] = self.generator.uniform(low, high, shape).astype(np.float32)
        return self.arrays[name]

    def conv(self, x, name, out, kernel, stride=1, groups=1):
        into = x.shape[1] // groups
        bound = np.sqrt(6 / (into * kernel**2))
        weight = self.array(f"{name}.weight", (out, into, kernel, kernel), -bound, bound)
        pad = kernel // 2
        padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride]
        if groups > 1:
            return np.einsum("nchwij,cij->nchw", windows, weight[:, 0])
        return np.moveaxis(np.tensordot(windows, weight, ((1, 4, 5), (1, 2, 3))), 3, 1)

    def norm(self, x, name):
        bounds = {"weight": (0.5, 1.5), "bias": (-0.2, 0.2), "running_mean": (-0.2, 0.2), "running_var": (0.5, 1.5)}
        gamma, beta, mean, variance = (
            self.array(f"{name}.{kind}", x.shape[1], *ends).reshape(-1, 1, 1) for kind, ends in bounds.items()
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta


def relu(x):
    return np.maximum(x, 0)


def mnasnet(torch, x):
    x = relu(torch.norm(torch.conv(x, "layers.0", 32, 3, 2), "layers.1"))
    x = relu(torch.norm(torch.conv(x, "layers.3", 32, 3, groups=32), "layers.4"))
    x = torch.norm(torch.conv(x, "layers.6", 16, 1), "layers.7")
    for stack, (kernel, stride, expansion, out, repeats) in MNASNET_STACKS.items():
        for block in range(repeats):
            name, own = f"layers.{stack}.{block}.layers", x
            wide = x.shape[1] * expansion
            x = relu(torch.norm(torch.conv(x, f"{name}.0", wide, 1), f"{name}.1"))
            x = relu(torch.norm(torch.conv(x, f"{name}.3", wide, kernel, 1 if block else stride, wide), f"{name}.4"))
            x = torch.norm(torch.conv(x, f"{name}.6", out, 1), f"{name}.7")
            x = x + own if block else x
    return relu(torch.norm(torch.conv(x, "layers.14", 1280, 1), "layers.15"))


def wide_resnet(torch, x):
    x = relu(torch.norm(torch.conv(x, "conv1", 64, 7, 2), "bn1"))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    x = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2].max(axis=(4, 5))
    for layer, (planes, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        for block in range(blocks):
            name, own, stride = f"layer{layer}.{block}", x, 2 if layer > 1 and block == 0 else 1
            x = relu(torch.norm(torch.conv(x, f"{name}.conv1", planes * 2, 1), f"{name}.bn1"))
            x = relu(torch.norm(torch.conv(x, f"{name}.conv2", planes * 2, 3, stride), f"{name}.bn2"))
            x = torch.norm(torch.conv(x, f"{name}.conv3", planes * 4, 1), f"{name}.bn3")
            if block == 0:
                own = torch.conv(own, f"{name}.downsample.0", planes * 4, 1, stride)
                own = torch.norm(own, f"{name}.downsample.1")
            x = relu(x + own)
    return x


NETWORKS = {"mnasnet1_0": (mnasnet, torchvision.mnasnet), "wide_resnet50_2": (wide_resnet, torchvision.wide_resnet)}


@pytest.fixture(scope="module", params=NETWORKS)
def compared(request):
    """A network's name, its arrays, images, and the map that PyTorch's arithmetic gives for them."""
    reference, _ = NETWORKS[request.param]
    torch, images = Arithmetic(), np.random.default_rng(1).normal(size=(2, 65, 65, 3)).astype(np.float32)
    expected = np.moveaxis(reference(torch, np.moveaxis(images, 3, 1)), 1, 3)
    return request.param, torch.arrays, images, expected


def test_a_network_computes_what_pytorch_computes(compared):
    name, arrays, images, expected = compared
    model = NETWORKS[name][1](65)
    counts = {f"{each.removesuffix('.running_var')}.num_batches_tracked": np.int64(7) for each in arrays}
    torchvision.assign(model, {**arrays, **counts, "fc.weight": np.zeros((1000, 2048)), "fc.bias": np.zeros(1000)})
    found = model.predict_on_batch(images)
    assert found.shape == expected.shape and np.ptp(expected) > 0.1
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(("name", "parameters"), [("mnasnet1_0", 4_383_312), ("wide_resnet50_2", 68_883_240)])
def test_the_parameters_are_as_many_as_torchvision_publishes(name, parameters):
    backbone = backbones.BACKBONES[name]
    model = NETWORKS[name][1](224)
    assert model.output_shape == (None, 7, 7, backbone.length)
    own = sum(np.prod(variable.shape) for variable in model.trainable_variables)
    assert own + (backbone.length + 1) * 1000 == parameters
    assert {*backbone.stages} <= {layer.name for layer in model.layers}


def test_weights_are_found_as_a_file_of_safetensors_and_refused_where_it_is_damaged(compared, tmp_path):
    name, arrays, *_ = compared
    if name != "mnasnet1_0":
        pytest.skip("one network is enough")
    path, feature_set = tmp_path / f"{name}.safetensors", FeatureSet(name)
    save_file(arrays, path)
    for given in (path, tmp_path):
        source = weights.at_hand(feature_set, given)
        assert (source.kind, source.path) == (path.name, path)
    network = weights.network(feature_set, source)
    assert np.array_equal(
        network.get_layer("layers_0").get_weights()[0], arrays["layers.0.weight"].transpose(2, 3, 1, 0)
    )
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"mnasnet1_0\.safetensors is not a whole file of safetensors"):
        weights.at_hand(feature_set, path)
