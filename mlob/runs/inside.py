"""Pictures of the inside of a network that is trained: runs/<suite>/<model>/inside.npz."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

import numpy as np

from mlob import decisions, machine, predictions, workspace
from mlob.data import images
from mlob.data.places import Place
from mlob.decisions import Judging
from mlob.errors import InputError, Unreadable
from mlob.evaluation import diagnosis, judge
from mlob.evaluation.crossfit import folds
from mlob.features import backbones
from mlob.files import digest, read_arrays, write_arrays
from mlob.labels import positives
from mlob.progress import bar
from mlob.runs import results
from mlob.runs.job import Job, measure_of, one_each
from mlob.training.batches import Rows

VERSION = 1  # raise it when what is drawn changes
LIKED = 4  # commonest labels for which photos are made up
RIGHT, WRONG = 4, 4  # photos on which it is shown where a label is seen
MADE_ANEW = "remove it and run `make report`, which makes it anew."


@dataclasses.dataclass(frozen=True)
class Inside:
    """What a network looks like inside; photos and pictures uint8, labels are columns.

    Attributes:
        identity: digest of all that shaped it.
        filters: of the first layer (filters, height, width, 3); none where the network begins above it.
        liked: photos made up so that a label is as likely as can be (labels, side, side, 3); none where `filters` has
            none.
        liked_labels: the label of each.
        log_odds: float32 (labels, 2), each label's on the noise that its photo was begun with, and on the photo.
        stages: names of layers.
        maps: of the first of `photos` (stages, channels, side, side), the strongest channels first.
        photos: of validation (n, side, side, 3), rightly labelled ones before wrongly labelled ones.
        ids: of each.
        labels: that each was given, rightly or not.
        is_right: bool (n,).
        probabilities: float32 (n,), of that label.
        places: where the label is seen (n, side, side), 255 where it is seen most.
    """

    identity: str
    filters: np.ndarray
    liked: np.ndarray
    liked_labels: np.ndarray
    log_odds: np.ndarray
    stages: np.ndarray
    maps: np.ndarray
    photos: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    is_right: np.ndarray
    probabilities: np.ndarray
    places: np.ndarray


def look(job: Job, folder: pathlib.Path, judging: Judging) -> Inside:
    """Look inside a trained network, and write what is seen; what is there already of the same predictions stays.

    Args:
        job: the recipe of the network, and what it was trained on.
        folder: runs/<suite>/<model>.
        judging: the suite's, whose folds decide what is right and wrong.

    Raises:
        InputError: the network knows some of the labels alone.
    """
    path, identity = folder / workspace.INSIDE, _identity(job, folder, judging)
    if not (path.is_file() and (found := read(path)).identity == identity):
        found = _look(job, folder, judging, identity)
        write_arrays(path, **{name: np.asarray(value) for name, value in vars(found).items()})
    return found


def read(path: pathlib.Path) -> Inside:
    """Read what `look` wrote.

    Raises:
        InputError: it is missing or damaged, or holds something else.
    """
    arrays = read_arrays(path, MADE_ANEW)
    if {*arrays} != {field.name for field in dataclasses.fields(Inside)}:
        raise InputError(f"{path} holds {', '.join(arrays)}: {MADE_ANEW}")
    return Inside(str(arrays.pop("identity")), **arrays)


def _identity(job: Job, folder: pathlib.Path, judging: Judging) -> str:
    """Digest what shapes the pictures: the predictions, which change with the network's weights, and what chooses."""
    predicted, ways = results.predictions_digest(folder), decisions.plain_judging(judging)
    return digest(json.dumps([VERSION, predicted, job.dataset.digest, ways]))


def _look(job: Job, folder: pathlib.Path, judging: Judging, identity: str) -> Inside:
    """Load the network and make all pictures."""
    rows = job.rows_of("validation")
    chosen, labels, is_right, probabilities = _chosen(job, folder, judging, rows)
    machine.load_keras()
    from mlob.models import heads, inside

    assert job.begin
    model = heads.load(folder / workspace.HEAD)
    parts, extractor = inside.taken_apart(model), job.begin.extractor
    given, ids = rows.features[chosen], rows.ids[chosen].tolist()
    photos = given if parts.reads_photos else _decoded(job, ids)
    made_up = photos[:0], *np.zeros((2, 0))
    liked = _commonest(job) if parts.reads_photos else []
    with bar(f"looking inside {job.name}", inside.STEPS + 1, unit="steps") as advance:
        maps = inside.maps(model, given[0], extractor)
        places = inside.places(parts, given, labels.tolist(), photos.shape[1])
        if liked:
            made_up = inside.maximised(parts, liked, job.experiment.seed, advance)
        advance()
    pictures, *log_odds = made_up
    return Inside(
        identity,
        _grey_levels(inside.filters(model)) if parts.reads_photos else photos[:0],
        pictures,
        np.array(liked, np.int64),
        np.stack(log_odds, axis=1).astype(np.float32),
        np.array([*maps]),
        _grey_levels(np.stack([*maps.values()])),
        photos,
        np.array(ids, str),
        labels,
        is_right,
        probabilities,
        _grey_levels(places),
    )


def _chosen(job: Job, folder: pathlib.Path, judging: Judging, rows: Rows) -> tuple[np.ndarray, ...]:
    """Choose photos and a label of each: those that are surest and right, then those that are surest and wrong.

    Returns:
        Rows of validation, columns, whether these are right, and their probabilities float32, each (n,).
    """
    split = job.dataset["validation"]
    table, targets = predictions.read(folder / workspace.PREDICTIONS)["validation"], split.labelled_targets
    (probabilities,) = predictions.align({job.name: table}, split.ids)
    fold = folds(targets, judging.folds, seed=judging.seed, keys=table.keys(split.ids, split.together))
    groups, measure = one_each(job.dataset, judging), measure_of(job.dataset, judging)
    decided = judge.decide_alone(probabilities, targets, fold, groups, measure.plainest, measure)
    place = {name: row for row, name in enumerate(split.ids)}
    read = np.array([place[name] for name in rows.ids.tolist()])
    targets, decided, probabilities = (each[read] for each in (targets, decided, probabilities))
    right = diagnosis.surest_true_positives(targets, decided, probabilities)[:RIGHT]
    wrong = diagnosis.worst_false_positives(targets, decided, probabilities)[:WRONG]
    chosen, columns = np.array([*right, *wrong] or [(0, int(probabilities[0].argmax()))]).T
    return chosen, columns, positives(targets)[chosen, columns], probabilities[chosen, columns]


def _commonest(job: Job) -> list[int]:
    """List the labels that most photos of train have, the commonest first."""
    counts = positives(job.dataset["train"].labelled_targets).sum(axis=0)
    return [int(column) for column in np.argsort(-counts, kind="stable")[:LIKED] if counts[column]]


def _decoded(job: Job, ids: Sequence[str]) -> np.ndarray:
    """Decode photos of validation at the size that a network's maps were made of; an unreadable one is white."""
    assert job.begin
    side = backbones.side(job.begin.reads)
    of_id = dict(zip(job.dataset["validation"].ids, job.dataset.photos("validation"), strict=True))
    return np.stack([_pixels(of_id[name], side) for name in ids])


def _pixels(place: Place | None, side: int) -> np.ndarray:
    try:
        return images.decode(images.content(place), side)
    except Unreadable:
        return np.full((side, side, 3), 255, np.uint8)


def _grey_levels(shares: np.ndarray) -> np.ndarray:
    return np.round(255 * shares).astype(np.uint8)
