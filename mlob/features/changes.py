"""What has become of the photos of a data set since a store last saw them, in counts and in a sentence."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from mlob.errors import counted
from mlob.features import contents, table


@dataclasses.dataclass(frozen=True)
class Changes:
    """Numbers of photos.

    Attributes:
        new: to be extracted, of an id that the store does not know.
        changed: to be extracted, since their bytes are others than they were.
        again: to be extracted, since they could not be read before.
        renamed: of another id or split than before, known by their content.
        touched: of another path, size or time than before, and the same content.
        gone: no longer in the annotations.
        without: in the annotations and extracted, and without a file now.
    """

    new: int = 0
    changed: int = 0
    again: int = 0
    renamed: int = 0
    touched: int = 0
    gone: int = 0
    without: int = 0

    def summary(self) -> list[str]:
        """Tell in a sentence or two; in none where nothing has become of any photo."""
        kinds = {
            f"{self.new:,} {_are(self.new)} new": self.new,
            f"{self.changed:,} changed": self.changed,
            f"{self.again:,} could not be read before": self.again,
            f"{self.renamed:,} renamed, moved or copied (known by {_their(self.renamed)} content)": self.renamed,
            f"{self.touched:,} of another path or time and the same content": self.touched,
            f"{self.gone:,} gone ({_their(self.gone)} features stay)": self.gone,
        }
        told = ", ".join(text for text, count in kinds.items() if count)
        lost = f"{counted(self.without, 'photo has', 'photos have')} no file any more: the features stay."
        return [f"Photos: {told}."] * bool(told) + [lost] * bool(self.without)


def count(
    before: Mapping[str, table.Index], photos: Mapping[str, contents.Photos], lacking: Mapping[str, np.ndarray]
) -> Changes:
    """Compare the photos of a data set with those that a store saw last.

    Args:
        before: {split: `table.Index`} of the store.
        photos: {split: `contents.Photos`}.
        lacking: {split: which of them are to be extracted, bool (n,)}.
    """
    if not any(len(index.ids) for index in before.values()):
        return Changes()
    of_splits = [_of_split(before[split], found, lacking[split]) for split, found in photos.items()]
    now = np.concatenate([found.digests for found in photos.values()])
    gone = sum(_gone(before[split], found.ids, now) for split, found in photos.items())
    sums = {field.name: sum(getattr(one, field.name) for one in of_splits) for field in dataclasses.fields(Changes)}
    return Changes(**{**sums, "gone": gone})


def _of_split(before: table.Index, found: contents.Photos, lacking: np.ndarray) -> Changes:
    rows = before.rows(found.ids)
    is_new, has_file, has_digest = rows < 0, found.files != 0, found.digests != 0
    digests, seen = (np.append(column, np.uint64(0))[rows] for column in (before.digests, before.seen))
    is_same = (found.digests == digests) & ~is_new
    return Changes(
        new=int((lacking & is_new).sum()),
        changed=int((lacking & ~is_new & (digests != 0) & ~is_same).sum()),
        again=int((lacking & ~is_new & ((digests == 0) | is_same)).sum()),
        renamed=int((~lacking & ~is_same & has_file & has_digest & (is_new | (digests != 0))).sum()),
        touched=int((~lacking & is_same & has_file & has_digest & (seen != 0) & (found.seen != seen)).sum()),
        without=int((~has_file & has_digest).sum()),
    )


def _gone(before: table.Index, ids: Sequence[str], digests: np.ndarray) -> int:
    """Count the photos with a digest whose id is no longer there, nor is their content under another."""
    is_gone, still = before.digests != 0, before.rows(ids)
    is_gone[still[still >= 0]] = False
    return int((~np.isin(before.digests[is_gone], digests)).sum())


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _their(count: int) -> str:
    return "its" if count == 1 else "their"
