"""Exports of Label Studio, JSON or JSON-MIN: what people chose is read; boxes, texts and ratings are left out.

A question is a `Choices` control of the labelling form (its name in the export: from_name), and becomes a group of
labels. An annotator who leaves a question open found that no choice fits, unless the form asks for an answer; then the
task could not have been handed in. So a question without an answer means none of its labels.
"""

from __future__ import annotations

import array
import collections
import dataclasses
import itertools
import json
import pathlib
import posixpath
import re
import urllib.parse
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from mlob.data import images, places
from mlob.data.annotations import listing, records
from mlob.data.annotations.listing import Listed, Listing
from mlob.data.annotations.records import Json
from mlob.data.tree import Tree
from mlob.errors import InputError, nearest
from mlob.labels import Labels
from mlob.recipes import Annotations
from mlob.texts import Texts

if TYPE_CHECKING:
    from mlob.data.places import Folder

HEAD = 65_536  # bytes of a file that tell whether it is an export
IS_EXPORT = re.compile(rb'^(\xef\xbb\xbf)?\s*\[\s*\{.*("annotations"\s*:\s*\[|"annotation_id"\s*:)', re.DOTALL)
NOT_ASKED = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"}  # of JSON-MIN's fields
TOGETHER = ("together", "product")
UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")  # is put before the name of a file that is uploaded
SERVED = "/data/"  # begins the address of a file that Label Studio itself serves


@dataclasses.dataclass(frozen=True)
class Task:
    """A photo that people were asked about.

    Attributes:
        name: what the export calls the task, for messages.
        data: its fields that are texts, as they were imported.
        answers: {question: what was chosen}; None where nobody answered, or all skipped it.
        annotations: the number of those that the answers were taken from.
        others: kinds of results that are no choices.
    """

    name: str
    data: dict[str, str]
    answers: dict[str, tuple[str, ...]] | None
    annotations: int
    others: tuple[str, ...] = ()


def find(tree: Tree, names: list[str]) -> str:
    """Give the name of the export in a folder, the first of several; empty if there is none."""
    return next((name for name in listing.matching(names, "*.json") if is_export(tree.root / name)), "")


def is_export(path: Folder) -> bool:
    """Tell by its beginning whether a JSON file is an export."""
    with places.reached(path), path.open("rb") as file:
        return bool(IS_EXPORT.match(file.read(HEAD)))


def read(tree: Tree, names: list[str], asked: Annotations) -> Listing:
    """Read the export in a folder. Tasks that nobody answered are the ones to predict.

    Raises:
        InputError: the export cannot be read, or no field of its tasks can be told to be the photo.
    """
    path = tree.root / find(tree, names)
    every = tasks(path)
    first = next(every)  # an empty export is none
    image = asked.image or _image_field(first, path)
    product = asked.together or next((name for name in TOGETHER if name in first.data), "")
    found = _gathered(itertools.chain([first], every), image, product, asked.labels, path)
    labels, columns = _labels(found, path)
    n, is_answered = len(found.addresses), np.array(found.answered) >= 0
    annotations = labels.annotate(n, np.array(found.rows, np.int64), columns)
    ids, urls = _photos(found.addresses)
    listed = Listed(
        path, listing.ids(ids, path), listing.urls(urls, path), annotations, np.where(is_answered, "", "test"),
        ids_are_paths=True, together=Texts(found.products) if product else None,
    )  # fmt: skip
    return Listing(labels, [listed], tuple(_told(found, image, labels)))


def tasks(path: Folder) -> Iterator[Task]:
    """Read the tasks of an export, in its order.

    Raises:
        InputError: the file is not JSON, or no export.
    """
    content = records.read(path)
    first = next(iter(content), None) if isinstance(content, records.Records | list) else None
    if first is None:
        raise InputError(f"{path}: expected a list of tasks, as Label Studio exports it (JSON or JSON-MIN).")
    checked = (_checked(record, path) for record in content)
    if "annotations" in _checked(first, path):
        return (_task(record, path) for record in checked)
    return _minimal(checked, path)


def _checked(record: Json, path: Folder) -> dict[str, Json]:
    if not isinstance(record, dict):
        raise InputError(f"{path}: expected a list of tasks as objects, found {json.dumps(record)[:40]} in it.")
    return record


@dataclasses.dataclass
class _Found:
    """What the tasks hold, one after another.

    Attributes:
        addresses, products: for each task the address of its photo, and what it belongs to.
        answered: for each task the number of questions with an answer, -1 where nobody answered the task.
        pairs: {(question, choice): its number}.
        rows, numbers: of each choice on each photo, the task and the pair.
        several: the number of tasks with several annotations.
        others: {kind: number of results that are no choices}.
    """

    addresses: list[str] = dataclasses.field(default_factory=list)
    products: list[str] = dataclasses.field(default_factory=list)
    answered: array.array[int] = dataclasses.field(default_factory=lambda: array.array("i"))
    pairs: dict[tuple[str, str], int] = dataclasses.field(default_factory=dict)
    rows: array.array[int] = dataclasses.field(default_factory=lambda: array.array("q"))
    numbers: array.array[int] = dataclasses.field(default_factory=lambda: array.array("q"))
    several: int = 0
    others: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)


def _gathered(every: Iterable[Task], image: str, product: str, questions: Collection[str], path: Folder) -> _Found:
    found = _Found()
    for row, task in enumerate(every):
        found.addresses.append(_text(task, image, path))
        found.products.append(_text(task, product, path) if product else "")
        answers = {
            question: choices
            for question, choices in (task.answers or {}).items()
            if choices and (question in questions if questions else question not in (image, product))
        }
        found.answered.append(-1 if task.answers is None else len(answers))
        for question, choices in answers.items():
            found.rows.extend([row] * len(choices))
            found.numbers.extend(found.pairs.setdefault((question, each), len(found.pairs)) for each in choices)
        found.several += task.annotations > 1
        found.others.update(task.others)
    return found


def _task(record: dict[str, Json], path: Folder) -> Task:
    """Read a task of the whole export: of several annotations the ground truth, else the latest."""
    name = str(record.get("id", ""))
    given = [each for each in _list(record.get("annotations"), name, path) if not each.get("was_cancelled")]
    results = _list(max(given, key=_rank).get("result", []), name, path) if given else []
    answers: dict[str, tuple[str, ...]] = {}
    for result in results:
        if result.get("type") == "choices":
            value = result.get("value")
            question = str(result.get("from_name"))
            chosen = _choices(value.get("choices") if isinstance(value, dict) else None, name, path)
            answers[question] = (*answers.get(question, ()), *chosen)
    others = tuple(str(result.get("type")) for result in results if result.get("type") != "choices")
    return Task(name, _texts(record.get("data")), answers if given else None, len(given), others)


def _minimal(content: Iterable[dict[str, Json]], path: Folder) -> Iterator[Task]:
    """Read the tasks of JSON-MIN, which has a record for each annotation; of several the latest."""
    of_task = collections.defaultdict(list)
    for row, record in enumerate(content):
        of_task[str(record.get("id", f"number {row + 1}"))].append(record)
    for name, several in of_task.items():
        record = max(several, key=_rank)
        asked = {key: value for key, value in record.items() if key not in NOT_ASKED and not _is_address(value)}
        answers = {key: _choices(value, name, path) for key, value in asked.items() if _is_answer(value)}
        others = tuple(key for key, value in asked.items() if not _is_answer(value))
        yield Task(name, _texts(record), answers, len(several), others)


def _rank(annotation: dict[str, Json]) -> tuple[bool, str]:
    time = annotation.get("updated_at") or annotation.get("created_at")  # ISO 8601, which sorts as text
    return bool(annotation.get("ground_truth")), str(time or "")


def _is_answer(value: Json) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and "choices" in value)


def _choices(value: Json, name: str, path: Folder) -> tuple[str, ...]:
    several = value.get("choices") if isinstance(value, dict) else value
    chosen = several if isinstance(several, list) else [several]
    texts = [listing.composed(each).strip() for each in chosen if isinstance(each, str)]
    if len(texts) < len(chosen):
        raise InputError(
            f"{path}: the task {name} holds the choices {json.dumps(several)[:40]}; expected texts (nested choices are "
            "not read)."
        )
    return tuple(filter(None, texts))


def _list(value: Json, name: str, path: Folder) -> list[dict[str, Json]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise InputError(f"{path}: the task {name} holds {json.dumps(value)[:40]} where a list was expected.")
    return value


def _texts(data: Json) -> dict[str, str]:
    return {key: value for key, value in data.items() if isinstance(value, str)} if isinstance(data, dict) else {}


# Photos


def _image_field(task: Task, path: Folder) -> str:
    """Find the field of a task that is the address of a photo."""
    fields = [field for field, value in task.data.items() if _is_address(value)]
    if len(fields) != 1:
        raise InputError(
            f"{path}: {len(fields)} fields of the task {task.name} are addresses of photos (its fields: "
            f"{', '.join(task.data) or 'none'}): name the right one with SET=annotations.image=…"
        )
    return fields[0]


def _text(task: Task, field: str, path: Folder) -> str:
    if field not in task.data:
        raise InputError(f"{path}: the task {task.name} has no text {field!r}{nearest(field, task.data)}")
    return task.data[field]


def _is_address(value: Json) -> bool:
    if not isinstance(value, str) or "\n" in value:
        return False
    suffix = posixpath.splitext(_path(value))[1].lower()
    return value.startswith(SERVED) or "://" in value or suffix in images.SUFFIXES


def _path(address: str) -> str:
    """Give the path of a photo in its address: for /data/local-files/?d=images/x.jpg it is images/x.jpg."""
    if "://" not in address and not address.startswith(SERVED):
        return address.replace("\\", "/")
    parts = urllib.parse.urlsplit(address)
    served = urllib.parse.parse_qs(parts.query).get("d") if parts.path.startswith(SERVED) else None
    return (served[0] if served else urllib.parse.unquote(parts.path)).replace("\\", "/")


def _photos(addresses: list[str]) -> tuple[list[str], Iterator[tuple[str, ...]]]:
    """Give the id of each photo, the last part of its path unless two are equal, and where else to look for it."""
    paths = [_path(address) for address in addresses]
    names = [posixpath.basename(path) for path in paths]
    is_unique = len(set(names)) == len(names)
    ids = names if is_unique else [path.lstrip("/") for path in paths]
    urls = (
        (_inside(address, path, name), *([address] if "://" in address else []))
        for address, path, name in zip(addresses, paths, names, strict=True)
    )
    return ids, urls


def _inside(address: str, path: str, name: str) -> str:
    """Give a second path at which a photo may be in the data folder, relative to it."""
    uploaded = "://" in address or address.startswith(f"{SERVED}upload/")
    is_outside = path.startswith("/") or ".." in pathlib.PurePath(path).parts
    return UPLOADED.sub("", name, count=1) if uploaded or is_outside else path


# Labels


def _labels(found: _Found, path: Folder) -> tuple[Labels, np.ndarray]:
    """Give the labels, sorted by question and choice, and the column of each label of each photo."""
    known = sorted(found.pairs)
    column = np.empty(len(known), np.int64)
    column[[found.pairs[pair] for pair in known]] = np.arange(len(known))
    labels = listing.labels(((number, choice, question) for number, (question, choice) in enumerate(known, 1)), path)
    return labels, column[np.array(found.numbers, np.int64)]


def _told(found: _Found, image: str, labels: Labels) -> Iterator[str]:
    answered, questions = np.array(found.answered), len(set(labels.groups))
    yield f"Photos: the field {image}. Each question is a group, each choice a label."
    if left := int(((answered >= 0) & (answered < questions)).sum()):
        yield f"Annotated tasks that leave a question open: {left:,}. They count as having none of its labels."
    if found.several:
        yield f"Tasks with several annotations: {found.several:,}. The ground truth is taken, else the latest."
    if unanswered := int((answered < 0).sum()):
        yield f"Tasks not annotated, or skipped: {unanswered:,}. They are the ones to predict."
    if found.others:
        kinds = ", ".join(f"{kind} ({count:,})" for kind, count in found.others.items())
        yield f"Left out, since they are no choices: {kinds}."
