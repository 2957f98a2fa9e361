"""Blocks of a Markdown file that are written by a command, between markers that people put there."""

import pathlib

from mlob.errors import InputError
from mlob.files import write_text


def update(path: pathlib.Path | str, name: str, blocks: dict[str, str]) -> None:
    """Replace what stands between `<!-- KIND:NAME -->` and `<!-- /KIND -->` in a file, atomically.

    Args:
        path: of the file; it has the markers of at least one of the blocks.
        name: of the suite.
        blocks: {kind: Markdown}.

    Raises:
        InputError: the file or the markers are missing.
    """
    path, markers = pathlib.Path(path), {kind: (f"<!-- {kind}:{name} -->", f"<!-- /{kind} -->") for kind in blocks}
    lines = " or ".join(" and ".join(pair) for pair in markers.values())
    if not path.is_file():
        raise InputError(f"{path} is missing: expected a file with the lines {lines}.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error}): save it as such.") from error
    present = [kind for kind, (opening, closing) in markers.items() if closing in text.partition(opening)[2]]
    if not present:
        raise InputError(f"{path} lacks the lines {lines}: add them where the table belongs.")
    for kind in present:
        opening, closing = markers[kind]
        head, _, rest = text.partition(opening)
        text = f"{head}{opening}\n{blocks[kind].strip()}\n{closing}{rest.partition(closing)[2]}"
    write_text(path, text)
