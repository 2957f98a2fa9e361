"""Presets of KerasHub: which families of them see photos and give features, and what keras_hub says of each.

Names and facts are read from keras_hub's files, and its code, which loads TensorFlow, is not run.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.util
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

from mlob.errors import InputError, nearest

OF_MAPS, OF_TOKENS = ("avg", "max", "grid"), ("cls", "mean", "cls_mean", "grid")  # pools
MISSING = "Presets of KerasHub need a package that is missing here: pip install 'mlob[hub]'"


@dataclasses.dataclass(frozen=True)
class Family:
    """The presets in one folder of keras_hub.

    Attributes:
        classes: of their backbones, in config.json.
        licence: of the weights; empty where it is not one for all.
        before: function of the configuration that gives the tokens before the patches: a summary, and registers; None
            of networks that give maps.
        tower: the attribute that holds the vision tower of two.
        patch: of any of these presets, pixels; 0 where each has its own.
        any_size: positions are made for the size; else it is the one that the weights were trained at.
    """

    classes: tuple[str, ...]
    licence: str = ""
    before: Callable[[dict[str, Any]], int] | None = None
    tower: str = ""
    patch: int = 0
    any_size: bool = True

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools that there are."""
        return OF_TOKENS if self.before else OF_MAPS


def registers(config: dict[str, Any]) -> int:
    """Count a summary and the registers, which are no patches either."""
    return 1 + config["num_register_tokens"]


def one(config: dict[str, Any]) -> int:
    """Count a summary, where there is one."""
    return 1 if config.get("use_class_token", True) else 0


def two(config: dict[str, Any]) -> int:
    """Count a summary, and a second one that learned from a teacher."""
    return 2


def none(config: dict[str, Any]) -> int:
    """Count none: attention over the patches gives the summary."""
    return 0


FAMILIES = {
    "clip": Family(("CLIPBackbone",), "MIT", one, "vision_encoder", any_size=False),
    "cspnet": Family(("CSPNetBackbone",)),
    "deit": Family(("DeiTBackbone",), "Apache 2.0", two, any_size=False),
    "densenet": Family(("DenseNetBackbone",)),
    "dinov2": Family(("DINOV2Backbone",), "Apache 2.0", registers, patch=14),
    "dinov3": Family(("DINOV3Backbone",), "DINOv3 License", registers, patch=16),
    "efficientnet": Family(("EfficientNetBackbone",)),
    "hgnetv2": Family(("HGNetV2Backbone",)),
    "metaclip_2": Family(("MetaCLIP2Backbone",), "CC BY-NC 4.0", one, "vision_encoder", any_size=False),
    "mit": Family(("MiTBackbone",), "NVIDIA Source Code License"),
    "mobilenet": Family(("MobileNetBackbone",)),
    "resnet": Family(("ResNetBackbone",)),
    "siglip": Family(("SigLIPBackbone",), "", none, "vision_encoder", any_size=False),
    "swin_transformer": Family(("SwinTransformerBackbone",), "MIT", any_size=False),
    "vgg": Family(("VGGBackbone",)),
    "vit": Family(("ViTBackbone",), "Apache 2.0", one, any_size=False),
    "xception": Family(("XceptionBackbone",)),
}


@dataclasses.dataclass(frozen=True)
class Preset:
    """What keras_hub says of a preset.

    Attributes:
        family: name of its folder in keras_hub, a key of FAMILIES if it sees photos.
        parameters: how many, in millions, of both towers where it has two.
        description: in a sentence.
        handle: where kagglehub finds it, owner/model/framework/variation/version.
    """

    family: str
    parameters: float
    description: str
    handle: str

    @property
    def source(self) -> str:
        """Address of the page that tells its origin and its licence."""
        return "https://www.kaggle.com/models/" + "/".join(self.handle.split("/")[:2])


@functools.cache
def known() -> dict[str, Preset]:
    """Read all presets of the installed keras_hub, whose code is not run: {name: `Preset`}.

    Raises:
        InputError: it is not installed.
    """
    spec = importlib.util.find_spec("keras_hub")
    if spec is None:
        raise InputError(MISSING)
    found = {}
    for folder in spec.submodule_search_locations or ():
        for path in sorted(pathlib.Path(folder).glob("src/models/*/*_presets.py")):
            for name, facts in _literals(path):
                about = facts.get("metadata", {})
                found[name] = Preset(
                    path.parent.name,
                    round(about.get("params", 0) / 1e6, 1),
                    " ".join(about.get("description", "").split()),
                    facts.get("kaggle_handle", "").removeprefix("kaggle://"),
                )
    return found


def nearest_to(name: str, names: Iterable[str]) -> str:
    """End a sentence about an unknown name with the nearest ones, or with what lists the many that there are."""
    told = nearest(name, names)
    return told if told.startswith(". Did") else ": `mlob backbones` lists those that there are."


def _literals(path: pathlib.Path) -> list[tuple[str, dict[str, Any]]]:
    """List the presets that a file of keras_hub names: each is a dict in a dict."""
    found = []
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and None not in node.value.keys:
            found += [*ast.literal_eval(node.value).items()]
    return found
