"""What a training that was killed goes on from: one file, written whole after every epoch."""

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from mlob.errors import InputError
from mlob.files import read_arrays, write_arrays

Arrays: TypeAlias = dict[str, list[np.ndarray]]  # in groups, by name

MEND = "remove it to train from the start."


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Where a training's state is written, and which training it is.

    Attributes:
        folder: runs/<suite>/<model>/checkpoint.
        identity: all that shapes the run, as JSON gives it back; a checkpoint with another identity is refused.
    """

    folder: pathlib.Path
    identity: dict[str, Any]  # JSON

    @property
    def _path(self) -> pathlib.Path:
        return self.folder / "training.npz"

    def write(self, facts: dict[str, Any], **groups: Sequence[np.ndarray]) -> None:
        """Write facts (JSON) and groups of arrays, atomically."""
        arrays = {f"{name} {number}": array for name, group in groups.items() for number, array in enumerate(group)}
        text = json.dumps({"identity": self.identity, "facts": facts})
        write_arrays(self._path, text=np.array(text), **arrays)

    def read(self) -> tuple[dict[str, Any], Arrays] | None:
        """Give the facts and the groups of arrays that this training wrote; None where there is no checkpoint.

        Raises:
            InputError: the file is damaged, or of another training.
        """
        if not self._path.exists():
            return None
        arrays = read_arrays(self._path, MEND)
        try:
            text = json.loads(arrays.pop("text").item())
            identity, facts = (dict(text[name].items()) for name in ("identity", "facts"))
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:  # JSON of another shape
            raise self.damaged("no training can go on from it") from error
        if names := [name for name, _, _ in differing(identity, self.identity)]:
            raise InputError(
                f"{self.folder} holds a training that was interrupted, with another {', '.join(names)}: restore that "
                "to go on, or remove the folder to train from the start."
            )
        groups: Arrays = {}
        for name, array in arrays.items():
            groups.setdefault(name.partition(" ")[0], []).append(array)
        return facts, groups

    def damaged(self, what: str) -> InputError:
        """Give the `InputError` of a file that is not as it was written."""
        return InputError(f"{self._path} is damaged ({what}): {MEND}")

    def remove(self) -> None:
        """Remove it: the training is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)


def differing(before: Any, now: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the fields that differ between two identities, or parts of them: (dotted name, before, now)."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            yield from differing(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))
    elif before != now:
        yield name, before, now
