"""One frame of a photo, upright and in the colours of sRGB, whatever its mode. Part of the door to Pillow, `images`."""

from __future__ import annotations

import contextlib
import io
import struct
from typing import cast

import numpy as np
from PIL import Image, ImageCms

ORIENTATION = 0x0112  # of EXIF
TURNS: dict[int | None, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SRGB = ImageCms.createProfile("sRGB")
MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # Pillow's, by the colour space of a profile
KEYS = {  # PNG's transparent colour, converted from the depth of the file to that of the pixels
    "L;2": lambda key: key * 85,
    "L;4": lambda key: key * 17,
    "RGB;16B": lambda key: tuple(value >> 8 for value in key),
}


def rgb(image: Image.Image) -> Image.Image:
    """Turn a frame upright and convert any mode to RGB; transparent parts become white."""
    image = _turned(image)
    if image.mode.startswith(("I", "F")):
        image = _grey(image)
    colours = _srgb(image)
    if not image.has_transparency_data:
        return colours
    colours.putalpha(image.convert("RGBA").getchannel("A"))
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours).convert("RGB")


def _turned(image: Image.Image) -> Image.Image:
    """Turn a photo upright. The orientation is only read and never written back, so that broken tags do no harm."""
    turn = None
    with contextlib.suppress(Exception):
        turn = TURNS.get(_orientation(image.info.get("exif", b"")) or image.getexif().get(ORIENTATION))
    return image if turn is None else image.transpose(turn)


def _orientation(exif: bytes) -> int | None:
    """Find the orientation in a block of EXIF, None without one; Pillow would give up at the first broken tag."""
    with contextlib.suppress(KeyError, struct.error):
        block = exif.removeprefix(b"Exif\0\0")
        order = {b"II": "<", b"MM": ">"}[block[:2]]
        (start,) = struct.unpack_from(f"{order}4xI", block)
        (count,) = struct.unpack_from(f"{order}H", block, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", block, at)
            if tag == ORIENTATION:
                return struct.unpack_from(order + {1: "B", 3: "H", 4: "I"}[kind], block, at + 8)[0]
    return None


def _grey(image: Image.Image) -> Image.Image:
    """Convert 16 bits, 32 bits or floats, whose white may be 1, 255 or 65535, to 8 bits."""
    values = np.nan_to_num(np.asarray(image))
    most = 65535 if image.mode != "F" else next((most for most in (1, 255) if values.max() <= most), 65535)
    grey = Image.fromarray((values.clip(0, most) * (255 / most) + 1e-4).astype(np.uint8))
    if "transparency" in image.info:
        grey.putalpha(Image.fromarray((values != image.info["transparency"]) * np.uint8(255)))
    if "icc_profile" in image.info:
        grey.info["icc_profile"] = image.info["icc_profile"]
    return grey


def _srgb(image: Image.Image) -> Image.Image:
    """Convert to RGB, from the colours of an embedded profile (if it fits and is not sRGB) to those of sRGB."""
    with contextlib.suppress(ImageCms.PyCMSError, OSError, KeyError):
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        mode = MODES[profile.profile.xcolor_space]
        fits = mode == image.mode.removesuffix("A") or (mode == "RGB" and image.mode != "CMYK")
        if fits and "sRGB" not in (profile.profile.profile_description or ""):
            converted = ImageCms.profileToProfile(image.convert(mode), profile, SRGB, outputMode="RGB")
            return cast(Image.Image, converted)  # it gives None only when it converts in place
    return image.convert("RGB")
