"""Large JSON files, decoded a record at a time: two million dicts at once would take several times the file.

msgspec finds where each item of a list starts and ends, and decodes it when it is used; Python's own json reads a whole
file, and has the last word on what msgspec does not take.
"""

from __future__ import annotations

import array
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlob.data import places
from mlob.data.annotations import listing
from mlob.data.annotations.listing import Listed
from mlob.errors import InputError
from mlob.files import parse_json, read_json
from mlob.texts import Mirrors, Texts

if TYPE_CHECKING:
    import msgspec
    from scipy.sparse import csr_array

    from mlob.data.places import Folder

LARGEST = 2**62  # of the number of a label

Json = dict | list | str | int | float | bool | None  # any value, before it is checked


class Records:
    """The items of a list in a JSON file, decoded as they are walked through."""

    def __init__(self, path: Folder, raws: list[msgspec.Raw]) -> None:
        self._path, self._raws = path, raws

    def __len__(self) -> int:
        return len(self._raws)

    def __iter__(self) -> Iterator[Any]:
        """Give the items.

        Raises:
            InputError: one is not JSON.
        """
        import msgspec

        for raw in self._raws:
            try:
                yield msgspec.json.decode(raw)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                yield parse_json(self._path, bytes(raw))


def read(path: Folder) -> Any:
    """Read a JSON file; it is `Records` if it is a list, and the lists in it are if it is an object.

    Raises:
        InputError: the file is missing, not to be read, or not JSON.
    """
    import msgspec

    with places.reached(path):
        try:
            content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
            parts = msgspec.json.decode(content, type=dict[str, msgspec.Raw] | list[msgspec.Raw])
            if isinstance(parts, list):
                return Records(path, parts)
            return {key: _part(path, raw) for key, raw in parts.items()}
        except (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return read_json(path)


def _part(path: Folder, raw: msgspec.Raw) -> Any:
    import msgspec

    if bytes(memoryview(raw)[:1]) != b"[":
        return msgspec.json.decode(raw)
    return Records(path, msgspec.json.decode(raw, type=list[msgspec.Raw]))


# Photos and their annotations


@dataclasses.dataclass(frozen=True)
class Photos:
    """The photos that a file lists, all of one split."""

    path: Folder
    split: str
    ids: Texts
    urls: Mirrors

    def annotated(self, annotations: np.ndarray | csr_array) -> Listed:
        """Give the photos with their annotations, uint8 (n, labels)."""
        splits = np.broadcast_to(np.array(self.split), len(self.ids))
        return Listed(self.path, self.ids, self.urls, annotations, splits)


def photos(
    path: Folder, split: str, layout: str, urls: Callable[[Json], tuple[str, ...]] | None = None
) -> tuple[Photos, Records | list, dict[str, Any]]:
    """Read a file that lists photos and perhaps annotations: the photos, the annotations, and all that the file holds.

    Args:
        split: of all of its photos.
        layout: what the file is expected to hold, for messages.
        urls: gives the addresses in the record of a photo; those of its field url where it is None.

    Raises:
        InputError: as of `read`; the file has another layout; an id or an address that cannot be right.
    """
    content = read(path)
    known = content if isinstance(content, dict) else {}
    images, annotations = known.get("images"), known.get("annotations")
    if not isinstance(images, Records | list) or not isinstance(annotations, Records | list | None):
        raise InputError(f"{path} has another layout: expected {layout}, found {shape(content)}.")
    ids = listing.ids((photo_id(image, path) for image in images), path)
    mirrors = listing.urls((urls(image) if urls else addresses(image, path) for image in images), path)
    return Photos(path, split, ids, mirrors), annotations or [], known


def hits(
    annotations: Records | list, photos: Photos, numbers: Callable[[Json], Sequence[int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Give all numbers that annotations hold, int64 (hits,), and for each the row of its photo, int (hits,), first.

    Several annotations of one photo add up.

    Args:
        numbers: gives those that one annotation holds.

    Raises:
        InputError: an annotation is about none of the photos.
    """
    found, counts = array.array("q"), array.array("i")

    def names() -> Iterator[str]:
        for annotation in annotations:
            yield photo_id(annotation, photos.path)
            of_annotation = numbers(annotation)
            found.extend(of_annotation)
            counts.append(len(of_annotation))

    names_of = Texts(listing.checked("image id", names(), photos.path))
    rows = listing.rows_of(names_of, photos.ids, photos.path)
    return np.repeat(rows, counts), np.frombuffer(found, np.int64)


def field(record: Json, names: tuple[str, ...], path: Folder) -> Json:
    """Give the first of some fields that a record has.

    Raises:
        InputError: it has none of them.
    """
    if isinstance(record, dict):
        for name in names:
            if name in record:
                return record[name]
    raise InputError(f"{path}: expected a field {' or '.join(names)}, found {shape(record)}.")


def photo_id(record: Json, path: Folder) -> str:
    """Give the id of the photo that a record is about, as text.

    Raises:
        InputError: it has none, or one that is neither text nor a whole number.
    """
    name = field(record, ("imageId", "image_id", "id"), path)
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise InputError(f"{path}: the image id {name!r} is neither text nor a whole number: correct it.")
    return str(name)


def addresses(record: dict[str, Json], path: Folder) -> tuple[str, ...]:
    """Give the addresses of a photo, none or several.

    Raises:
        InputError: one is no text.
    """
    value = record.get("url")
    urls = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(url, str) for url in urls):
        raise InputError(
            f"{path}: the url of image {photo_id(record, path)!r} is {value!r}; expected text or a list of texts."
        )
    return tuple(urls)


def number(record: Json, name: str, path: Folder) -> int:
    """Give a field that holds a whole number.

    Raises:
        InputError: the record lacks it, or it holds something else.
    """
    value = field(record, (name,), path)
    try:
        return whole(value)
    except ValueError as error:
        raise InputError(f"{path}: expected whole numbers as {name}, found {value!r}: correct it.") from error


def text(record: Json, name: str, path: Folder) -> str:
    """Give a field that holds a text.

    Raises:
        InputError: the record lacks it, or it holds something else.
    """
    value = field(record, (name,), path)
    if not isinstance(value, str):
        raise InputError(f"{path}: expected a text as {name}, found {value!r}: correct it.")
    return value


def whole(value: Json) -> int:
    """Read a whole number, which may stand there as text.

    Raises:
        ValueError: it is none, or too large for 64 bits.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(value)
    if abs(found := int(value)) > LARGEST:
        raise ValueError(value)
    return found


def shape(content: Json) -> str:
    """Say what a value is, for messages."""
    return f"the keys {', '.join(map(str, content))}" if isinstance(content, dict) else f"a {type(content).__name__}"
