"""How fast extraction went: one small file beside each shard, never in it, so that a rerun writes the same bytes."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping

from mlob.files import read_record, write_json

STAGES = ("read", "forward", "write")


@dataclasses.dataclass(frozen=True)
class Seconds:
    """Seconds of each stage."""

    read: float
    forward: float
    write: float


@dataclasses.dataclass(frozen=True)
class Note:
    """The file beside a shard: photos, seconds of each stage, and what it was made with."""

    photos: int
    seconds: Seconds
    weights: str
    parameters: int
    processor: str


@dataclasses.dataclass(frozen=True)
class Log:
    """How a store was made, as far as the notes beside its shards tell.

    Attributes:
        weights: their kind; "unknown" where shards were copied in without their notes.
        parameters: of the backbone; 0 where unknown.
        processor: its name; "unknown" likewise.
        photos: that were extracted.
        stages: {stage: seconds}.
    """

    weights: str
    parameters: int
    processor: str
    photos: int
    stages: dict[str, float]

    @property
    def seconds(self) -> float:
        """The time that all stages took together."""
        return sum(self.stages.values())


def write(
    shard_path: pathlib.Path,
    *,
    photos: int,
    seconds: Mapping[str, float],
    weights: str,
    parameters: int,
    processor: str,
) -> None:
    """Note the making of a shard: photos, seconds of each stage, and what it was made with."""
    facts = {"weights": weights, "parameters": parameters, "processor": processor}
    rounded = {stage: round(seconds[stage], 3) for stage in STAGES}
    write_json(shard_path.with_suffix(".json"), {**facts, "photos": photos, "seconds": rounded})


def read(store_folder: pathlib.Path) -> Log:
    """Read how a store was made.

    Raises:
        InputError: a note is damaged.
    """
    notes = [read_record(path, Note) for path in sorted(store_folder.glob("*/[0-9]*.json"))]
    if not notes:
        return Log("unknown", 0, "unknown", 0, _stages([]))
    last, photos = notes[-1], sum(note.photos for note in notes)
    return Log(last.weights, last.parameters, last.processor, photos, _stages(notes))


def stages(shard_paths: Iterable[pathlib.Path]) -> dict[str, float]:
    """Give the seconds of each stage over some shards: {stage: seconds}."""
    return _stages([read_record(path.with_suffix(".json"), Note) for path in shard_paths])


def rate(store_folders: Iterable[pathlib.Path]) -> float | None:
    """Give the photos a second over all stores of a feature set; None where nothing was extracted."""
    logs = [read(folder) for folder in store_folders]
    seconds = sum(log.seconds for log in logs)
    return sum(log.photos for log in logs) / seconds if seconds else None


def summary(seconds: Mapping[str, float]) -> str:
    """Tell the three times, and so which stage is the bottleneck."""
    return (
        f"{seconds['read']:,.1f} s waiting for photos, {seconds['forward']:,.1f} s in the network, "
        f"{seconds['write']:,.1f} s writing"
    )


def _stages(notes: list[Note]) -> dict[str, float]:
    return {stage: sum(getattr(note.seconds, stage) for note in notes) for stage in STAGES}
