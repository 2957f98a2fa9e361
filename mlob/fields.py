"""What a field of a recipe admits: by its type, its bounds, and the names that are taken."""

import math
import re
import reprlib
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mlob.errors import InputError, nearest

NAMES = tuple[str, ...]
LOGISTIC = "logistic"  # the reference, a model of every suite
NAIVE_BAYES, KERNEL = "naive_bayes", "kernel"
KINDS = {  # of heads without epochs, in words
    KERNEL: "a kernel machine",
    LOGISTIC: "scikit-learn's logistic regression",
    NAIVE_BAYES: "scikit-learn's Naive Bayes",
}
PREFIXES = {  # as SET names their fields
    "Detector": "detector.",
    "Encoder": "encoder.",
    "Text": "text.",
    "Crop": "crop.",
    "Head": "head.",
    "Training": "training.",
    "Ensemble": "ensemble.",
    "Annotations": "annotations.",
    "Submission": "submission.",
    "Network": "network.",
    "Convolutions": "network.convolutions.",
    "Phase": "phase.",
    "Task": "task.",
    "Augmentation": "augmentation.",
}
OF_OTHERS = (PREFIXES["Annotations"], PREFIXES["Detector"])  # columns and outputs have any name
RESERVED = (
    "suite",
    "heads",
    "networks",
    "ensemble",
    "report",
    "predict",
    "data",
    "export",
)  # files beside the recipes, folders beside the runs
LARGEST = 10**15  # of whole numbers, so that a float can hold what is computed from them
SEVERAL = {  # how a field is written that holds many of a type
    "int": "several, as in (512, 256) or (512,)",
    "float": "numbers, as in (0.5, 1.5) or (0.5,)",
    **dict.fromkeys(("str", "Literal"), "names, as in ('a', 'b') or ('a',)"),
}
BOUNDS = {  # smallest and largest; other numbers start at zero
    "size": (8, 1024),
    "crop.size": (8, 1024),
    "detector.size": (32, 2048),
    "detector.classes": (1, 10_000),
    "detector.threshold": (0, 1),
    "detector.most": (1, 1000),
    "text.terms": (1, 65_536),
    "text.words": (1, 5),
    "head.units": (1, 16_384),  # two such layers are a gigabyte of weights
    "head.feature_dropout": (0, 0.99),
    "head.dropout": (0, 0.99),
    "head.queries": (1, 1024),
    "head.branches": (1, 64),
    "head.task_units": (1, 1024),
    "training.label_smoothing": (0, 0.99),
    "training.balance": (0, 1),
    "training.momentum": (0, 1),
    "training.batch": (1, math.inf),
    "training.folds": (0, 100),
    "phase.epochs": (1, math.inf),
    "phase.momentum": (0, 1),
    "phase.block_decay": (0.01, 1),
    "phase.accumulate": (1, 1024),
    "phase.average": (0, 0.99999),
    "augmentation.crop": (0.01, 1),
    "augmentation.rotation": (0, 180),
    "augmentation.shift": (0, 0.9),
    "augmentation.zoom": (0, 0.9),
    "augmentation.colour": (0, 1),
    "augmentation.cutout": (0, 0.9),
    "network.convolutions.filters": (1, 4096),
    "network.convolutions.kernel": (1, 32),
    "network.convolutions.pool": (1, 32),
    "network.convolutions.dropout": (0, 0.99),
    "least_share": (0, 1),
    "most_share": (0, 1),
    "repeats": (1, 100),
    "seed": (0, 2**32 - 1),  # NumPy's and Keras's generators take no other
    "annotations.other_below": (0, 1),
    "ensemble.seed": (0, 2**32 - 1),
    "ensemble.folds": (2, math.inf),
    "ensemble.iterations": (1, math.inf),
    "ensemble.patience": (5, math.inf),  # pyswarms counts a single step without gain already
    "ensemble.draws": (1, 1_000_000),
    "ensemble.beta": (0.01, 100),
    "ensemble.cost_false_positive": (1e-9, math.inf),
    "ensemble.cost_false_negative": (1e-9, math.inf),
    "ensemble.wished": (0.01, 0.999),
}


class Recipe:
    """What all recipes share: one that exists is valid, whether a file or SET made it."""

    def __post_init__(self) -> None:
        """Refuse a value that its field does not admit."""
        prefix = PREFIXES.get(type(self).__name__, "")
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            wanted = _wanted(kind, BOUNDS.get(prefix + name, (0, math.inf)), value)
            if wanted:
                raise InputError(f"{prefix}{name} is {reprlib.repr(value)}; expected {wanted}.")
            if kind == NAMES and prefix not in OF_OTHERS:
                _refuse_names(name, value)


def _refuse_names(field, names):
    """Refuse names twice, names that cannot be of a file, and names of models that other products have."""
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{field} names {name!r} twice; expected each name once.")
        check_name(name, field, RESERVED if field != "stores" else ())
        if field in ("members", "parts") and name == LOGISTIC:
            raise InputError(
                f"{field} names 'logistic', the reference that the others are compared with; leave it out."
            )


def without_none(kind: Any) -> Any:
    """Give the type of a field that may be None (`Kind | None`) without that; any other type as it is."""
    return get_args(kind)[0] if get_origin(kind) is UnionType else kind


def check_name(name: str, what: str, reserved: Iterable[str] = ()) -> None:
    """Refuse what cannot be the name of a file of ours: `what` says whose name it is.

    Raises:
        InputError: a path, a blank, too long or not printable, or one of `reserved`.
    """
    if not (name.isprintable() and re.fullmatch(r"[^./\\\s][^/\\]{,99}", name)):
        raise InputError(f"{what} {reprlib.repr(name)} is no name: expected up to 100 letters, digits, _ or -.")
    if name in reserved:
        raise InputError(f"{what} {name!r} is taken: {', '.join(reserved)} are mlob's own. Expected another name.")


def _wanted(kind, bounds, value):
    """Say what a field of this type and these bounds admits where that is not the value; None where it is."""
    if get_origin(kind) in (UnionType, Union):
        return None if value is None and NoneType in get_args(kind) else _wanted_of_several(kind, bounds, value)
    if get_origin(kind) is tuple:
        return _wanted_in_each(get_args(kind)[0], bounds, value)
    if get_origin(kind) is Literal:
        return None if value in get_args(kind) else " or ".join(map(repr, get_args(kind)))
    if kind in (int, float):
        return _wanted_number(kind, bounds, value)
    return (
        None if isinstance(value, kind) else {bool: "True or False", str: "a text"}.get(kind, f"{kind.__name__}(...)")
    )


def _wanted_of_several(kind, bounds, value):
    wanted = [_wanted(each, bounds, value) for each in get_args(kind) if each is not NoneType]
    return None if None in wanted else ", or ".join(wanted)


def _wanted_in_each(kind, bounds, values):
    if not isinstance(values, tuple):
        name = getattr(kind, "__name__", "Literal")
        return SEVERAL.get(name, f"several, as in ({name}(...),)")
    return next((wanted for value in values if (wanted := _wanted(kind, bounds, value))), None)


def _wanted_number(kind, bounds, value):
    low, high = bounds
    high = LARGEST if kind is int and high == math.inf else high
    if isinstance(value, int | kind) and not isinstance(value, bool) and low <= value <= high and value != math.inf:
        return None
    limits = f"{low} or more" if high in (math.inf, LARGEST) else f"{low} to {high:,}"
    return f"a {'whole' if kind is int else 'finite'} number, {limits}"


def check_choice(field: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is not in the table that a recipe's field takes its names from, with the nearest ones."""
    if name not in known:
        raise InputError(f"{field} is {reprlib.repr(name)}{nearest(name, known)}")
