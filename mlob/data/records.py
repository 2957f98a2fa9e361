"""Large JSON files, decoded a record at a time: two million dicts at once would take several times the file.

msgspec finds where each item of a list starts and ends, and decodes it when it is used; Python's own json reads a whole
file, and has the last word on what msgspec does not take.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mlob.data import places
from mlob.files import parse_json, read_json

if TYPE_CHECKING:
    import msgspec

    from mlob.data.places import Folder

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
