"""Many texts in one buffer: 16 bytes each and what they hold beyond, where a tuple of Python's takes about 65."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np

BLOCK = 65_536  # texts that are Python's own at once
KIND = np.dtypes.StringDType()


class Texts(Sequence[str]):
    """A sequence of texts, equal to any other sequence of the same texts."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """Take over texts: an array of them as it is, anything else read block by block."""
        if isinstance(texts, np.ndarray):
            self.array = texts if texts.dtype == KIND else texts.astype(KIND)
        else:
            blocks = [np.array(block, KIND) for block in _blocks(texts)]
            self.array = np.concatenate(blocks) if blocks else np.array([], KIND)

    def take(self, rows: np.ndarray) -> Texts:
        """Give the texts that a mask or numbers choose."""
        return Texts(self.array[rows])

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Texts: ...
    def __getitem__(self, at: int | slice) -> str | Texts:
        return self.take(np.arange(len(self))[at]) if isinstance(at, slice) else str(self.array[at])

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), BLOCK):
            yield from self.array[start : start + BLOCK].tolist()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            return np.array_equal(self.array, other.array)
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        more = ", …" if len(self) > 3 else ""
        return f"Texts({', '.join(map(repr, itertools.islice(self, 3)))}{more})"


class Mirrors(Sequence[tuple[str, ...]]):
    """For each photo its addresses, none or several, as a sequence of tuples; no address holds a line end."""

    def __init__(self, addresses: Iterable[Sequence[str]] = ()) -> None:
        self.lines = Texts("\n".join(each) for each in addresses)

    @classmethod
    def single(cls, texts: Texts) -> Mirrors:
        """Give one address for each photo, without a copy."""
        mirrors = cls()
        mirrors.lines = texts
        return mirrors

    def take(self, rows: np.ndarray) -> Mirrors:
        """Give the addresses of the photos that a mask or numbers choose."""
        return Mirrors.single(self.lines.take(rows))

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, at: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, at: slice) -> Mirrors: ...
    def __getitem__(self, at: int | slice) -> tuple[str, ...] | Mirrors:
        return Mirrors.single(self.lines[at]) if isinstance(at, slice) else _addresses(self.lines[at])

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return map(_addresses, self.lines)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Mirrors):
            return self.lines == other.lines
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list


def _addresses(line: str) -> tuple[str, ...]:
    return tuple(line.split("\n")) if line else ()


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(texts)
    while block := list(itertools.islice(iterator, BLOCK)):
        yield block
