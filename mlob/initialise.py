"""A working folder: the recipes of the suites demo and photos, those of feature sets, a Makefile and a .gitignore.

They lie in mlob/initial, where they are links to those of a checkout: `pip` packs what the links lead to.
"""

import pathlib
from collections.abc import Iterator

from mlob.errors import InputError, counted, some
from mlob.files import make_folder, write_text
from mlob.progress import say

INITIAL = pathlib.Path(__file__).with_name("initial")
WRITTEN = ("Makefile", "gitignore", "experiments/*/*.py", "features/*.py")
HIDDEN = {"gitignore": ".gitignore"}  # in a checkout it would count for the checkout


def write(folder: pathlib.Path) -> None:
    """Write a working folder; files that are there stay as they are, which is told where they are others.

    Raises:
        InputError: it is no folder, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: name a folder, which need not be there yet.")
    written, kept = [], []
    for name, text in _contents():
        path = folder / name
        if not path.exists():
            make_folder(path.parent)
            write_text(path, text)
            written.append(name)
        elif path.read_text("utf-8") != text:
            kept.append(name)
    say(f"{folder}: {counted(len(written), 'file')} written" + (f"; kept as they are: {some(kept)}" if kept else ""))
    say(_next(folder))


def _contents() -> Iterator[tuple[str, str]]:
    """Yield the name of each file in the folder, and what it holds."""
    for pattern in WRITTEN:
        for path in sorted(INITIAL.glob(pattern)):
            name = path.relative_to(INITIAL).as_posix()
            yield HIDDEN.get(name, name), path.read_text("utf-8")


def _next(folder: pathlib.Path) -> str:
    """Say what to do in the folder."""
    return (
        f"In {folder}: `mlob demo` does the whole job on drawn photos, "
        "`mlob submission --suite photos --data FOLDER` on yours."
    )
