"""The one exception for what a user can mend, and how messages count, list and name what there is."""

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Sequence

EXAMPLES = 3  # named of many


class InputError(Exception):
    """Bad input: what was expected, what was found, where, and the command or edit that mends it.

    The command line prints the message alone and exits with status 2. Anything else that is raised is a bug.
    """


class Unreadable(Exception):
    """A photo cannot be read or decoded. The message is the reason, which is kept with the photo's id."""


@contextlib.contextmanager
def about(what: object) -> Iterator[None]:
    """Say of what an `InputError` that is raised meanwhile is: its message begins with that."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{what}: {error}") from error


def nearest(name: str, known: Iterable[str]) -> str:
    """End a sentence about an unknown name with the nearest known names, or with all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f". Did you mean {' or '.join(close)}?" if close else f"; there are: {', '.join(sorted(known)) or 'none'}."


def counted(count: int, singular: str, plural: str = "") -> str:
    """Say how many there are: "1 photo", "2,000 photos"; the plural ends in s where none is given."""
    return f"{count:,} {singular if count == 1 else plural or f'{singular}s'}"


def some(names: Sequence[str]) -> str:
    """List the first names of many: "a, b, c, …"."""
    return ", ".join([*names[:EXAMPLES], *["…"] * (len(names) > EXAMPLES)])
