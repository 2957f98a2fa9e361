"""Presets of KerasHub as backbones, "hub:dinov2_small": image networks, and the vision towers of those with two.

What a preset is stands in its folder: config.json, the weights, and what its image converter does to pixels. The folder
is named with WEIGHTS=, or kagglehub downloads it. keras_hub, which loads TensorFlow, is imported where a network is
built or downloaded.
"""

from __future__ import annotations

import json
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mlob import hdf5
from mlob.errors import InputError
from mlob.features import backbones, presets
from mlob.features.backbone import Backbone
from mlob.features.presets import FAMILIES, Family, Preset
from mlob.features.weights import Source, Unreachable
from mlob.files import digest, read_json
from mlob.progress import say
from mlob.recipes import FeatureSet

if TYPE_CHECKING:
    import keras

CONFIG, CONVERTER = "config.json", "image_converter.json"
WHOLE, SHARDS = "model.weights.h5", "model.weights.json"  # the weights in one file, or the list of several


def name_of(feature_set: FeatureSet) -> str:
    """Give the name of the preset."""
    return feature_set.backbone.removeprefix(backbones.HUB)


def check(feature_set: FeatureSet) -> None:
    """Refuse a recipe of a preset that is unknown, sees no photos, or is asked for what it does not have.

    A preset that the recipe's `weights` names as a folder may have any name.

    Raises:
        InputError: with the nearest names, or with what was expected.
    """
    name, known = name_of(feature_set), presets.known()
    is_folder = feature_set.weights not in ("imagenet", "random")
    if name not in known and not is_folder:
        images = [each for each, preset in known.items() if preset.family in FAMILIES]
        raise InputError(f"KerasHub has no preset {name!r}{presets.nearest_to(name, images)}")
    if feature_set.weights == "random":
        raise InputError(f"{feature_set.backbone} has no random weights: name a folder, or leave out features.weights.")
    for field, wanted in {"layer": "last", "crop": None}.items():
        if (found := getattr(feature_set, field)) != wanted:
            raise InputError(f"features.{field} is {found!r} beside a preset of KerasHub; expected {wanted!r}.")
    if feature_set.precision == backbones.JPEG:
        raise InputError(f'The precision "{backbones.JPEG}" is of pixels, not of {feature_set.backbone}.')
    if name in known:
        _check_family(feature_set, known[name])


def _check_family(feature_set: FeatureSet, preset: Preset) -> None:
    if preset.family not in FAMILIES:
        told = preset.description or f"of {preset.family}"
        raise InputError(f"{feature_set.backbone} is no network from photos alone to their features: {told}")
    _check_pool(feature_set, FAMILIES[preset.family])
    _check_patch(feature_set, FAMILIES[preset.family].patch)


def _check_pool(feature_set: FeatureSet, family: Family) -> None:
    if feature_set.pool not in family.pools:
        gives = "tokens: a summary (cls) and patches" if family.before else "a map"
        raise InputError(
            f"features.pool is {feature_set.pool!r}, but {feature_set.backbone} gives {gives}; expected "
            f"{' or '.join(map(repr, family.pools))}."
        )


def _check_patch(feature_set: FeatureSet, patch: int) -> None:
    side = backbones.pixels(feature_set.size)
    if patch and side % patch:
        near = [patch * (side // patch + more) for more in (0, 1) if side // patch + more]
        raise InputError(
            f"features.size is {feature_set.size!r}, {side} pixels, but {feature_set.backbone} cuts photos into "
            f"patches of {patch}: expected {' or '.join(map(str, near))}."
        )


def backbone(feature_set: FeatureSet) -> Backbone:
    """Give a preset as a backbone, whose network has the preprocessing inside."""
    check(feature_set)
    known = presets.known().get(name_of(feature_set))
    family = FAMILIES[known.family] if known else Family(())
    parameters = known.parameters if known else 0.0
    return Backbone(_not_without_weights, _as_they_are, 0, (), None, family.licence, parameters=parameters)


def _not_without_weights(pixels: int) -> keras.Model:
    raise InputError(
        "A preset of KerasHub is built with its weights alone: networks that are trained whole take others."
    )


def _as_they_are(pixels: Any) -> Any:
    return pixels


# The folder of a preset


def source(feature_set: FeatureSet, given: pathlib.Path | str | None = None) -> Source | None:
    """Find a preset on this machine; None where it would have to be downloaded.

    Args:
        feature_set: the recipe.
        given: WEIGHTS=, the folder of the preset, or one that has a folder of its name.

    Raises:
        InputError: the folder is not there, damaged, of another network, or takes other sizes.
    """
    check(feature_set)
    named = feature_set.weights if feature_set.weights != "imagenet" else given
    folder = _folder(name_of(feature_set), pathlib.Path(named)) if named else cached(name_of(feature_set))
    if folder is None:
        return None
    _check_folder(feature_set, folder)
    kind = name_of(feature_set) if folder.name.isdecimal() else folder.name  # in the cache it is a version's number
    return Source(kind, folder, _digest(folder))


def _folder(name: str, given: pathlib.Path) -> pathlib.Path:
    for folder in (given, given / name):
        if (folder / CONFIG).is_file():
            return folder
    raise InputError(
        f"WEIGHTS={given} is no folder of a preset, nor has it one called {name}: expected {CONFIG} in it."
    )


def cached(name: str) -> pathlib.Path | None:
    """Give the folder of a preset in kagglehub's cache, if all of it is there."""
    from kagglehub.cache import Cache
    from kagglehub.handle import parse_model_handle

    handle = parse_model_handle(presets.known()[name].handle)
    there = [Cache().load_from_cache(handle, file) for file in (CONFIG, CONVERTER)]
    if not all(there) or not any(Cache().load_from_cache(handle, file) for file in (WHOLE, SHARDS)):
        return None
    return pathlib.Path(str(there[0])).parent


def _check_folder(feature_set: FeatureSet, folder: pathlib.Path) -> None:
    """Refuse a folder of another network than the recipe names, and a size that it does not take."""
    family, config = _family(folder), _vision(folder)
    known = presets.known().get(name_of(feature_set))
    if known and FAMILIES[known.family] != family:
        wanted = " or ".join(FAMILIES[known.family].classes)
        raise InputError(
            f"{folder} is a preset of {_read(folder)['class_name']}, and {feature_set.backbone} of {wanted}."
        )
    _check_pool(feature_set, family)
    if feature_set.pool.startswith("cls") and not (presets.one(config) or family.before is presets.none):
        raise InputError(f"{folder} has no summary token: expected features.pool 'mean' or 'grid'.")
    side, shape = backbones.pixels(feature_set.size), config.get("image_shape")
    if not family.any_size and shape and side != shape[0]:
        raise InputError(
            f"features.size is {feature_set.size!r}, {side} pixels, but the positions in {folder} are those of "
            f"{shape[0]}: expected features.size={shape[0]}."
        )
    _check_patch(feature_set, _patch(config) if family.before else 0)


def _family(folder: pathlib.Path) -> Family:
    """Give the family that a folder's configuration names."""
    content = _read(folder)
    for family in FAMILIES.values():
        if content["class_name"] in family.classes:
            return family
    raise InputError(
        f"{folder} is a preset of {content['class_name']}, which is no network from photos alone to their features."
    )


def _read(folder: pathlib.Path) -> dict[str, Any]:
    content = read_json(folder / CONFIG)
    fields = content if isinstance(content, dict) else {}
    is_whole = isinstance(fields.get("class_name"), str) and isinstance(fields.get("config"), dict)
    if not is_whole or not str(fields.get("registered_name", "keras_hub>")).startswith("keras_hub>"):
        raise InputError(f"{folder / CONFIG} is no configuration of a network of keras_hub: copy or download it again.")
    return fields


def _vision(folder: pathlib.Path) -> dict[str, Any]:
    """Give the configuration of a network, or of its vision tower."""
    config, tower = _read(folder)["config"], _family(folder).tower
    return config[tower]["config"] if tower else config


def _patch(config: dict[str, Any]) -> int:
    patch = config["patch_size"]
    return patch if isinstance(patch, int) else patch[0]


def _weight_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """List the files of the weights.

    Raises:
        InputError: there is none, or one of several is missing.
    """
    if (folder / SHARDS).is_file():
        named = {name for each in read_json(folder / SHARDS)["weight_map"].values() for name in _several(each)}
        files = [folder / name for name in sorted(named)]
    else:
        files = [folder / WHOLE]
    if lost := [path.name for path in files if not path.is_file()]:
        raise InputError(f"{folder} lacks its weights, {', '.join(lost)}: copy or download it again.")
    return files


def _several(names: str | Sequence[str]) -> Sequence[str]:
    return [names] if isinstance(names, str) else names


def _digest(folder: pathlib.Path) -> str:
    """Digest all that shapes a preset's features: arrays, configuration, and what is done to pixels."""
    parts: list[Any] = [json.dumps(_read(folder)["config"], sort_keys=True), json.dumps(_scaling(folder))]
    for path in _weight_files(folder):
        arrays = hdf5.arrays_of(path)
        parts += [part for name in sorted(arrays) for part in (name, arrays[name])]
    return digest(*parts)


def _scaling(folder: pathlib.Path) -> tuple[Any, Any]:
    """Give what a preset's image converter multiplies pixels by, and what it adds to them, by channel or for all."""
    if not (folder / CONVERTER).is_file():
        return 1.0, 0.0
    config = read_json(folder / CONVERTER).get("config", {})
    if "mean" in config and "variance" in config:  # older ones
        deviations = [variance**0.5 for variance in config["variance"]]
        offsets = [-mean / each for mean, each in zip(config["mean"], deviations, strict=True)]
        return [config.get("scale", 1.0) / each for each in deviations], offsets
    return config.get("scale") or 1.0, config.get("offset") or 0.0


def download(feature_set: FeatureSet) -> Source:
    """Download a preset by kagglehub into its own cache.

    Raises:
        Unreachable: there is no network, or kagglehub wants credentials.
    """
    name = name_of(feature_set)
    preset = presets.known()[name]
    say(f"Downloading the preset {name} by kagglehub; its licence: {preset.source}")
    try:
        _fetch(name)
    except Exception as error:  # kagglehub and its clients raise many kinds
        is_offline = isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
        told = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        reason = "no connection to Kaggle" if is_offline else told
        raise Unreachable(
            f"The preset {name} cannot be downloaded ({reason}): name its folder with WEIGHTS=, or a cache that has it "
            f"with KAGGLEHUB_CACHE=; where Kaggle asks who you are, accept the terms at {preset.source} and set "
            "KAGGLE_API_TOKEN."
        ) from error
    found = source(feature_set)
    if found is None:
        raise Unreachable(
            f"The preset {name} has no {CONVERTER}: download it into a folder, and name that with WEIGHTS=."
        )
    return found


def _fetch(name: str) -> None:
    from keras_hub.src.utils import preset_utils  # which tells a missing file from a missing network

    preset_utils.get_file(name, CONFIG)
    for file in (CONVERTER, WHOLE):
        if preset_utils.check_file_exists(name, file) or file == CONVERTER:
            continue
        listed = read_json(pathlib.Path(preset_utils.get_file(name, SHARDS)))
        for shard in sorted({each for names in listed["weight_map"].values() for each in _several(names)}):
            preset_utils.get_file(name, shard)


# The network


def network(feature_set: FeatureSet, origin: Source) -> keras.Model:
    """Build the network of a preset with its weights.

    Returns:
        A Keras model from pixels (side, side, 3), 0 to 255, to its map (h, w, c); and, of tokens, their summary (c).

    Raises:
        InputError: the weights are of another network.
    """
    assert origin.path
    import keras

    side = backbones.pixels(feature_set.size)
    family, config = _family(origin.path), _vision(origin.path)
    pixels = keras.Input((side, side, 3), name="pixels")
    scale, offset = _scaling(origin.path)
    scaled = keras.layers.Rescaling(scale, offset, dtype="float32")(pixels)
    given = _loaded(origin.path, family, side)(scaled)
    if not family.before:
        return keras.Model(pixels, _as_map(given, round((given.shape[1] or 0) ** 0.5)))
    tokens, summary = given if isinstance(given, list) else (given, given[:, 0])
    feature_map = _as_map(tokens[:, family.before(config) :], side // _patch(config))
    return keras.Model(pixels, [feature_map, summary])


def _loaded(folder: pathlib.Path, family: Family, side: int) -> Callable[[Any], Any]:
    """Load a preset, and give the function from scaled pixels to what it gives."""
    import keras
    import keras_hub
    from keras_hub.src.models.swin_transformer import swin_transformer_layers

    swin_transformer_layers.ops = _PlainOps(keras.ops)
    warnings.filterwarnings("ignore", "Layer 'attn' .* does not support masking")  # Swin's mask is an input of its own
    config = _read(folder)["config"]
    shapes = {field: (side, side, 3) for field in ("image_shape", "input_shape") if field in config and family.any_size}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Skipping nested container")  # its layers would stay as they were
            whole = keras_hub.models.Backbone.from_preset(str(folder), **shapes)
    except (ValueError, TypeError, KeyError, OSError, UserWarning) as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise InputError(f"{folder} is no whole preset ({reason}): copy or download it again.") from error
    seeing = getattr(whole, family.tower) if family.tower else whole
    outputs = [seeing.post_layer_norm.output, seeing.output] if family.before is presets.none else _last(seeing.output)
    model = keras.Model(seeing.input, outputs)
    names = [*seeing.input] if isinstance(seeing.input, dict) else []
    return lambda pixels: model({names[0]: pixels} if names else pixels)


def _last(outputs: Any) -> Any:
    """Give the last map of a network that gives one for each of its stages, the smallest."""
    return min(outputs.values(), key=lambda each: each.shape[1]) if isinstance(outputs, dict) else outputs


class _PlainOps:
    """keras.ops, where a slice is put into an array by operations that OpenVINO has, too.

    Swin Transformers put the mask of their shifted windows together so, each time anew.
    """

    def __init__(self, ops: Any) -> None:
        self._ops = ops

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ops, name)

    def slice_update(self, whole: Any, start: Sequence[int], update: Any) -> Any:
        """Give the whole with the update in it, from the start on."""
        ends = zip(start, update.shape, whole.shape, strict=True)
        around = [(first, length - first - own) for first, own, length in ends]
        inside = self._ops.pad(self._ops.ones_like(update), around)
        return whole * (1 - inside) + self._ops.pad(update, around)


def _as_map(given: keras.KerasTensor, across: int) -> keras.KerasTensor:
    """Lay the tokens of patches out as a map of the photo, so many across; a map stays one."""
    import keras

    if len(given.shape) == 4:
        return given
    return keras.ops.reshape(given, (-1, across, across, given.shape[2]))
