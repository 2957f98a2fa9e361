"""What a training that was killed goes on from: one file, written whole after every epoch."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np

from mlob.errors import InputError
from mlob.files import read_arrays, write_arrays

MEND = "remove it to train from the start."


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Where a training is kept, and which it is.

    Attributes:
        folder: runs/<suite>/<model>/checkpoint.
        identity: all that shapes the run, as JSON gives it back; another training's checkpoint is not gone on from.
    """

    folder: pathlib.Path
    identity: dict

    @property
    def _path(self):
        return self.folder / "training.npz"

    def write(self, facts, **groups):
        """Keep facts (JSON) and groups of arrays, atomically."""
        arrays = {f"{name} {number}": array for name, group in groups.items() for number, array in enumerate(group)}
        text = json.dumps({"identity": self.identity, "facts": facts})
        write_arrays(self._path, text=np.array(text), **arrays)

    def read(self):
        """Give what was kept of this training: its facts, and {group: arrays}; None where there is nothing.

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
            raise self.damaged("nothing that a training goes on from") from error
        if names := list(_differing(identity, self.identity)):
            raise InputError(
                f"{self.folder} is of a training broken off with another {', '.join(names)}: go on with what it "
                "was, or remove that folder to train from the start."
            )
        groups = {}
        for name, array in arrays.items():
            groups.setdefault(name.partition(" ")[0], []).append(array)
        return facts, groups

    def damaged(self, what):
        """Give the `InputError` of a file that is not as it was written."""
        return InputError(f"{self._path} is damaged ({what}): {MEND}")

    def remove(self):
        """Remove it: the training is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _differing(one, other, name=""):
    """Yield the dotted names of the fields that differ between two identities."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            yield from _differing(one.get(key), other.get(key), f"{name}.{key}".lstrip("."))
    elif one != other:
        yield name
