"""Shapes of garments, and the labels that each may have: tables from which the demo set is drawn.

Every label is a key of one of these tables, so a photo's labels are exactly what was drawn. Points are in the
garment's own square: x runs from its axis to the right, y from its top down. In a table or a tuple the commonest label
comes first: chances fall with the rank (Zipf), as prevalence does in real data.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np

Point = tuple[float, float]
Line = tuple[Point, ...]


class Garment(NamedTuple):
    """The shape of a category, and the labels that it may have.

    Attributes:
        outline: the right half: from the armpit where there is a neckline, otherwise from the top.
        waist: where a belt sits and lengths count from.
        seams: open lines, cut off at the edge of the cloth.
        options: {group: labels}; "" stands for no label.
    """

    outline: Line
    waist: float
    seams: tuple[Line, ...]
    options: dict[str, tuple[str, ...]]


def _both_sides(*lines: Line) -> tuple[Line, ...]:
    return tuple(tuple((side * x, y) for x, y in line) for line in lines for side in (1, -1))


# fmt: off
GARMENTS: dict[str, Garment] = {
    "dress": Garment(
        ((0.125, 0.38), (0.17, 0.6), (0.27, 1.0), (0.14, 1.03), (0, 1.04)), 0.38,
        _both_sides(((0.045, 0.44), (0.08, 1.1))),
        {"neckline": ("round neck", "V-neck", "boat neck"),
         "sleeve": ("sleeveless", "short sleeves", "long sleeves"),
         "length": ("knee length", "maxi", "mini"),
         "detail": ("", "belt")}),
    "T-shirt": Garment(
        ((0.165, 0.4), (0.175, 0.6), (0.08, 0.61), (0, 0.61)), 0.4,
        (((-0.3, 0.585), (0.3, 0.585)),),
        {"neckline": ("round neck", "V-neck", "boat neck"), "sleeve": ("short sleeves", "long sleeves")}),
    "trousers": Garment(
        ((0, 0), (0.14, 0), (0.175, 0.2), (0.17, 0.6), (0.15, 0.95), (0.05, 0.95), (0.03, 0.5), (0, 0.3)),
        0.03,
        (((-0.3, 0.055), (0.3, 0.055)), ((0, 0.055), (0, 0.2)), *_both_sides(((0.1, 0.45), (0.1, 0.93)))),
        {"detail": ("", "pockets", "belt")}),
    "shirt": Garment(
        ((0.15, 0.4), (0.175, 0.58), (0.12, 0.64), (0, 0.65)), 0.4,
        _both_sides(((0.02, 0.1), (0.02, 0.7))),
        {"neckline": ("collar",), "sleeve": ("long sleeves", "short sleeves"), "detail": ("buttons",)}),
    "skirt": Garment(
        ((0, 0), (0.13, 0), (0.145, 0.06), (0.29, 0.7), (0.15, 0.725), (0, 0.73)), 0.03,
        (((-0.3, 0.06), (0.3, 0.06)), ((0, 0.2), (0, 0.8)), *_both_sides(((0.05, 0.12), (0.11, 0.8)))),
        {"length": ("knee length", "mini", "maxi"), "detail": ("", "belt", "pockets")}),
    "jumper": Garment(
        ((0.195, 0.4), (0.2, 0.52), (0.17, 0.6), (0.08, 0.605), (0, 0.605)), 0.4,
        (((-0.5, 0.54), (0.5, 0.54)),
         *_both_sides(*(((x, 0.55), (x, 0.7)) for x in np.arange(0.01, 0.35, 0.02)))),
        {"neckline": ("round neck", "V-neck"), "sleeve": ("long sleeves",)}),
    "shorts": Garment(
        ((0, 0), (0.16, 0), (0.19, 0.2), (0.215, 0.38), (0.04, 0.4), (0.025, 0.33), (0, 0.25)), 0.03,
        (((-0.3, 0.055), (0.3, 0.055)), ((0, 0.055), (0, 0.2)), ((-0.3, 0.355), (0.3, 0.355))),
        {"detail": ("", "pockets", "belt")}),
    "coat": Garment(
        ((0.165, 0.42), (0.21, 0.8), (0.22, 0.98), (0.1, 1.0), (0, 1.0)), 0.44,
        (((-0.03, 0.1), (-0.03, 1.1)),),
        {"neckline": ("collar",), "sleeve": ("long sleeves",), "length": ("knee length", "maxi"),
         "detail": ("buttons", "belt", "pockets")}),
    "jumpsuit": Garment(
        ((0.125, 0.36), (0.165, 0.5), (0.17, 0.8), (0.15, 1.1), (0.045, 1.1), (0.03, 0.8), (0, 0.6)), 0.36,
        (((-0.3, 0.36), (0.3, 0.36)), ((0, 0.38), (0, 0.56))),
        {"neckline": ("V-neck", "round neck"), "sleeve": ("sleeveless", "short sleeves", "long sleeves"),
         "detail": ("belt", "pockets")}),
}

COLOURS = {
    "blue": (52, 104, 190), "black": (52, 52, 58), "red": (206, 48, 52), "white": (250, 249, 245),
    "green": (66, 142, 88), "grey": (150, 153, 158), "yellow": (244, 204, 66), "pink": (240, 150, 182),
    "brown": (128, 84, 54), "purple": (122, 78, 160),
}

LENGTHS = {"knee length": 0.7, "maxi": 1.0, "mini": 0.47}  # of the way from the waist to the longest hem

NECKLINES = {  # from the middle of the front to the shoulder
    "round neck": ((0, 0.095), (0.035, 0.085), (0.06, 0.055), (0.07, 0.02)),
    "V-neck": ((0, 0.19), (0.035, 0.1), (0.07, 0.02)),
    "collar": ((0, 0.11), (0.065, 0.02)),
    "boat neck": ((0, 0.055), (0.07, 0.053), (0.125, 0.032)),
}

# Everything with a neckline has these shoulders, so that every sleeve fits every body.
SHOULDER = ((0.165, 0.05), (0.15, 0.13), (0.165, 0.22))
SLEEVES: dict[str, Line] = {
    "short sleeves": ((0.15, 0.045), (0.2, 0.06), (0.29, 0.2), (0.22, 0.26), (0.15, 0.2)),
    "long sleeves": (
        (0.15, 0.045), (0.2, 0.06), (0.26, 0.25), (0.32, 0.58), (0.25, 0.6), (0.2, 0.36), (0.15, 0.2)),
    "sleeveless": (),
}

COLLAR = ((0, 0.125), (0.06, -0.005), (0.1, 0.025), (0.085, 0.15))
HANGER = (
    (-0.13, 0.06), (0, 0), (0.13, 0.06), (0, 0), (0, -0.03), (0.02, -0.045), (0.02, -0.07), (-0.01, -0.075))
# fmt: on


def _box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def _blob(radius: float, petals: int = 0) -> np.ndarray:
    """Give a circle, or a flower with so many petals."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    reach = radius * (1 + 0.45 * np.cos(petals * angles) * (petals > 0))
    return np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=1)


def _bands(step: float, fraction: float) -> np.ndarray:
    return np.arange(-0.6, 1.3, step)[:, None, None] * (0, 1) + _box(-2, 0, 2, fraction * step)


def _checks(step: float) -> np.ndarray:
    return np.concatenate([_bands(step, 0.3), _bands(step, 0.3)[..., ::-1]])


def _scattered(shape: np.ndarray, step: float) -> np.ndarray:
    rows, columns = np.mgrid[0:1.3:step, -0.5:0.5:step]
    columns[::2] += step / 2
    return np.stack([columns.ravel(), rows.ravel()], axis=1)[:, None] + shape


PATTERNS: dict[str, Callable[[float], np.ndarray]] = {  # step -> the polygons that are printed on the cloth
    "plain": lambda step: np.empty((0, 4, 2)),
    "striped": lambda step: _bands(step, 0.45),
    "checked": _checks,
    "dotted": lambda step: _scattered(_blob(0.25 * step), step),
    "colour block": lambda step: _box(-1, 0.22, 1, 2)[None],
    "floral": lambda step: _scattered(_blob(0.4 * step, petals=5), 1.4 * step),
}


def _belt(waist: float) -> list[np.ndarray]:
    return [_box(-0.5, waist - 0.022, 0.5, waist + 0.022), _box(-0.03, waist - 0.026, 0.03, waist + 0.026)]


def _buttons(waist: float) -> list[np.ndarray]:
    return [_blob(0.014) + np.array((0, y)) for y in np.linspace(0.17, waist + 0.16, 6)]


def _pockets(waist: float) -> list[np.ndarray]:
    right = np.array([(0.045, 0.08), (0.12, 0.08), (0.12, 0.15), (0.0825, 0.175), (0.045, 0.15)]) + np.array((0, waist))
    return [right, right * (-1, 1)]


DETAILS = {"belt": _belt, "pockets": _pockets, "buttons": _buttons}  # waist -> the polygons that are sewn on

GROUPS: dict[str, Collection[str]] = {
    "category": GARMENTS,
    "colour": COLOURS,
    "length": LENGTHS,
    "neckline": NECKLINES,
    "pattern": PATTERNS,
    "sleeve": SLEEVES,
    "detail": DETAILS,
}
