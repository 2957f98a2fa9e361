"""Draw a photo of a garment with given labels."""

import io
import math
from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFilter

from mlob.data.garments import (
    COLLAR,
    COLOURS,
    DETAILS,
    GARMENTS,
    HANGER,
    LENGTHS,
    NECKLINES,
    PATTERNS,
    SHOULDER,
    SLEEVES,
)

WALLS = ((255, 255, 255), (255, 255, 255), (244, 240, 232), (228, 234, 240), (240, 226, 224), (222, 232, 222))

Look = dict[str, str]  # what is to be drawn: {attribute: label}, "" for none
Colour = tuple[int, ...]


def pick(options: Iterable[str], rng: Generator, favoured: Collection[str] = ()) -> str:
    """Pick a label at random: early ones more often (Zipf), favoured ones about twice as often."""
    labels = list(options)
    weights = np.array([(1 + (label in favoured)) / rank for rank, label in enumerate(labels, 1)])
    return labels[rng.choice(len(labels), p=weights / weights.sum())]


def pick_look(rng: Generator, favoured: Collection[str]) -> Look:
    """Pick the labels of a photo at random."""
    category, pattern, colour = pick(GARMENTS, rng), pick(PATTERNS, rng, favoured), pick(COLOURS, rng)
    two = rng.random() < {"plain": 0, "colour block": 1}.get(pattern, 0.3)
    return {
        "category": category,
        "pattern": pattern,
        "colour": colour,
        "second colour": pick([other for other in COLOURS if other != colour], rng) if two else "",
        **{group: pick(labels, rng) for group, labels in GARMENTS[category].options.items()},
    }


def garment(look: Look, size: np.ndarray, rng: Generator) -> Image.Image:
    """Draw a garment on nothing: RGBA of `size` (width, height), drawn twice as large."""
    cloth, _, trim, line = _tones(look)
    backs, sleeves, body = _outlines(look)
    place = _placing([*backs, *sleeves, body], 2 * size, rng)
    fabric = _fabric(look, tuple(2 * size), place, rng)
    image = Image.new("RGBA", fabric.size, (*cloth, 0))
    pen = line, round(max(size) * rng.uniform(0.01, 0.018))
    if backs and rng.random() < 0.3:
        _line(image, place(HANGER), (120, 116, 112), pen[1])
    for back in backs:
        _sew(image, place(back), _mixed(cloth, line, 0.5), *pen)
    for sleeve in sleeves:
        _sew(image, place(sleeve), fabric, *pen)
    for detail in DETAILS[look["detail"]](GARMENTS[look["category"]].waist) if look.get("detail") else ():
        _sew(fabric, place(detail), trim, *pen)
    _sew(image, place(body), fabric, *pen)
    for side in (1, -1) if look.get("neckline") == "collar" else ():
        _sew(image, place(np.array(COLLAR) * (side, 1)), cloth, *pen)
    return image.reduce(2)


def photo(garment: Image.Image, rng: Generator) -> Image.Image:
    """Show a garment in front of a pale wall, with a soft shadow and a random brightness: RGB."""
    wall = Image.fromarray(rng.choice(WALLS, (2, 1)).astype(np.uint8))
    photo = wall.resize(garment.size, Image.Resampling.BILINEAR)
    shadow = garment.getchannel("A").filter(ImageFilter.BoxBlur(4)).point(lambda value: value * 0.2)
    photo.paste((40, 40, 60), (int(rng.integers(-5, 6)), 5), shadow)
    photo.paste(garment, None, garment)
    light = rng.uniform(0.86, 1.04)
    return photo.point(lambda value: value * light)


def blank(photo: Image.Image, colour: str) -> bytes:
    """Give a JPEG of one colour and of a photo's size."""
    return jpeg(Image.new("RGB", photo.size, colour))


def jpeg(image: Image.Image, **settings: Any) -> bytes:
    """Give a photo as a JPEG of quality 85."""
    return _encoded(image, format="JPEG", quality=85, **settings)


def file(look: Look, garment: Image.Image, rng: Generator) -> tuple[str, bytes]:
    """Give (suffix, bytes) as in real data: mostly JPEG, some grey, some cut out, some turned on their side."""
    shown, kind = photo(garment, rng), rng.random()
    if {look["colour"], look["second colour"]} <= {"black", "white", "grey", ""} and kind < 0.25:
        return ".jpg", jpeg(shown.convert("L"))  # no label is lost with the colours
    if kind < 0.07:
        return ".png", _encoded(garment, format="PNG")
    if kind > 0.95:
        exif = Image.Exif()
        exif[0x0112] = 6  # orientation: to be turned clockwise by a quarter when shown
        return ".jpg", jpeg(shown.transpose(Image.Transpose.ROTATE_90), exif=exif)
    return ".jpg", jpeg(shown)


def _encoded(image: Image.Image, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **settings)
    return buffer.getvalue()


def _mixed(colour: Colour, other: Colour, fraction: float) -> Colour:
    return tuple(round((1 - fraction) * a + fraction * b) for a, b in zip(colour, other, strict=True))


def _tones(look: Look) -> tuple[Colour, Colour, Colour, Colour]:
    """Give the colours of cloth, print, trimmings and lines; a print in one colour is a shade of the cloth."""
    cloth = COLOURS[look["colour"]]
    shade = (255, 255, 255) if sum(cloth) < 330 else (0, 0, 0)
    printed = COLOURS[look["second colour"]] if look["second colour"] else _mixed(cloth, shade, 0.35)
    return cloth, printed, _mixed(cloth, shade, 0.5), _mixed(cloth, (12, 12, 24), 0.68)


def _mirrored(half: np.ndarray) -> np.ndarray:
    return np.concatenate([half, half[::-1] * (-1, 1)])


def _outlines(look: Look) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Give the inside of the back where it shows, the sleeves, and the body."""
    shape = GARMENTS[look["category"]]
    body = np.array(shape.outline)
    shortened = 1 - LENGTHS.get(look.get("length", ""), 1)
    body[:, 1] -= shortened * np.maximum(body[:, 1] - shape.waist, 0)
    if "neckline" not in look:
        return [], [], _curve(_mirrored(body))
    neck, sleeve = NECKLINES[look["neckline"]], SLEEVES[look["sleeve"]]
    x, y = neck[-1]
    back = [(0, y + 0.02), (x, y), (x, 0.15), (0, 0.2)]
    sleeves = [_curve(np.array(sleeve) * (side, 1)) for side in (1, -1) if sleeve]
    return [_curve(_mirrored(np.array(back)))], sleeves, _curve(_mirrored(np.array([*neck, *SHOULDER, *body])))


def _curve(polygon: np.ndarray) -> np.ndarray:
    """Give the closed polygon with soft corners: twelve points an edge, each moved to its neighbours' mean."""
    along = np.linspace(0, 1, 12, endpoint=False)[:, None]
    points = (polygon[:, None] * (1 - along) + np.roll(polygon, -1, axis=0)[:, None] * along).reshape(-1, 2)
    return np.sum([np.roll(points, shift, axis=0) for shift in (-2, -1, 0, 1, 2)], axis=0) / 5


def _placing(outlines: list[np.ndarray], size: np.ndarray, rng: Generator) -> Callable[[ArrayLike], np.ndarray]:
    """Give a map from the garment's square to pixels of `size`: fitted, moved, turned, by a wavering hand."""
    points = np.concatenate(outlines)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = min(size / (high - low)) * rng.uniform(0.68, 0.92)
    angle = rng.normal(0, 0.06)
    turn = scale * np.array([(math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))])
    centre = size / 2 + rng.uniform(-0.3, 0.3, 2) * (size - scale * (high - low))
    waves, phases = rng.uniform((7, 18), (12, 30), (2, 2)), rng.uniform(0, 2 * np.pi, (2, 2))

    def place(polygons: ArrayLike) -> np.ndarray:
        points = np.asarray(polygons, float)
        wavering = 0.0035 * np.sin(points[..., None, ::-1] * waves + phases).sum(axis=-2)
        return (points + wavering - (low + high) / 2) @ turn + centre

    return place


def _line(image: Image.Image, points: np.ndarray, colour: Colour, width: int) -> None:
    ImageDraw.Draw(image).line(points.ravel().tolist(), colour, width, joint="curve")


def _fill(image: Image.Image, points: np.ndarray, colour: Colour | int) -> None:
    ImageDraw.Draw(image).polygon(points.ravel().tolist(), colour)


def _sew(image: Image.Image, points: np.ndarray, cloth: Colour | Image.Image, colour: Colour, width: int) -> None:
    """Paint the outlined area with a colour or a fabric, and draw its edge."""
    if isinstance(cloth, Image.Image):
        mask = Image.new("L", image.size)
        _fill(mask, points, 255)
        box = mask.getbbox()
        image.paste(cloth.crop(box), box, mask.crop(box))
    else:
        _fill(image, points, cloth)
    _line(image, np.concatenate([points, points[:2]]), colour, width)


def _fabric(look: Look, size: tuple[int, int], place: Callable[[ArrayLike], np.ndarray], rng: Generator) -> Image.Image:
    cloth, printed, _, line = _tones(look)
    fabric = Image.new("RGBA", size, cloth)
    for points in place(PATTERNS[look["pattern"]](rng.uniform(0.06, 0.1))):
        _fill(fabric, points, printed)
    for seam in GARMENTS[look["category"]].seams:
        _line(fabric, place(seam), line, max(size) // 300)
    return fabric
