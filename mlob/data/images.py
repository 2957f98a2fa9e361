"""Photos: where they lie, and their pixels. The only door to Pillow beside the demo set's drawing."""

import hashlib
import io
import pathlib
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

DECODER = "pillow draft"  # part of a store's fingerprint: scaled JPEG decoding moves pixels by half a grey level
BLANK_RANGE = 3  # grey levels; JPEG leaves about this much noise on one uniform colour
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
# What such files hold in truth. EPS, which Pillow would hand to Ghostscript, is not among it.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")

# What Pillow warns of (odd EXIF, many pixels) either fails, and is a reason, or does no harm. Set once, not around each
# photo: photos are decoded in threads, which share the filters.
warnings.filterwarnings("ignore", module=r"PIL\.")


class Unreadable(Exception):
    """A photo that cannot become pixels; the message is the reason that its failure row keeps."""


def locate(folder, split, ids, urls):
    """Find each photo's file: `images/<split>/<id>.<ext>`, else `images/<id>.<ext>`, else a relative url.

    Args:
        folder: the data folder.
        split: name of the split.
        ids, urls: texts, one a photo; a url that names a scheme is no file.

    Returns:
        A list of paths, None where there is no file.
    """
    folder = pathlib.Path(folder)
    by_split, by_id = _by_stem(folder / "images" / split), _by_stem(folder / "images")
    return [
        by_split.get(name) or by_id.get(name) or _from_url(folder, url) for name, url in zip(ids, urls, strict=True)
    ]


def below(paths):
    """List the photos among files and folders, folders searched through, each once, sorted within a folder."""
    found = {}
    for path in paths:
        inside = sorted(one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        found |= dict.fromkeys(inside)
    return list(found)


def content(path):
    """Read a photo's bytes.

    Raises:
        Unreadable: no such file, or no bytes in it.
    """
    if path is None:
        raise Unreadable("no file")
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise Unreadable(f"not read: {error.strerror}") from error
    if not data:
        raise Unreadable("empty file")
    return data


def content_digest(data):
    """Give 64 bits of SHA-256 over a photo's bytes: equal photos, equal numbers."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")


def decode(data, size):
    """Decode a photo to RGB, upright, letterboxed with white.

    Args:
        data: the bytes of the file.
        size: side of the square, pixels.

    Returns:
        A uint8 array (size, size, 3).

    Raises:
        Unreadable: truncated, not an image, too large, or one uniform colour.
    """
    return np.asarray(_letterboxed(_upright(data, size), size))


def thumbnail(data, size):
    """Give a small JPEG (bytes) of a photo for a report page, at most `size` pixels a side.

    Raises:
        Unreadable: truncated, not an image, or too large.
    """
    image = _upright(data, size)
    image.thumbnail((size, size))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _upright(data, size):
    """Decode a photo to RGB, upright, a JPEG scaled down while it is decoded; whatever Pillow raises is a reason."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.draft("RGB", (size, size))
            return _rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise Unreadable("not an image") from error
    except Image.DecompressionBombError as error:
        raise Unreadable("too many pixels") from error
    except MemoryError:  # no fault of the photo's
        raise
    except Exception as error:  # what a reader raises on a broken file differs by format, and by release of Pillow
        raise Unreadable(f"not decoded: {error}".splitlines()[0][:120]) from error


def _by_stem(folder):
    """Give {file name without its suffix: path} of a folder's photos; of two files of one name, the first sorted."""
    if not folder.is_dir():
        return {}
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return {path.stem: path for path in reversed(files)}


def _from_url(folder, url):
    if not url or "://" in url:
        return None
    return next((path for path in (folder / url, folder / "images" / url) if path.is_file()), None)


def _rgb(image):
    """Convert any mode to RGB; what is transparent shows white, and 16 bits are scaled to 8."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) / 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _letterboxed(image, size):
    if all(high - low <= BLANK_RANGE for low, high in image.getextrema()):
        raise Unreadable("blank: one uniform colour")
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    square = Image.new("RGB", (size, size), "white")
    square.paste(image.resize((width, height), Image.Resampling.BILINEAR), ((size - width) // 2, (size - height) // 2))
    return square
