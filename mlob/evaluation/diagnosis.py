"""What is wrong where: calibration, labels taken for one another, worst mistakes, doubtful annotations, alike members.

NumPy only.

Targets and decisions are 0/1 (n, labels), probabilities float (n, labels) in [0, 1]. A cell is a pair (row, column).
"""

import numpy as np

BINS = 10
TOLERANCE = 0.1  # by which a probability may miss what is true and still be believed
CHANCE = 2  # standard errors by which it may miss besides
ALONE = 0.9  # share of a group's photos with exactly one of its labels, from which on the labels exclude each other
SHOWN = 12  # mistakes of a kind


def reliability(targets, probabilities):
    """Compare what is said with what is true, in ten bins of equal width (Guo et al. 2017).

    Returns:
        {bins: [{count, said (mean probability), true (share of true labels)}] of the bins that hold a cell, error: the
        expected calibration error, the mean distance of the two over all cells, off: the bin in which the two are
        furthest apart, None where no bin has them further apart than a tenth and than chance allows}.
    """
    bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1).ravel()
    count, said, true = (
        np.bincount(bins, weights=values, minlength=BINS)
        for values in (None, np.ravel(probabilities).astype(np.float64), np.ravel(targets))
    )
    held = np.flatnonzero(count)
    rows = [
        {"count": int(count[i]), "said": float(said[i] / count[i]), "true": float(true[i] / count[i])} for i in held
    ]
    off = max(filter(_is_off, rows), key=lambda held: abs(held["said"] - held["true"]), default=None)
    return {"bins": rows, "error": float(np.abs(said - true).sum() / count.sum()), "off": off}


def _is_off(held):
    """Whether a bin's probabilities are further from what is true than is tolerable, and than chance allows."""
    allowed = max(TOLERANCE, CHANCE * (held["said"] * (1 - held["said"]) / held["count"]) ** 0.5)
    return abs(held["said"] - held["true"]) > allowed


def exclusive(targets, groups):
    """Find the groups of which nearly every photo bears no more than one label: {group: columns that occur}.

    Nearly: nine tenths of the photos with any label of the group. A group with a single label has none to confuse.
    """
    targets, groups = np.asarray(targets, bool), np.asarray(groups)
    found = {}
    for group in dict.fromkeys(groups.tolist()):
        columns = np.flatnonzero((groups == group) & targets.any(axis=0))
        borne = targets[:, columns].sum(axis=1)
        if len(columns) > 1 and np.mean(borne[borne > 0] == 1) >= ALONE:
            found[group] = columns
    return found


def confusion(targets, decided, probabilities, columns):
    """Count which label of a group was given for which, over the photos that bear exactly one of them.

    Given is the likeliest label among those decided for.

    Args:
        columns: of the group's labels (k,).

    Returns:
        Integers (k, k + 1): true label by given label, the last column for none given.
    """
    true = targets[:, columns]
    scores = np.where(decided[:, columns], probabilities[:, columns], -1)
    alone = true.sum(axis=1) == 1
    given = np.where(scores.max(axis=1) < 0, len(columns), scores.argmax(axis=1))
    counts = np.zeros((len(columns), len(columns) + 1), np.int64)
    np.add.at(counts, (true.argmax(axis=1)[alone], given[alone]), 1)
    return counts


def confused(confusions):
    """List which label is taken for which, the commonest first: [{group, true, given (columns), photos, share}].

    Args:
        confusions: {group: {columns, counts as `confusion` gives them}}.
    """
    pairs = [
        {"group": group, "true": true, "given": given, "photos": photos, "share": photos / sum(row)}
        for group, found in confusions.items()
        for true, row in zip(found["columns"], found["counts"], strict=True)
        for given, photos in zip(found["columns"], row, strict=False)  # without the last: none given
        if photos and given != true
    ]
    return sorted(pairs, key=lambda pair: -pair["photos"])


def worst(targets, decided, probabilities):
    """Find the worst false positives (highest probability) and false negatives (lowest), at most one of a label.

    Returns:
        {"false_positives": cells, "false_negatives": cells}, up to 12 of each, the worst first, each of another photo.
    """
    targets, decided = np.asarray(targets, bool), np.asarray(decided, bool)
    return {
        "false_positives": _worst_of_labels(decided & ~targets, probabilities),
        "false_negatives": _worst_of_labels(targets & ~decided, -probabilities),
    }


def suspects(targets, probabilities):
    """Find the annotations that confident learning doubts (Northcutt, Jiang and Chuang 2021), each label by itself.

    A label that is given is doubted where its absence is likelier, and at least as likely as on average over the photos
    that are annotated without it; a label that is not given, where its presence is likelier, and at least as likely as
    on average over the photos that are annotated with it. The probabilities must be of models that did not see the
    annotations. Of errors planted on 300 photos of fashion-products, cleanlab 2.9 finds no more among its first 50,
    100, 200 or 400 doubts than are found here.

    Returns:
        Cells, the annotation with the lowest probability first.
    """
    targets, probabilities = np.asarray(targets, bool), np.asarray(probabilities, np.float64)
    given = np.where(targets, probabilities, 1 - probabilities)  # probability of what is annotated
    present, absent = _mean(given, targets), _mean(given, ~targets)
    rows, columns = np.nonzero((given < 0.5) & (1 - given >= np.where(targets, absent, present)))
    order = np.argsort(given[rows, columns], kind="stable")
    return list(zip(rows[order].tolist(), columns[order].tolist(), strict=True))


def alike(members, targets):
    """Correlate the members' errors, probability less target, over all cells: float (members, members).

    Near 1, a member adds nothing to another; the lower, the more a blend of the two can gain.
    """
    errors = np.reshape(members - np.asarray(targets, np.float32), (len(members), -1))
    return np.atleast_2d(np.corrcoef(errors, dtype=np.float32))


def _worst_of_labels(wrong, surprise):
    surprise = np.where(wrong, surprise, -np.inf)
    rows = surprise.argmax(axis=0)
    columns = np.flatnonzero(wrong.any(axis=0))
    order = np.argsort(-surprise[rows[columns], columns], kind="stable")
    first: dict[int, int] = {}
    for column in columns[order].tolist():
        first.setdefault(int(rows[column]), column)
    return list(first.items())[:SHOWN]


def _mean(values, chosen):
    """The mean of the chosen cells of each column; infinity where none is."""
    count = chosen.sum(axis=0)
    total = np.sum(values, axis=0, where=chosen)
    return np.divide(total, count, out=np.full(len(count), np.inf), where=count > 0)
