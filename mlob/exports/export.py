"""A model leaves: written aside, tried on photos, and named when it answers as mlob does.

Products: runs/<suite>/export/<model or ensemble>/<format>/ with the model's files, README.md and labels.json.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

from mlob import machine, workspace
from mlob.data.places import Place
from mlob.exports import checking, examples, parts
from mlob.exports.checking import Difference
from mlob.exports.formats import Format
from mlob.exports.parts import Whole
from mlob.features import backbones
from mlob.files import make_folder, part_path, read_json, write_json, write_text
from mlob.progress import say

VERSION = 1  # raise it when what is inside of a model changes


def is_done(folder: pathlib.Path, whole: Whole, form: Format) -> bool:
    """Say whether just this model has left to a folder already."""
    path = folder / workspace.ABOUT
    if not (path.is_file() and all((folder / name).is_file() for name in form.files)):
        return False
    return read_json(path).get("identity") == _identity(whole)


def export(
    folder: pathlib.Path, name: str, form: Format, whole: Whole, places: Sequence[Place], features: pathlib.Path
) -> dict[str, Any]:
    """Write a model and what is known of it; labels.json comes last.

    Args:
        folder: that it is written to.
        name: of the format.
        form: the format.
        whole: what leaves.
        places: of photos, on some of which it is tried.
        features: the folder of all feature stores.

    Returns:
        What labels.json holds.

    Raises:
        InputError: as `parts.loaded`, `checking.chosen` and `checking.refuse`; then no file stays.
    """
    side = max(backbones.side(each.feature_set) for each in whole.read.values())
    photos = checking.chosen(places, side)
    members, stores = parts.loaded(whole)
    from mlob.exports import graph

    say(f"export: {whole.name} as mlob answers on {len(photos)} photos")
    wanted, tolerance = checking.in_float32(whole, members, stores, photos.values())
    predicted = checking.as_predicted(whole, members, photos, features)
    model = graph.build([*whole.runs], members, stores, whole.decision.blend)
    say(f"export: {whole.name} to {' and '.join(form.files)}, {model.count_params() / 1e6:.1f} M parameters")
    with _aside(folder) as part:
        form.write(model, part / form.files[0])
        found = checking.run(form.load(part / form.files[0]), photos.values(), whole.decision)
        checking.refuse([*photos], wanted, found, whole.labels.names, tolerance)
        checked, told = checking.difference(wanted, found), checking.difference(predicted, found)
        about = _about(name, form, whole, side, checked, told, tolerance)
        _name(folder, part, form, about, _readme(name, form, whole, side, checked, told))
    return about


@contextlib.contextmanager
def _aside(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Give a folder beside another, on the same disk, which is removed at the end."""
    part = part_path(folder)
    make_folder(part)
    try:
        yield part
    finally:
        shutil.rmtree(part)


def _name(folder: pathlib.Path, part: pathlib.Path, form: Format, about: dict[str, Any], readme: str) -> None:
    """Put a model that was tried in its place."""
    make_folder(folder)
    (folder / workspace.ABOUT).unlink(missing_ok=True)  # it says that all else in the folder is its own
    for name in form.files:
        os.replace(part / name, folder / name)
    write_text(folder / workspace.README, readme)
    write_json(folder / workspace.ABOUT, about)


def _identity(whole: Whole) -> dict[str, Any]:
    return {"version": VERSION, **whole.identity}


def _about(
    name: str, form: Format, whole: Whole, side: int, checked: Difference, predicted: Difference, tolerance: float
) -> dict[str, Any]:
    labels, groups = whole.labels, whole.decision.groups
    numbered = [] if groups is None else groups.tolist()
    one_each = [
        [column for column, group in enumerate(numbered) if group == number] for number in sorted({*numbered} - {-1})
    ]
    return {
        "names": labels.names,
        "ids": labels.ids if labels.ids_are_own else None,
        "groups": labels.groups,
        "thresholds": whole.decision.thresholds.tolist(),
        "one_each": one_each,
        "decisions": (
            "A label is given where its probability, float32, is at least its threshold. Of each list of columns in "
            "one_each a photo has exactly the likeliest label, the first of equals, and no threshold counts."
        ),
        "input": {
            "shape": [1, "height", "width", 3],
            "type": "uint8",
            "is": f"one photo: RGB, upright, of any size. JPEG: decoded with Pillow's draft('RGB', ({side}, {side})).",
        },
        "output": {"shape": [1, len(labels.names)], "type": "float32", "is": "probabilities, in the order of names"},
        "format": name,
        "files": form.files,
        "model": whole.name,
        "method": whole.method,
        "members": whole.counting,
        "feature_sets": {store: dataclasses.asdict(each.feature_set) for store, each in whole.read.items()},
        "metric": whole.metric,
        "figures": {metric: dataclasses.asdict(score) for metric, score in whole.scores.items()},
        "checked": {
            "same pixels": dataclasses.asdict(checked),
            "allowed": tolerance,
            "predict": dataclasses.asdict(predicted),
        },
        "trained_at": whole.commit,
        "mlob": machine.version(),
        **machine.facts(),
        "identity": _identity(whole),
    }


def summary(folder: pathlib.Path, about: dict[str, Any]) -> str:
    """Tell where a model is, and how near it is to mlob."""
    checked, predicted = (Difference(**about["checked"][name]) for name in ("same pixels", "predict"))
    return "\n".join(
        (
            f"on {checked.photos} photos its probabilities are mlob's within {checked.largest:.1g}, and its "
            "decisions are equal",
            f"on their files, as `mlob predict` reads and computes them here, {_apart(predicted)}",
            f"export: {folder}",
        )
    )


def _apart(told: Difference) -> str:
    return f"within {told.largest:.1g}; {told.decisions:,} of {told.of:,} decisions differ"


def _readme(name: str, form: Format, whole: Whole, side: int, checked: Difference, predicted: Difference) -> str:
    score, count = whole.scores[whole.metric], len(whole.labels.names)
    return examples.readme(
        name,
        side,
        title=f"{'The ensemble' if whole.name == 'ensemble' else whole.name} of mlob, {name}",
        files=" and ".join(form.files),
        labels=count,
        figures=f"{whole.title} {score.value:.3f} ({score}) on validation; {whole.method}.",
        photos=checked.photos,
        largest=f"{checked.largest:.1g}",
        predicted=f"From `mlob predict` on their files they were {_apart(predicted)}.\n",
    )
