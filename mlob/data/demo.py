"""A demo data set in the layout of iMaterialist 2018, drawn from a seed: garments whose labels can be seen.

Every label is a key of one of the tables of shapes below, so the labels of a photo are what was drawn on it.
Points lie in a garment's own square: x runs from its axis to the right, y from its top down. The commonest
label of a table or a tuple stands first: chances fall with the rank (Zipf), as shares do in the real data.
"""

import csv
import io
import json
import math
import os
import pathlib
import tempfile
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mlob.errors import InputError
from mlob.files import atomic


class Garment(NamedTuple):
    """The shape of a category, and what it may carry."""

    outline: tuple  # the right half: from the armpit where there is a neckline, otherwise from the top
    waist: float  # where a belt sits and lengths count from
    seams: tuple  # open lines; what leaves the cloth is cut off
    options: dict  # group -> labels, "" for none


def _both_sides(*lines):
    return tuple(tuple((side * x, y) for x, y in line) for line in lines for side in (1, -1))


# fmt: off
GARMENTS = {
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
SLEEVES = {
    "short sleeves": ((0.15, 0.045), (0.2, 0.06), (0.29, 0.2), (0.22, 0.26), (0.15, 0.2)),
    "long sleeves": (
        (0.15, 0.045), (0.2, 0.06), (0.26, 0.25), (0.32, 0.58), (0.25, 0.6), (0.2, 0.36), (0.15, 0.2)),
    "sleeveless": (),
}

COLLAR = ((0, 0.125), (0.06, -0.005), (0.1, 0.025), (0.085, 0.15))
HANGER = (
    (-0.13, 0.06), (0, 0), (0.13, 0.06), (0, 0), (0, -0.03), (0.02, -0.045), (0.02, -0.07), (-0.01, -0.075))
WALLS = ((255, 255, 255), (255, 255, 255), (244, 240, 232), (228, 234, 240), (240, 226, 224), (222, 232, 222))
PROPORTIONS = ((0.75, 1), (0.75, 1), (0.67, 1), (1, 1), (1, 0.8), (0.56, 1))  # width and height of a photo
# fmt: on


def _box(left, top, right, bottom):
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def _blob(radius, petals=0):
    """A circle, or a flower with so many petals."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    reach = radius * (1 + 0.45 * np.cos(petals * angles) * (petals > 0))
    return np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=1)


def _bands(step, share):
    return np.arange(-0.6, 1.3, step)[:, None, None] * (0, 1) + _box(-2, 0, 2, share * step)


def _checks(step):
    return np.concatenate([_bands(step, 0.3), _bands(step, 0.3)[..., ::-1]])


def _scattered(shape, step):
    rows, columns = np.mgrid[0:1.3:step, -0.5:0.5:step]
    columns[::2] += step / 2
    return np.stack([columns.ravel(), rows.ravel()], axis=1)[:, None] + shape


PATTERNS = {  # step -> the polygons that are printed on the cloth
    "plain": lambda step: np.empty((0, 4, 2)),
    "striped": lambda step: _bands(step, 0.45),
    "checked": _checks,
    "dotted": lambda step: _scattered(_blob(0.25 * step), step),
    "colour block": lambda step: _box(-1, 0.22, 1, 2)[None],
    "floral": lambda step: _scattered(_blob(0.4 * step, petals=5), 1.4 * step),
}


def _belt(waist):
    return [_box(-0.5, waist - 0.022, 0.5, waist + 0.022), _box(-0.03, waist - 0.026, 0.03, waist + 0.026)]


def _buttons(waist):
    return [_blob(0.014) + np.array((0, y)) for y in np.linspace(0.17, waist + 0.16, 6)]


def _pockets(waist):
    right = np.array([(0.045, 0.08), (0.12, 0.08), (0.12, 0.15), (0.0825, 0.175), (0.045, 0.15)]) + np.array((0, waist))
    return [right, right * (-1, 1)]


DETAILS = {"belt": _belt, "pockets": _pockets, "buttons": _buttons}  # waist -> the polygons that are sewn on

GROUPS = {
    "category": GARMENTS,
    "colour": COLOURS,
    "length": LENGTHS,
    "neckline": NECKLINES,
    "pattern": PATTERNS,
    "sleeve": SLEEVES,
    "detail": DETAILS,
}
LABELS = [(label, task, group) for task, (group, shapes) in enumerate(GROUPS.items(), 1) for label in shapes]
LABEL_IDS = {label: str(label_id) for label_id, (label, _, _) in enumerate(LABELS, 1)}

# Label shares differ between the splits, as in the real data: stripes are commoner outside train.
FAVOURED = {"train": (), "validation": ("striped",), "test": ("striped",)}


def _pick(options, rng, favoured=()):
    options = list(options)
    weights = np.array([(1 + (option in favoured)) / rank for rank, option in enumerate(options, 1)])
    return options[rng.choice(len(options), p=weights / weights.sum())]


def _look(rng, favoured):
    """What is to be drawn: attribute -> label, "" for none."""
    category, pattern, colour = _pick(GARMENTS, rng), _pick(PATTERNS, rng, favoured), _pick(COLOURS, rng)
    two = rng.random() < {"plain": 0, "colour block": 1}.get(pattern, 0.3)
    return {
        "category": category,
        "pattern": pattern,
        "colour": colour,
        "second colour": _pick([other for other in COLOURS if other != colour], rng) if two else "",
        **{group: _pick(labels, rng) for group, labels in GARMENTS[category].options.items()},
    }


def _mixed(colour, other, share):
    return tuple(round((1 - share) * a + share * b) for a, b in zip(colour, other, strict=True))


def _tones(look):
    """The colours of cloth, print, trimmings and lines; a print in one colour is a shade of the cloth."""
    cloth = COLOURS[look["colour"]]
    shade = (255, 255, 255) if sum(cloth) < 330 else (0, 0, 0)
    printed = COLOURS[look["second colour"]] if look["second colour"] else _mixed(cloth, shade, 0.35)
    return cloth, printed, _mixed(cloth, shade, 0.5), _mixed(cloth, (12, 12, 24), 0.68)


def _mirrored(half):
    half = np.asarray(half, float)
    return np.concatenate([half, half[::-1] * (-1, 1)])


def _outlines(look):
    """The inside of the back where it shows, the sleeves, and the body."""
    garment = GARMENTS[look["category"]]
    body = np.array(garment.outline)
    shortened = 1 - LENGTHS.get(look.get("length"), 1)
    body[:, 1] -= shortened * np.maximum(body[:, 1] - garment.waist, 0)
    if "neckline" not in look:
        return [], [], _curve(_mirrored(body))
    neck, sleeve = NECKLINES[look["neckline"]], SLEEVES[look["sleeve"]]
    x, y = neck[-1]
    back = [(0, y + 0.02), (x, y), (x, 0.15), (0, 0.2)]
    sleeves = [_curve(np.array(sleeve) * (side, 1)) for side in (1, -1) if sleeve]
    return [_curve(_mirrored(back))], sleeves, _curve(_mirrored([*neck, *SHOULDER, *body]))


def _curve(polygon):
    """The closed polygon with soft corners: twelve points an edge, each moved to its neighbours' mean."""
    along = np.linspace(0, 1, 12, endpoint=False)[:, None]
    points = (polygon[:, None] * (1 - along) + np.roll(polygon, -1, axis=0)[:, None] * along).reshape(-1, 2)
    return sum(np.roll(points, shift, axis=0) for shift in (-2, -1, 0, 1, 2)) / 5


def _placing(outlines, size, rng):
    """A map from the garment's square to pixels of `size`: fitted, moved, turned, by a wavering hand."""
    points = np.concatenate(outlines)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = min(size / (high - low)) * rng.uniform(0.68, 0.92)
    angle = rng.normal(0, 0.06)
    turn = scale * np.array([(math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))])
    centre = size / 2 + rng.uniform(-0.3, 0.3, 2) * (size - scale * (high - low))
    waves, phases = rng.uniform((7, 18), (12, 30), (2, 2)), rng.uniform(0, 2 * np.pi, (2, 2))

    def place(polygons):
        points = np.asarray(polygons, float)
        wavering = 0.0035 * np.sin(points[..., None, ::-1] * waves + phases).sum(axis=-2)
        return (points + wavering - (low + high) / 2) @ turn + centre

    return place


def _line(image, points, colour, width):
    ImageDraw.Draw(image).line(points.ravel().tolist(), colour, width, joint="curve")


def _fill(image, points, colour):
    ImageDraw.Draw(image).polygon(points.ravel().tolist(), colour)


def _sew(image, points, cloth, *pen):
    """Paint the outlined area with a colour or a fabric, and draw its edge."""
    if isinstance(cloth, Image.Image):
        mask = Image.new("L", image.size)
        _fill(mask, points, 255)
        box = mask.getbbox()
        image.paste(cloth.crop(box), box, mask.crop(box))
    else:
        _fill(image, points, cloth)
    _line(image, np.concatenate([points, points[:2]]), *pen)


def _fabric(look, size, place, rng):
    cloth, printed, _, line = _tones(look)
    fabric = Image.new("RGBA", size, cloth)
    for points in place(PATTERNS[look["pattern"]](rng.uniform(0.06, 0.1))):
        _fill(fabric, points, printed)
    for seam in GARMENTS[look["category"]].seams:
        _line(fabric, place(seam), line, max(size) // 300)
    return fabric


def _garment(look, size, rng):
    """The garment on nothing: RGBA of `size`, drawn twice as large."""
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


def _photo(garment, rng):
    """The garment before a pale wall, with a soft shadow, in the light of the day: RGB."""
    wall = Image.fromarray(rng.choice(WALLS, (2, 1)).astype(np.uint8))
    photo = wall.resize(garment.size, Image.Resampling.BILINEAR)
    shadow = garment.getchannel("A").filter(ImageFilter.BoxBlur(4)).point(lambda value: value * 0.2)
    photo.paste((40, 40, 60), (int(rng.integers(-5, 6)), 5), shadow)
    photo.paste(garment, None, garment)
    light = rng.uniform(0.86, 1.04)
    return photo.point(lambda value: value * light)


def _encoded(image, **settings):
    buffer = io.BytesIO()
    image.save(buffer, **settings)
    return buffer.getvalue()


def _jpeg(image, **settings):
    return _encoded(image, format="JPEG", quality=85, **settings)


def _file(look, garment, rng):
    """(suffix, bytes) as files come: mostly JPEG, some grey, some cut out, some lying on their side."""
    photo, kind = _photo(garment, rng), rng.random()
    if {look["colour"], look["second colour"]} <= {"black", "white", "grey", ""} and kind < 0.25:
        return ".jpg", _jpeg(photo.convert("L"))  # here no label is lost with the colours
    if kind < 0.07:
        return ".png", _encoded(garment, format="PNG")
    if kind > 0.95:
        exif = Image.Exif()
        exif[0x0112] = 6  # orientation: to be shown turned clockwise by a quarter
        return ".jpg", _jpeg(photo.transpose(Image.Transpose.ROTATE_90), exif=exif)
    return ".jpg", _jpeg(photo)


# By split and id: photos whose files are spoilt, all named .jpg, and photos that repeat another split's.
SPOILT = {
    ("train", "6"): lambda photo: _jpeg(photo)[:1500],
    ("train", "13"): lambda photo: b"<html><title>404 Not Found</title></html>",
    ("train", "21"): lambda photo: b"",
    ("train", "28"): lambda photo: _jpeg(Image.new("RGB", photo.size, "white")),
    ("validation", "4"): lambda photo: _jpeg(photo)[:1500],
    ("validation", "9"): lambda photo: _jpeg(Image.new("RGB", photo.size, "grey")),
    ("test", "3"): lambda photo: b"<html><title>404 Not Found</title></html>",
}
TWINS = {
    ("validation", "2"): ("train", "2"),
    ("validation", "7"): ("train", "9"),
    ("test", "1"): ("train", "3"),
    ("test", "5"): ("validation", "5"),
}


def _row(seed, split, image_id):
    """(suffix, bytes, label ids) of one photo, whatever else is drawn."""
    split, image_id = TWINS.get((split, image_id), (split, image_id))
    rng = np.random.default_rng([seed, list(FAVOURED).index(split), int(image_id)])
    look = _look(rng, FAVOURED[split])
    labels = sorted({LABEL_IDS[label] for label in look.values() if label}, key=int)
    size = (rng.integers(240, 420) * rng.choice(PROPORTIONS)).astype(int)
    garment = _garment(look, size, rng)
    if (split, image_id) in SPOILT:
        return ".jpg", SPOILT[split, image_id](_photo(garment, rng)), labels
    return *_file(look, garment, rng), labels


def _write_split(folder, split, rows, seed):
    (folder / "images" / split).mkdir(parents=True)
    images, annotations = [], []
    for image_id in map(str, range(1, rows + 1)):
        suffix, content, labels = _row(seed, split, image_id)
        url = f"images/{split}/{image_id}{suffix}"
        (folder / url).write_bytes(content)
        images.append({"url": url, "imageId": image_id})
        annotations.append({"labelId": labels, "imageId": image_id})
    table = {"images": images} if split == "test" else {"images": images, "annotations": annotations}
    (folder / f"{split}.json").write_text(json.dumps(table), encoding="utf-8")


def _write(folder, seed, photos):
    train, validation = photos * 2 // 3, photos * 17 // 90
    for split, rows in zip(FAVOURED, (train, validation, photos - train - validation), strict=True):
        _write_split(folder, split, rows, seed)
    with open(folder / "label_map.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["labelId", "taskId", "labelName", "taskName"])
        table.writerows((LABEL_IDS[label], task, label, group) for label, task, group in LABELS)


def make(folder, *, seed=0, photos=900):
    """Draw the demo data set into `folder`, which is whole or absent, and return its path.

    Writes train.json, validation.json, test.json (without annotations), label_map.csv and
    images/<split>/<imageId>.<ext>; train, validation and test share the `photos` as 600 : 170 : 130. With 60
    photos or more, seven files are spoilt and four photos stand in two splits. A seed always gives the same
    bytes. A folder that has a train.json stays as it is.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    folder = pathlib.Path(folder)
    if (folder / "train.json").exists():
        return folder
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} holds files but no train.json: name a new or an empty folder.")
    with atomic(folder) as part, tempfile.TemporaryDirectory(prefix=".demo.", dir=folder.parent) as aside:
        whole = pathlib.Path(aside, "whole")
        _write(whole, seed, photos)
        os.replace(whole, part)
    return folder
