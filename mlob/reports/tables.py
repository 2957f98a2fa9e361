"""The table of results, in the manner of MLoB's Table 1 (method, F1, parameters), from files alone.

A row is one result.json, or one method of ensemble.json, with two more keys: `kind` ("constant", "model" or
"ensemble") and `random`, the members whose backbone has random weights.
"""

import pathlib
import re

from mlob import workspace
from mlob.errors import InputError
from mlob.files import read_product, write_text
from mlob.runs import ensemble as ensembles
from mlob.runs import model

KINDS = ("constant", "model", "ensemble")
HEADERS = ("method", "micro-F1", "95% interval", "in-sample", "macro-F1", "thresholds")
HEADERS += ("parameters (M)", "features (s)", "training (s)", "weights", "note")
NOT_COMPARED = "Recipes are not compared on dev: fewer than two of its photos are common to all models.\n"
BRIEF = ("method", "micro-F1", "95% interval", "macro-F1", "thresholds", "weights")
FEW = 5  # rows that are shown on a terminal unless all are asked for
DEV_HEADERS = ("model", "micro-F1 on dev", "95% interval", "gain", "its 95% interval")
WORDS = ("method", "model", "thresholds", "weights", "note")  # columns of text; the others are numbers, to the right


def rows(folder):
    """Read the results of runs/<suite>: constant, then models, then ensembles, each by rising F1.

    A member's run folder that was copied in counts like any other; ensemble.json may be missing.

    Raises:
        InputError: no result at all, or one that is unreadable or lacks a key.
    """
    folder = pathlib.Path(folder)
    results = sorted(folder.glob("*/result.json"))
    found = [{"kind": "model"} | read_product(path, model.RESULT) for path in results]
    methods = ensemble(folder).get("methods", ())
    found += [{"kind": _kind(method)} | method for method in methods]
    if not found:
        raise InputError(f"{folder} holds no results (<model>/result.json): run `make train` or `make ensemble` first.")
    random = {name for row in found if row["kind"] == "model" and _is_random(row) for name in row["members"]}
    found = [row | {"random": sorted(random.intersection(_at_work(row)))} for row in found]
    return sorted(found, key=lambda row: (KINDS.index(row["kind"]), row["micro_f1"]["cross_fitted"]))


def ensemble(folder):
    """Read ensemble/ensemble.json of runs/<suite>; an empty dict where there is none."""
    path = pathlib.Path(folder) / "ensemble" / workspace.ENSEMBLE
    return ensembles.read(path.parent) if path.is_file() else {}


def full_name(row):
    """Name a row as `chosen` in ensemble.json does: a method and its thresholds."""
    return f"{row['method']}, {row['thresholds']}"


def text(rows):
    """Align the rows in plain columns, as wide as they need to be: for a file or a pipe, never cut."""
    return _aligned(HEADERS, [_cells(row) for row in rows])


def brief(rows):
    """Align the few highest rows, of an ensemble's methods each with its best rule, and say how many there are.

    The highest ensemble is always among them.
    """
    by_f1 = sorted(best_rules(rows), key=lambda row: row["micro_f1"]["cross_fitted"])
    shown = by_f1[-FEW:]
    if not any(row["kind"] == "ensemble" for row in shown):
        shown[:1] = [row for row in by_f1 if row["kind"] == "ensemble"][-1:] or shown[:1]
    cells = [[cell for header, cell in zip(HEADERS, _cells(row), strict=True) if header in BRIEF] for row in shown]
    return f"{_aligned(BRIEF, cells)}The best {len(shown)} of {len(rows)}; the page has all, and so has --verbose.\n"


def dev_text(compared, most=None):
    """Align what `evaluation.dev.compare` gives in plain columns, with a sentence on how to read it.

    Args:
        most: models that are shown, the best first; all where None.
    """
    return f"{_aligned(DEV_HEADERS, _dev_cells(compared)[:most])}{_dev_note(compared)}\n" if compared else NOT_COMPARED


def markdown(rows):
    """Give the README's block: the models, and each ensemble method with its best rule."""
    where = "; ".join(processors(rows)) or "not known"
    table = _piped(HEADERS, [_cells(row) for row in best_rules(rows)])
    return f"{table}\n\nF1 is cross-fitted on validation. Processor: {where}.\n"


def dev_markdown(compared):
    """Give what `evaluation.dev.compare` gives as a block for a Markdown file."""
    return f"{_piped(DEV_HEADERS, _dev_cells(compared))}\n\n{_dev_note(compared)}\n" if compared else NOT_COMPARED


def processors(rows):
    """List the processors that the models were trained on, each once."""
    return sorted({row["processor"] for row in rows if row.get("processor")})


def update_blocks(path, name, blocks):
    """Replace what stands between `<!-- KIND:NAME -->` and `<!-- /KIND -->` in a file, atomically.

    Args:
        path: of the file; it has the markers of at least one of the blocks.
        name: of the suite.
        blocks: {kind: Markdown}.

    Raises:
        InputError: the file or the markers are missing.
    """
    path, markers = pathlib.Path(path), {kind: (f"<!-- {kind}:{name} -->", f"<!-- /{kind} -->") for kind in blocks}
    wanted = " or ".join(" and ".join(pair) for pair in markers.values())
    if not path.is_file():
        raise InputError(f"{path} is missing: expected a file with the lines {wanted}.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error}): save it as such.") from error
    found = [kind for kind, (opening, closing) in markers.items() if closing in text.partition(opening)[2]]
    if not found:
        raise InputError(f"{path} lacks the lines {wanted}: add them where the table is to stand.")
    for kind in found:
        opening, closing = markers[kind]
        head, _, rest = text.partition(opening)
        text = f"{head}{opening}\n{blocks[kind].strip()}\n{closing}{rest.partition(closing)[2]}"
    write_text(path, text)


def _aligned(headers, cells):
    lines = [headers, *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(f"{'  '.join(map(_padded, line, widths, headers)).rstrip()}\n" for line in lines)


def _piped(headers, cells):
    dashes = ["---" if header in WORDS else "---:" for header in headers]
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in (headers, dashes, *escaped))


def _dev_cells(compared):
    return [
        [
            model["model"],
            f"{model['micro_f1']['value']:.3f}",
            f"{model['micro_f1']['low']:.3f} to {model['micro_f1']['high']:.3f}",
            f"{model['gain']['value']:+.3f}",
            f"{model['gain']['low']:+.3f} to {model['gain']['high']:+.3f}",
        ]
        for model in compared["models"]
    ]


def _dev_note(compared):
    return (
        f"On the {compared['photos']:,} dev photos, on which no weights were fitted: thresholds calibrated for each "
        f"label, cross-fitted; the gain is against {compared['against']}, on the same photos. Choose a recipe "
        "here, then look at validation."
    )


def _is_random(row):
    return "random" in re.split(r"[\s,+]+", row["weights"])  # a head over two stores names the weights of both


def _kind(method):
    return "constant" if method["method"] == "constant" else "ensemble"


def _at_work(row):
    """List the members whose opinion counts: in an ensemble, those of a weight above zero."""
    return row["members"] if row["kind"] == "model" else _counting(row["weights"])


def _counting(weights):
    return {name: weight for name, weight in weights.items() if weight > 0}


def best_rules(rows):
    """Take every model, and of each ensemble method the rule with the highest cross-fitted F1."""
    best = {}
    for number, row in enumerate(rows):  # rows rise by F1, so that the last of a method is its best
        best[row["method"] if row["kind"] != "model" else number] = row
    return [row for row in rows if any(row is kept for kept in best.values())]


def _cells(row):
    micro, seconds = row["micro_f1"], row["seconds"]
    return [
        row["method"],
        f"{micro['cross_fitted']:.3f}",
        f"{micro['low']:.3f} to {micro['high']:.3f}",
        f"{micro['in_sample']:.3f}",
        f"{row['macro_f1']['cross_fitted']:.3f}",
        row["thresholds"],
        f"{row['parameters']['total'] / 1e6:.1f}",
        f"{seconds['features']:,.1f}",
        f"{seconds['training']:,.1f}",
        weights(row),
        row.get("note", ""),
    ]


def weights(row):
    """Say where a model's backbone weights come from, or how much each member of an ensemble counts.

    RANDOM stands in capitals: such a backbone never learned from any photo.
    """
    if row["kind"] == "model":
        return "RANDOM" if row["random"] else row["weights"]
    flag = f" ({len(row['random'])} RANDOM)" if row["random"] else ""
    return _mixture(_counting(row["weights"])) + flag


def _mixture(weights):
    if len(weights) > 1 and max(weights.values()) - min(weights.values()) < 1e-9:
        return f"{len(weights)} members alike"
    return ", ".join(f"{name} {weight:.2f}" if len(weights) > 1 else name for name, weight in weights.items())


def _padded(cell, width, header):
    return cell.ljust(width) if header in WORDS else cell.rjust(width)
