"""What a training that was killed goes on from: one file, written whole after every epoch."""

import dataclasses
import json
import pathlib
import shutil
import zipfile

import numpy as np

from mlob.errors import InputError
from mlob.files import atomic
from mlob.progress import say


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
        with atomic(self._path) as part, part.open("wb") as file:
            np.savez(file, text=np.array(text), **arrays)

    def read(self):
        """Give what was kept of this training: its facts, and {group: arrays}; None where there is nothing.

        Raises:
            InputError: the file is damaged.
        """
        try:
            with self._path.open("rb") as file:
                arrays = dict(np.load(file))
        except FileNotFoundError:
            return None
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{self._path} is damaged ({error}): remove it to train from the start.") from error
        text = json.loads(arrays.pop("text").item())
        if text["identity"] != self.identity:
            say(f"{self.folder} is of another recipe, other photos or features: training starts anew.")
            return None
        groups = {}
        for name, array in arrays.items():
            groups.setdefault(name.split()[0], []).append(array)
        return text["facts"], groups

    def remove(self):
        """Remove it: the training is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)
