"""The fingerprint of a feature store, and its JSON: an attribute of each shard, and a file beside them."""

import dataclasses
import json
import pathlib

from mlob.files import read_record, write_once


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """All that shapes a feature: stores of equal fingerprints hold equal features of equal photos.

    Attributes:
        backbone, layer, pool, view: as the recipe names them.
        size: side of the photos that the network sees, pixels.
        preprocessing: `backbones.PREPROCESSING_VERSION`.
        decoder: `images.DECODER`.
        weights: digest of the weight arrays.
        runtime, precision: that the features were computed with.
        calibration: digest of the photos that int8 was calibrated on; None for other precisions.
        detector: how the file of a detector is fed and read, as the recipe says; left out where there is none.
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

    def fields(self) -> dict[str, str | int | None]:
        """Give the fields by name, sorted, as JSON products hold them."""
        fields = dataclasses.asdict(self)
        return {name: fields[name] for name in sorted(fields) if name != "detector" or self.detector}

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
    if not isinstance(fields, dict) or {"detector", *fields} != names:
        raise ValueError(f"its fingerprint is {text:.40}")
    return Fingerprint(**fields)


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
