"""The fingerprint of a feature store, and its JSON: an attribute of each shard, and a file beside them."""

import dataclasses
import json
import pathlib

from mlob.files import read_record, write_once
from mlob.recipes import Detector, Encoder, Text

YOUNGER = ("detector", "text", "encoder")  # fields that are left out where they are empty: earlier stores have none


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """All that shapes a feature: stores of equal fingerprints hold equal features of equal photos.

    Attributes:
        backbone, layer, pool, view: as the recipe names them; a backbone in a file, which may lie anywhere, is "file:".
        size: side of the photos that the network sees, pixels.
        preprocessing: `backbones.PREPROCESSING_VERSION`.
        decoder: `images.DECODER`.
        weights: digest of the weight arrays.
        runtime, precision: that the features were computed with.
        calibration: digest of the photos that int8 was calibrated on, of the terms that texts were cut into, or of the
            columns that were brought; None for others.
        detector: how the file of a detector is fed and read, as the recipe says; left out where there is none.
        text: how texts become numbers, as the recipe says; likewise.
        encoder: how a backbone in a file is fed; likewise.
    """

    backbone: str
    size: int
    layer: str
    pool: str
    view: str
    preprocessing: int
    decoder: str
    weights: str
    runtime: str
    precision: str
    calibration: str | None
    detector: str = ""
    text: str = ""
    encoder: str = ""

    def fields(self) -> dict[str, str | int | None]:
        """Give the fields by name, sorted, as JSON products hold them."""
        fields = dataclasses.asdict(self)
        return {name: fields[name] for name in sorted(fields) if name not in YOUNGER or fields[name]}

    def to_json(self) -> str:
        """Give the text of a shard's attribute; equal fingerprints give equal texts."""
        return json.dumps(self.fields())


def from_json(text: str) -> Fingerprint:
    """Read the text of a shard's attribute.

    Raises:
        ValueError: it is no fingerprint, or one with other fields.
    """
    fields = json.loads(text)
    names = {field.name for field in dataclasses.fields(Fingerprint)}
    if not isinstance(fields, dict) or {*YOUNGER, *fields} != names:
        raise ValueError(f"its fingerprint is {text:.40}")
    return Fingerprint(**fields)


def settings(recipe: Detector | Text | Encoder) -> str:
    """Tell the fields of a part of a recipe, sorted; a file may lie anywhere, and counts by its content."""
    fields = {name: value for name, value in sorted(dataclasses.asdict(recipe).items()) if name != "file"}
    texts = {name: " ".join(map(str, value)) if isinstance(value, tuple) else value for name, value in fields.items()}
    return ", ".join(f"{name} {text}" for name, text in texts.items())


def read(path: pathlib.Path) -> Fingerprint:
    """Read the file of a fingerprint.

    Raises:
        InputError: the file is missing, or holds no fingerprint.
    """
    return read_record(path, Fingerprint)


def declare(path: pathlib.Path, fingerprint: Fingerprint) -> Fingerprint:
    """Write the file of a fingerprint, once: of several processes that write one, the first is heard.

    Returns:
        The fingerprint that the file holds, this one or what was declared before.
    """
    write_once(path, json.dumps(fingerprint.fields(), indent=2) + "\n")
    return read(path)
