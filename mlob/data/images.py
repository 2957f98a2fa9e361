"""Photos: their bytes and their pixels. The only door to Pillow, except for drawing the demo set."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pathlib
import stat
import warnings
from collections.abc import Iterator
from typing import cast

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from mlob.data import upright
from mlob.data.places import MOST_BYTES, Place
from mlob.errors import InputError, Unreadable

DECODER = "pillow draft, srgb"  # in fingerprints: changes with whatever changes pixels, even by half a grey level
BLANK_RANGE = 3  # grey levels; JPEG leaves about this much noise on one uniform colour
Inset = tuple[int, int, int, int]  # where in its square a letterboxed photo lies: left, top, width, height, pixels
CROP = 7 / 8  # of each side is kept by a crop (224 of 256 pixels, Krizhevsky, Sutskever and Hinton 2012)
VIEWS: dict[
    str, tuple[float, float] | None
] = {  # where a crop lies between the left and the right edge, and between the top and the bottom one
    "whole": None,
    "flip": None,
    "centre": (0.5, 0.5),
    "top_left": (0, 0),
    "top_right": (1, 0),
    "bottom_left": (0, 1),
    "bottom_right": (1, 1),
}
SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".avifs",
    ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx",
}  # fmt: skip
# What a file may hold, whatever its suffix. EPS is not among them: Pillow would hand it to Ghostscript.
FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}  # the brands in the head of such files
NEEDS_HEIC = 'HEIC, which needs a package: pip install "mlob[heic]"'
HEAD = 32  # bytes that show what a file holds
with contextlib.suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()
    FORMATS += ("HEIF",)

MOST_PIXELS = 32_000_000  # in memory at once: converting them to RGB takes half a gigabyte or more in each thread
MOST_NARROW = 1000  # times as long as wide; a longer photo would be less than one pixel wide in a square

FRAMES = 10  # of an animation (or pages) are searched for the first that is not blank
END = b"\xff\xd9"  # of a JPEG
MORE = b"".join(bytes(range(254, 0, -1)) + bytes([255, 0xD0 + number]) for number in (*range(8), 0))  # any pixels
# Where Pillow warns (odd EXIF, many pixels), decoding fails for that reason or does no harm. Set once and not for each
# photo, since photos are decoded in threads, which share the filters.
warnings.filterwarnings("ignore", module=r"PIL\.")


def content(place: Place | None, *, count: int | None = None) -> bytes:
    """Read the bytes of a photo.

    Args:
        place: None if the photo has no file.
        count: how many bytes are enough; archives and buckets give all bytes anyway.

    Raises:
        Unreadable: there is no such file, or it is not a regular one, is empty, or has more than `MOST_BYTES`.
    """
    if place is None:
        raise Unreadable("no file")
    try:
        data = _plain(place, count) if isinstance(place, pathlib.Path) else place.read_bytes()
    except FileNotFoundError as error:
        raise Unreadable("no file") from error
    except OSError as error:
        raise Unreadable(f"not read: {error.strerror}") from error
    if not data:
        raise Unreadable("empty file")
    return data


def _plain(path: pathlib.Path, count: int | None) -> bytes:
    """Read a regular file, at most the bytes that it had when it was opened; pipes and devices never end."""
    with open(path, "rb", opener=_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("no plain file")
        if count is None and status.st_size > MOST_BYTES:
            raise Unreadable("too many bytes")
        return file.read(min(status.st_size, count or status.st_size))


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # opening a pipe would wait for its writer


def is_photo(place: Place) -> bool:
    """Tell by its first bytes whether a file is a photo, even if it cannot be decoded."""
    try:
        head = content(place, count=HEAD)[:HEAD]
    except Unreadable:
        return False
    Image.init()
    accepts = (Image.OPEN[kind][1] for kind in FORMATS)
    return _is_heic(head) or any(accept(head) for accept in accepts if accept)


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in HEIC


def content_digest(data: bytes) -> int:
    """Give 64 bits of SHA-256 of a photo's bytes: equal numbers for equal photos."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")


def decode(data: bytes, size: int) -> np.ndarray:
    """Decode a photo to RGB, upright, letterboxed with white.

    Args:
        data: the bytes of the file.
        size: side of the square, pixels.

    Returns:
        A uint8 array (size, size, 3).

    Raises:
        Unreadable: truncated, not an image, too large, too narrow, or one uniform colour.
    """
    return decode_inset(data, size)[0]


def decode_inset(data: bytes, size: int) -> tuple[np.ndarray, Inset]:
    """Decode a photo as `decode` does, and tell where in the square it lies."""
    image = _upright(data, size)
    return np.asarray(_letterboxed(image, size)), _inset(image, size)


def whole(data: bytes, size: int) -> np.ndarray:
    """Decode a photo to RGB, upright, as `decode` does before it is letterboxed: uint8 (height, width, 3)."""
    return np.asarray(_upright(data, size))


def letterboxed(pixels: np.ndarray, size: int) -> np.ndarray:
    """Letterbox a photo that is decoded, uint8 (height, width, 3), as `decode` does: uint8 (size, size, 3)."""
    return np.asarray(_letterboxed(Image.fromarray(pixels), size))


def prepared(data: bytes, size: int, pixels: int) -> bytes:
    """Give a photo as `decode` shows it, as a JPEG of quality 85 (bytes).

    Args:
        data, size: as `decode` takes them.
        pixels: the most that the original may have; it is read from the header, before decoding.

    Raises:
        Unreadable: as in `decode`; too many pixels.
    """
    with (
        contextlib.suppress(Exception),
        Image.open(io.BytesIO(data), formats=FORMATS) as image,
    ):  # raised below
        pixels -= image.width * image.height
    if pixels < 0:
        raise Unreadable("too many pixels")
    return _jpeg(_letterboxed(_upright(data, size), size), quality=85)


def to_jpeg(pixels: np.ndarray) -> bytes:
    """Give pixels, uint8 (height, width, 3), as a JPEG of quality 95 that keeps the colour of every pixel."""
    return _jpeg(Image.fromarray(pixels), quality=95, subsampling="4:4:4")


def from_jpeg(data: bytes, size: int) -> np.ndarray:
    """Give the pixels of a JPEG that `to_jpeg` made of a square: uint8 (size, size, 3).

    Raises:
        Unreadable: the bytes are those of none.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            pixels = np.asarray(image)
    except MemoryError:  # no fault of the photo
        raise
    except Exception as error:  # each release of Pillow has its own errors
        raise Unreadable("not decoded") from error
    if pixels.shape != (size, size, 3):
        raise Unreadable(f"pixels {pixels.shape}")
    return pixels


def view(pixels: np.ndarray, name: str) -> np.ndarray:
    """Give a view of a decoded photo: a uint8 array of the same shape (side, side, 3).

    Args:
        pixels: from `decode`.
        name: a name in `VIEWS`.
    """
    position = VIEWS[name]
    if position is None:
        return pixels[:, ::-1] if name == "flip" else pixels
    side = len(pixels)
    left, top, crop = crop_box(side, position)
    return resized(pixels, side, (left, top, left + crop, top + crop))


def resized(pixels: np.ndarray, side: int, box: tuple[float, float, float, float]) -> np.ndarray:
    """Bring a part of a photo to a square: uint8 (side, side, 3).

    Args:
        pixels: of the photo, uint8 (h, w, 3).
        side: of the square, pixels.
        box: left, top, right and bottom edge of the part, pixels; they may lie between two.
    """
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR, box))


def crop_box(side: int, position: tuple[float, float]) -> tuple[int, int, int]:
    """Give the left and upper edge of a crop at a position of `VIEWS`, and its side, pixels."""
    crop = round(CROP * side)
    left, top = (round(fraction * (side - crop)) for fraction in position)
    return left, top, crop


def thumbnail(data: bytes, size: int) -> bytes:
    """Give a small JPEG (bytes) of a photo for a report page, at most `size` pixels a side.

    Raises:
        Unreadable: truncated, not an image, too large, or too narrow.
    """
    image = _upright(data, size)
    image.thumbnail((size, size))
    return _jpeg(image, quality=80)


def picture(pixels: np.ndarray) -> bytes:
    """Give pixels, uint8 (height, width, 3), as a JPEG (bytes) for a report page."""
    return _jpeg(Image.fromarray(pixels), quality=80)


def _jpeg(image: Image.Image, **options: int | str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def to_file(photo: Image.Image | np.ndarray) -> bytes:
    """Give a photo that is in memory as a file of its pixels (bytes, BMP), which `decode` reads as any other.

    Args:
        photo: uint8 (h, w, 3), or an image of Pillow in any mode, which is turned as its EXIF says.

    Raises:
        InputError: another kind of array, or no photo at all.
        Unreadable: too many pixels; an image whose file is damaged.
    """
    if isinstance(photo, np.ndarray) and (photo.dtype != np.uint8 or photo.shape[2:] != (3,) or not photo.size):
        raise InputError(f"A photo is an array {photo.dtype} {photo.shape}: expected uint8 (height, width, 3), RGB.")
    if not isinstance(photo, np.ndarray | Image.Image):
        raise InputError(
            f"A photo is {type(photo).__name__}: expected a path, the bytes of a file, an image of Pillow, or an array."
        )
    image, buffer = Image.fromarray(photo) if isinstance(photo, np.ndarray) else photo, io.BytesIO()
    if image.width * image.height > MOST_PIXELS:
        raise Unreadable("too many pixels")
    with _reasons():
        upright.rgb(image).save(buffer, "BMP")
    return buffer.getvalue()


def _upright(data: bytes, size: int) -> Image.Image:
    """Decode a photo to RGB, upright. A JPEG is scaled down meanwhile."""
    with _reasons(data):
        return _ended(data, size)


@contextlib.contextmanager
def _reasons(data: bytes = b"") -> Iterator[None]:
    """Turn any error of Pillow into a reason why a file, of these bytes, cannot be read."""
    try:
        yield
    except UnidentifiedImageError as error:
        lacks = _is_heic(data) and "HEIF" not in FORMATS
        raise Unreadable(NEEDS_HEIC if lacks else "not an image") from error
    except Image.DecompressionBombError as error:
        raise Unreadable("too many pixels") from error
    except (Unreadable, MemoryError):  # lack of memory is no fault of the photo
        raise
    except Exception as error:  # each format, and each release of Pillow, has its own errors
        raise Unreadable(f"not decoded: {error}".splitlines()[0][:120]) from error


def _ended(data: bytes, size: int) -> Image.Image:
    """Decode a photo, or a JPEG that only lacks its end marker: then further pixels after its end change nothing."""
    try:
        return _first_shown(data, size)
    except OSError:
        if not data.startswith(b"\xff\xd8"):
            raise
        data = bytes(data).rstrip(b"\xff")
        photo = _first_shown(data + END, size)
        if _first_shown(data + MORE + END, size) != photo:
            raise
        return photo


def _first_shown(data: bytes, size: int) -> Image.Image:
    """Decode the first frame or page that is not blank."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        frame = _frame(image, size)
        most = min(FRAMES, 1 + MOST_PIXELS // (image.width * image.height))
        with contextlib.suppress(EOFError):
            for number in range(1, most):
                if not _is_blank(frame):
                    break
                image.seek(number)
                frame = _frame(image, size)
    return frame


def _frame(image: ImageFile.ImageFile, size: int) -> Image.Image:
    _scaled(image, size)
    for tile in image.tile[:1]:
        if tile.args in upright.KEYS and "transparency" in image.info:
            image.info["transparency"] = upright.KEYS[tile.args](image.info["transparency"])
    try:
        image.load()
    except Exception as error:
        if image.tile or isinstance(error, OSError | MemoryError):
            raise  # otherwise the pixels are there, and only their description is odd
    return upright.rgb(image)


def _scaled(image: ImageFile.ImageFile, size: int) -> None:
    """Have a JPEG scaled down while it is decoded; refuse in time what would take too much memory."""
    whole = image.width * image.height
    image.draft("RGB", (size, size))
    pixels = whole if "progressive" in image.info else image.width * image.height  # such a JPEG is held whole
    if pixels > MOST_PIXELS:
        raise Unreadable("too many pixels")
    if max(image.size) > MOST_NARROW * min(image.size):
        raise Unreadable("too narrow")


def _is_blank(image: Image.Image) -> bool:
    extrema = cast(tuple[tuple[int, int], ...], image.getextrema())  # of RGB, a pair for each channel
    return all(high - low <= BLANK_RANGE for low, high in extrema)


def _letterboxed(image: Image.Image, size: int) -> Image.Image:
    if _is_blank(image):
        raise Unreadable("blank: one uniform colour")
    left, top, width, height = _inset(image, size)
    square = Image.new("RGB", (size, size), "white")
    square.paste(image.resize((width, height), Image.Resampling.BILINEAR), (left, top))
    return square


def _inset(image: Image.Image, size: int) -> Inset:
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return (size - width) // 2, (size - height) // 2, width, height
