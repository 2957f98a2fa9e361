"""Photos become upright RGB squares, or Unreadable with a reason that is the same in each run."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mlob.data import images, upright
from mlob.errors import Unreadable

SIZE = 32
GREYS = np.linspace(40, 200, 24 * 16).reshape(16, 24)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(width=48, height=32, seed=0):
    """A photo without sharp edges, as JPEG likes it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def corners():
    """A square with another colour in each corner."""
    image = Image.new("RGB", (SIZE, SIZE), "black")
    for colour, place in (("red", (0, 0)), ("lime", (16, 0)), ("blue", (0, 16))):
        image.paste(colour, (*place, place[0] + 16, place[1] + 16))
    return image


def reason(data, size=SIZE):
    with pytest.raises(Unreadable) as caught:
        images.decode(data, size)
    return str(caught.value)


# Decoding


def test_a_photo_is_a_square_of_bytes():
    pixels = images.decode(encoded(photo()), SIZE)
    assert (pixels.shape, pixels.dtype) == ((SIZE, SIZE, 3), np.uint8)


@pytest.mark.parametrize(("width", "height", "inset"), [(64, 32, (0, 8, 32, 16)), (32, 64, (8, 0, 16, 32))])
def test_where_in_the_square_the_photo_lies_is_told(width, height, inset):
    pixels, found = images.decode_inset(encoded(photo(width, height)), SIZE)
    left, top, wide, high = found
    assert found == inset and SIZE == 32
    pixels = pixels.copy()
    pixels[top : top + high, left : left + wide] = 255
    assert (pixels == 255).all()


TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90", 7: "TRANSVERSE",
         8: "ROTATE_270"}  # fmt: skip


@pytest.mark.parametrize("orientation", [1, *TURNS])
def test_a_photo_that_was_turned_comes_out_upright(orientation):
    upright = corners()
    turned = upright.transpose(Image.Transpose[TURNS[orientation]]) if orientation in TURNS else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(images.decode(encoded(turned, exif=exif), SIZE), np.asarray(upright))


def test_a_tall_photo_that_was_laid_down_is_letterboxed_at_its_sides():
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = images.decode(encoded(photo(64, 32), exif=exif), SIZE)
    assert (pixels[:, :8] == 255).all()
    assert (pixels[:, -8:] == 255).all()
    assert (pixels[0] != 255).any()


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_a_broken_exif_block_does_no_harm(exif):
    data = encoded(photo(), "JPEG")
    broken = encoded(photo(), "JPEG", exif=exif)
    np.testing.assert_array_equal(images.decode(broken, SIZE), images.decode(data, SIZE))


def tags(*entries):
    """An EXIF block of entries (tag, type, count, four bytes), little-endian."""
    packed = b"".join(struct.pack("<HHI4s", *entry) for entry in sorted(entries))
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + bytes(200)


LAID_DOWN = (0x0112, 3, 1, b"\x06\0\0\0")
TAGS = (0x0100, 0x0111, 0x011A, 0x0128, 0x0132, 0x8769, 0x8825, 0xA005, 0xC4A5)
VALUES = ((1, b"\0\0\1\0"), (4, b"\x08\0\0\0"), (9, b"\x08\0\0\0"), (9, b"\xff\xff\xff\xff"))
ODD = [(tag, kind, *value) for tag in TAGS for kind in range(14) for value in VALUES]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_no_tag_costs_a_photo_its_pixels_or_its_orientation(kind):
    wanted = images.decode(encoded(corners(), kind, exif=tags(LAID_DOWN)), SIZE)
    for odd in ODD if kind == "JPEG" else ODD[::10]:
        found = images.decode(encoded(corners(), kind, exif=tags(LAID_DOWN, odd)), SIZE)
        assert np.array_equal(found, wanted), odd


@pytest.mark.parametrize("entry", [
    (0x0112, 1, 1, b"\x06\0\0\0"), (0x0112, 4, 1, b"\x06\0\0\0"), (0x0112, 3, 2, b"\x06\0\0\0"),
])  # fmt: skip
def test_an_orientation_of_an_odd_type_counts(entry):
    wanted = images.decode(encoded(corners(), exif=tags(LAID_DOWN)), SIZE)
    assert not np.array_equal(wanted, np.asarray(corners()))
    np.testing.assert_array_equal(images.decode(encoded(corners(), exif=tags(entry)), SIZE), wanted)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_no_tag_costs_a_tiff_its_pixels_or_its_orientation(compression):
    whole = bytearray(encoded(corners(), "TIFF", compression=compression, tiffinfo={0x0112: 6, 0x0131: "made up"}))
    wanted = images.decode(bytes(whole), SIZE)
    assert not np.array_equal(wanted, np.asarray(corners()))
    at = whole.index(struct.pack("<HH", 0x0131, 2))
    for tag, kind, count, value in ODD:
        if tag not in (0x0100, 0x0111):  # which tell where the pixels are
            whole[at : at + 12] = struct.pack("<HHI4s", tag, kind, count, value)
            assert np.array_equal(images.decode(bytes(whole), SIZE), wanted), (tag, kind, count, value)


@pytest.mark.parametrize("options", [
    {"dpi": (0, 0)}, {"icc_profile": b"none"}, {"xmp": b"\xff<tiff:Orientation>x</tiff:Orientation>"},
    {"comment": b"\xff" * 9},
])  # fmt: skip
def test_no_other_metadata_costs_a_photo_its_pixels(options):
    wanted = images.decode(encoded(photo(), "JPEG"), SIZE)
    np.testing.assert_array_equal(images.decode(encoded(photo(), "JPEG", **options), SIZE), wanted)


def profile(space, **curves):
    """A colour profile (ICC.1:2001-04) of Adobe RGB's primaries, or of grey; curves are gammas."""

    def number(*values):
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    primaries = {b"rXYZ": (0.60974, 0.31111, 0.01947), b"gXYZ": (0.20528, 0.62567, 0.06087),
                 b"bXYZ": (0.14919, 0.06322, 0.74457)}  # fmt: skip
    parts = {b"wtpt": b"XYZ \0\0\0\0" + number(0.9642, 1, 0.8249)}
    parts |= {name: b"XYZ \0\0\0\0" + number(*xyz) for name, xyz in primaries.items() if space == b"RGB "}
    for name, gamma in curves.items():
        parts[name.encode()] = b"curv\0\0\0\0\0\0\0\1" + struct.pack(">Hxx", round(gamma * 256))
    table, body, start = b"", b"", 128 + 4 + 12 * len(parts)
    for name, part in parts.items():
        table += name + struct.pack(">II", start + len(body), len(part))
        body += part
    head = struct.pack(">I4x4s4s4s4s", start + len(body), b"\2\x20\0\0", b"mntr", space, b"XYZ ") + bytes(12)
    head += b"acsp" + bytes(28) + number(0.9642, 1, 0.8249) + bytes(48)
    return head + struct.pack(">I", len(parts)) + table + body


ADOBE = profile(b"RGB ", rTRC=2.2, gTRC=2.2, bTRC=2.2)


@pytest.mark.parametrize(("kind", "options"), [
    ("PNG", {}), ("JPEG", {"quality": 100, "subsampling": 0}), ("WEBP", {"lossless": True}), ("TIFF", {}),
])  # fmt: skip
def test_colours_of_an_embedded_profile_become_those_of_srgb(kind, options):
    image = Image.new("RGB", (SIZE, SIZE), (200, 40, 40))
    image.paste((90, 90, 90), (16, 0, SIZE, SIZE))
    pixels = images.decode(encoded(image, kind, icc_profile=ADOBE, **options), SIZE).astype(int)
    assert np.abs(pixels[16, 4] - (233, 35, 35)).max() <= 3
    assert np.abs(pixels[16, 28] - 90).max() <= 3


def test_what_is_transparent_stays_so_under_a_profile():
    image = Image.new("RGBA", (SIZE, SIZE), (200, 40, 40, 255))
    image.paste((0, 0, 0, 0), (16, 0, SIZE, SIZE))
    pixels = images.decode(encoded(image, icc_profile=ADOBE), SIZE).astype(int)
    assert np.abs(pixels[16, 4] - (233, 35, 35)).max() <= 2 and (pixels[16, 28] == 255).all()


def test_a_grey_photo_follows_a_grey_profile():
    dark = Image.fromarray(GREYS.astype(np.uint8))
    plain, linear = (images.decode(encoded(dark, **options), 24)[4:20].astype(int)
                     for options in ({}, {"icc_profile": profile(b"GRAY", kTRC=1.0)}))  # fmt: skip
    assert (linear > plain + 10).all()


@pytest.mark.parametrize(("mode", "space"), [("RGB", b"GRAY"), ("RGB", b"CMYK"), ("CMYK", b"RGB "), ("L", b"CMYK")])
def test_a_profile_that_does_not_fit_the_photo_is_left_alone(mode, space):
    wanted = images.decode(encoded(corners().convert(mode), "TIFF"), SIZE)
    odd = profile(space, kTRC=1.0, rTRC=2.2, gTRC=2.2, bTRC=2.2)
    np.testing.assert_array_equal(
        images.decode(encoded(corners().convert(mode), "TIFF", icc_profile=odd), SIZE), wanted
    )


def grey(mode):
    if mode == "1":
        return Image.fromarray(((GREYS // 20 % 2) * 255).astype(np.uint8)).convert("1")
    if mode == "I;16":
        return Image.fromarray((GREYS * 257).astype(np.uint16))
    if mode == "I":
        return Image.fromarray((GREYS * 257).astype(np.int32))
    if mode == "F":
        return Image.fromarray(GREYS.astype(np.float32))
    return Image.fromarray(GREYS.astype(np.uint8)).convert(mode)


@pytest.mark.parametrize(("mode", "kind"), [
    ("1", "PNG"), ("L", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("P", "GIF"), ("RGB", "BMP"), ("RGBA", "PNG"),
    ("CMYK", "TIFF"), ("I;16", "PNG"), ("I;16", "TIFF"), ("I", "TIFF"), ("F", "TIFF"), ("YCbCr", "TIFF"),
    ("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "WEBP"), ("RGB", "JPEG2000"),
])  # fmt: skip
def test_a_grey_photo_looks_alike_in_every_mode(mode, kind):
    options = {"quality": 100} if kind in ("JPEG", "WEBP") else {}
    pixels = images.decode(encoded(grey(mode), kind, **options), 24)[4:20]
    wanted = np.asarray(grey("1").convert("L")) if mode == "1" else GREYS
    assert np.abs(pixels.astype(float) - wanted[..., None]).max() <= 4


def test_heic_is_decoded_where_its_package_is_installed():
    pytest.importorskip("pillow_heif")
    pixels = images.decode(encoded(photo(64, 64), "HEIF", quality=95), SIZE).astype(float)
    assert np.abs(pixels - images.decode(encoded(photo(64, 64)), SIZE)).mean() < 6


def test_a_cmyk_jpeg_keeps_its_colours():
    pixels = images.decode(encoded(corners().convert("CMYK"), "JPEG", quality=100), SIZE)
    assert np.abs(pixels[8, 8].astype(int) - (255, 0, 0)).max() <= 6


def half_transparent(mode):
    """Dark grey left, clear right."""
    image = Image.new("RGBA", (SIZE, SIZE), (60, 60, 60, 255))
    image.paste((10, 10, 10, 0), (16, 0, SIZE, SIZE))
    return image.convert(mode)


def palette(transparency):
    image = Image.new("P", (SIZE, SIZE), 0)
    image.putpalette([60, 60, 60, 10, 10, 10])
    image.paste(1, (16, 0, SIZE, SIZE))
    return encoded(image, transparency=transparency)


def keyed(mode, dark, clear):
    image = Image.new(mode, (SIZE, SIZE), dark)
    image.paste(clear, (16, 0, SIZE, SIZE))
    return encoded(image, transparency=clear)


@pytest.mark.parametrize("data", [
    encoded(half_transparent("RGBA")), encoded(half_transparent("LA")), palette(1), palette(b"\xff\0"),
    keyed("L", 60, 10), keyed("RGB", (60, 60, 60), (10, 10, 10)),
    encoded(half_transparent("RGBA"), "WEBP", lossless=True),
], ids=["RGBA", "LA", "P", "P of bytes", "L", "RGB", "WEBP"])  # fmt: skip
def test_what_is_transparent_shows_white(data):
    pixels = images.decode(data, SIZE)
    assert (pixels[:, :16] == 60).all()
    assert (pixels[:, 16:] == 255).all()


def png(depth, kind, dark, clear):
    """A PNG of any depth, grey (0) or RGB (2): dark left and clear right, which tRNS makes transparent."""
    channels = 1 if kind == 0 else 3
    bits = "".join(f"{value:0{depth}b}" * channels for value in [dark] * 16 + [clear] * 16)
    row = b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    header = struct.pack(">IIBBBBB", SIZE, SIZE, depth, kind, 0, 0, 0)
    parts = ((b"IHDR", header), (b"tRNS", struct.pack(">H", clear) * channels), (b"IDAT", zlib.compress(row * SIZE)))
    chunks = (struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
              for name, data in (*parts, (b"IEND", b"")))  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(("depth", "kind", "dark", "clear", "wanted"), [
    (1, 0, 0, 1, 0), (2, 0, 1, 2, 85), (4, 0, 3, 9, 51), (8, 0, 60, 10, 60), (16, 0, 60 * 257, 2570, 60),
    (8, 2, 60, 10, 60), (16, 2, 60 * 257, 2571, 60),
])  # fmt: skip
def test_the_transparent_colour_of_a_png_counts_at_every_depth(depth, kind, dark, clear, wanted):
    pixels = images.decode(png(depth, kind, dark, clear), SIZE)
    assert (pixels[:, :16] == wanted).all()
    assert (pixels[:, 16:] == 255).all()


@pytest.mark.parametrize("scale", [1 / 255, 1, 257])
def test_a_photo_of_floats_looks_alike_whether_they_end_at_1_at_255_or_at_65535(scale):
    values = (GREYS * scale).astype(np.float32)
    values[0, 0] = np.nan
    pixels = images.decode(encoded(Image.fromarray(values), "TIFF"), 24)[4:20]
    assert np.abs(pixels.astype(float) - GREYS[..., None]).ravel()[3:].max() <= 1


def test_half_transparent_is_mixed_with_white():
    image = half_transparent("RGBA")
    image.putpixel((0, 0), (0, 0, 0, 128))
    assert abs(int(images.decode(encoded(image), SIZE)[0, 0, 0]) - 127) <= 1


@pytest.mark.parametrize(("width", "height"), [(1, 500), (500, 1), (3, 7), (32, 32), (31, 32), (200, 100)])
def test_a_photo_fills_its_longer_side_and_stands_in_the_middle_of_white(width, height):
    black = Image.new("RGB", (width, height), "black")
    black.putpixel((0, 0), (9, 9, 9))
    shown = (images.decode(encoded(black), SIZE) < 128).all(axis=2)
    columns, rows = shown.any(axis=0), shown.any(axis=1)
    assert shown.sum() == columns.sum() * rows.sum()
    assert max(columns.sum(), rows.sum()) == SIZE
    assert abs(columns.sum() - max(1, SIZE * width / max(width, height))) <= 0.5
    assert abs(rows.sum() - max(1, SIZE * height / max(width, height))) <= 0.5
    for axis in (columns, rows):
        before, after = np.flatnonzero(axis)[0], SIZE - 1 - np.flatnonzero(axis)[-1]
        assert 0 <= after - before <= 1


@pytest.mark.parametrize("size", [24, 100, 224])
def test_a_jpeg_scaled_while_it_is_decoded_is_near_the_full_decode(size):
    data = encoded(photo(900, 700), "JPEG", quality=90)
    full = images.decode(encoded(Image.open(io.BytesIO(data))), size)
    assert np.abs(images.decode(data, size).astype(float) - full).mean() < 2


def test_a_small_jpeg_is_decoded_in_full():
    data = encoded(photo(40, 30), "JPEG")
    np.testing.assert_array_equal(images.decode(data, SIZE), images.decode(encoded(Image.open(io.BytesIO(data))), SIZE))


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.new("L", (SIZE, SIZE), 50), Image.new("L", (SIZE, SIZE), 200)]
    for frame in frames:
        frame.paste(120, (0, 0, 16, 16))
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (images.decode(data, SIZE)[20, 20] == 50).all()


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_frames_of_one_colour_before_the_first_photo_are_passed_over(kind):
    frames = [Image.new("RGB", (SIZE, SIZE), "white"), Image.new("RGB", (SIZE, SIZE), "black"), corners()]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(images.decode(data, SIZE), np.asarray(corners()))
    assert reason(encoded(frames[0], kind, save_all=True, append_images=[frames[1]] * 30)).startswith("blank")


def test_a_rerun_gives_equal_pixels():
    data = encoded(photo(300, 200), "JPEG")
    np.testing.assert_array_equal(images.decode(data, SIZE), images.decode(data, SIZE))


# Failures


JPEG, PNG = encoded(photo(), "JPEG"), encoded(photo())


@pytest.mark.parametrize(
    "data", [JPEG[: len(JPEG) // 2], JPEG[:-20], PNG[: len(PNG) // 2]], ids=["jpeg", "its end", "png"]
)
def test_a_photo_that_is_cut_short_is_unreadable(data):
    assert reason(data).startswith("not decoded: ")


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}])
@pytest.mark.parametrize("size", [16, SIZE, 400])
def test_a_jpeg_that_lacks_its_end_marker_alone_is_whole_and_one_that_lacks_more_is_not(options, size):
    data = encoded(photo(300, 200), "JPEG", **options)
    wanted = images.decode(data, size)
    for end in (b"", b"\xff", bytes(20)):
        np.testing.assert_array_equal(images.decode(data[:-2] + end, size), wanted)
    for end in (*range(3, 40), *range(len(data) // 2, len(data) // 2 + 20)):
        try:
            found = images.decode(data[:-end], size)
        except Unreadable as error:
            assert str(error).startswith("not decoded: ")
        else:  # a scan or bits that nothing at this size shows
            assert np.abs(found.astype(int) - wanted).max() <= 3 * options.get("progressive", 0)
    with pytest.raises(Unreadable):
        images.decode(data[: len(data) // 4], size)


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 1000, b"<html>404 not found</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"]
)
def test_what_is_no_image_is_unreadable(data):
    assert reason(data) == "not an image"


def test_the_reason_is_the_same_each_time():
    for data in (b"text", JPEG[:100], JPEG[:-20], PNG[:60], PNG[:-30]):
        assert reason(data) == reason(bytes(bytearray(data)))
        assert " at 0x" not in reason(data)


@pytest.mark.parametrize("colour", ["white", "black", (128, 128, 128), (250, 0, 0)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_one_uniform_colour_is_blank(colour, kind):
    assert reason(encoded(Image.new("RGB", (300, 200), colour), kind)) == "blank: one uniform colour"


def test_one_colour_with_the_noise_of_jpeg_is_blank():
    noise = np.random.default_rng(0).integers(126, 129, (64, 64, 3), np.uint8)
    assert reason(encoded(Image.fromarray(noise), "JPEG", quality=95)).startswith("blank")


def test_a_photo_that_is_wholly_transparent_is_blank():
    clear = photo().convert("RGBA")
    clear.putalpha(0)
    assert reason(encoded(clear)).startswith("blank")


def test_a_pale_photo_is_kept():
    pale = Image.new("RGB", (64, 64), (250, 250, 250))
    pale.paste((243, 244, 246), (20, 20, 40, 40))
    assert images.decode(encoded(pale), SIZE).min() < 250
    assert images.decode(encoded(pale, "JPEG"), SIZE).min() < 250


def test_a_photo_in_one_hue_is_kept():
    stripes = np.zeros((SIZE, SIZE, 3), np.uint8)
    stripes[:, ::8, 2] = 200
    assert images.decode(encoded(Image.fromarray(stripes)), SIZE).any()


def header_of(width, height):
    """The start of a PNG that claims this size; a few bytes of it would unpack to all its pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 100)
    parts = (struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (header, data))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("width", "height", "wanted"),
    [
        (8000, 4001, "too many pixels"),
        (13_000, 13_000, "too many pixels"),
        (178_000_000, 1, "too many pixels"),
        (1, 31_000_000, "too narrow"),
        (20_000, 19, "too narrow"),
    ],
)
@pytest.mark.parametrize("shown", [lambda data: images.decode(data, SIZE), lambda data: images.thumbnail(data, SIZE),
                                   lambda data: images.prepared(data, SIZE, 10**12)])  # fmt: skip
def test_a_photo_too_large_or_too_narrow_for_memory_is_refused_by_its_header(width, height, wanted, shown):
    with pytest.raises(Unreadable, match=f"^{wanted}$"):
        shown(header_of(width, height))


def test_a_jpeg_counts_with_the_pixels_that_are_kept_of_it(monkeypatch):
    plain, progressive = (encoded(photo(400, 400), "JPEG", progressive=kept) for kept in (False, True))
    monkeypatch.setattr(images, "MOST_PIXELS", 400 * 399)
    assert images.decode(plain, SIZE).any()
    assert reason(progressive) == "too many pixels"


def test_too_many_pixels_are_refused(monkeypatch):
    data = encoded(photo(40, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert images.decode(data, SIZE).any()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    assert reason(data) == "too many pixels"


@pytest.mark.parametrize(("raised", "wanted"), [
    (struct.error("short"), Unreadable), (zlib.error("short"), Unreadable), (MemoryError(), MemoryError),
])  # fmt: skip
def test_whatever_a_reader_raises_is_a_reason_but_a_full_memory_is_no_fault_of_the_photo(monkeypatch, raised, wanted):
    def broken(image):
        raise raised

    monkeypatch.setattr(upright, "rgb", broken)
    with pytest.raises(wanted):
        images.decode(PNG, SIZE)


def pixels_or_reason(data):
    try:
        pixels = images.decode(data, SIZE)
    except Unreadable as error:
        assert str(error)
        assert " at 0x" not in str(error)
    else:
        assert (pixels.shape, pixels.dtype) == ((SIZE, SIZE, 3), np.uint8)


@settings(deadline=None)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"RIFF\0\0\0\0WEBP"]),
    st.binary(),
)
def test_any_bytes_give_pixels_or_a_reason(head, data):
    pixels_or_reason(head + data)


EXIF = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6
SEEDS = [
    encoded(photo(), "JPEG", exif=EXIF),
    encoded(photo(), "JPEG", progressive=True, icc_profile=ADOBE),
    encoded(photo(), "GIF", save_all=True, append_images=[photo(seed=1)]),
    encoded(photo(), "TIFF", compression="tiff_adobe_deflate"),
    *(encoded(photo(), kind) for kind in ("PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000")),
]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(SEEDS), st.data())
def test_a_photo_with_flipped_bytes_gives_pixels_or_a_reason(seed, data):
    mutated = bytearray(seed)
    places = st.integers(0, min(len(seed) - 1, 400)) | st.integers(0, len(seed) - 1)
    for place, value in data.draw(st.dictionaries(places, st.integers(0, 255), max_size=8)).items():
        mutated[place] = value
    pixels_or_reason(bytes(mutated[: data.draw(st.integers(0, len(seed)) | st.just(len(seed)))]))


# Contents


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (None, "no file"),
        ("empty.jpg", "empty file"),
        ("folder.jpg", "not read: Is a directory"),
        ("nowhere.jpg", "no file"),
    ],
)
def test_a_photo_that_is_not_there_or_holds_nothing_is_unreadable(tmp_path, name, wanted):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(Unreadable, match=f"^{wanted}$"):
        images.content(name and tmp_path / name)


def test_a_file_without_an_end_is_no_photo(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    for path in tmp_path.iterdir():
        with pytest.raises(Unreadable, match=r"^no plain file$"):
            images.content(path)


def test_a_file_of_too_many_bytes_is_not_read(tmp_path):
    with open(tmp_path / "sparse.jpg", "wb") as file:
        file.truncate(30 * 2**30)
    with pytest.raises(Unreadable, match=r"^too many bytes$"):
        images.content(tmp_path / "sparse.jpg")


def test_a_link_to_a_photo_is_read(tmp_path):
    (tmp_path / "photo").write_bytes(PNG)
    (tmp_path / "link.png").symlink_to("photo")
    assert images.content(tmp_path / "link.png") == PNG


def test_a_photo_is_known_by_its_bytes():
    assert images.content_digest(b"a") == images.content_digest(b"a") != images.content_digest(b"b")
    assert 0 <= images.content_digest(b"a") < 2**64


def test_a_thumbnail_is_a_small_jpeg_of_equal_shape():
    with Image.open(io.BytesIO(images.thumbnail(encoded(photo(300, 200)), 60))) as small:
        assert (small.format, small.size) == ("JPEG", (60, 40))


def test_a_thumbnail_of_what_is_no_image_is_unreadable():
    with pytest.raises(Unreadable):
        images.thumbnail(b"text", 60)


@pytest.mark.parametrize("name", images.VIEWS)
def test_every_view_keeps_the_shape_and_one_colour_stays_one_colour(name):
    pixels = np.full((224, 224, 3), (10, 200, 90), np.uint8)
    seen = images.view(pixels, name)
    assert seen.shape == pixels.shape and seen.dtype == np.uint8 and (seen == pixels).all()


def test_a_flip_twice_is_the_photo():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    assert (images.view(images.view(pixels, "flip"), "flip") == pixels).all()


@pytest.mark.parametrize("name", ["top_left", "top_right", "bottom_left", "bottom_right"])
def test_a_crop_shows_its_own_corner_and_loses_the_opposite_one(name):
    pixels = np.zeros((64, 64, 3), np.uint8)
    rows = slice(0, 4) if name.startswith("top") else slice(-4, None)
    columns = slice(0, 4) if name.endswith("left") else slice(-4, None)
    pixels[rows, columns] = 255
    for other in images.VIEWS:
        has_white = images.view(pixels, other).max() == 255
        assert has_white == (other in ("whole", "flip", name) or False), other


def test_the_crops_of_a_flipped_photo_are_the_flipped_crops():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    flipped = images.view(pixels, "flip")
    for left, right in (("top_left", "top_right"), ("bottom_left", "bottom_right"), ("centre", "centre")):
        assert (images.view(flipped, left) == images.view(images.view(pixels, right), "flip")).all()


# From memory


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_an_array_is_decoded_as_a_file_of_its_pixels(width, height, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    pixels[0, 0], pixels[-1, -1] = 0, 255
    if width == height == 1:
        return  # one uniform colour
    expected = images.decode(encoded(Image.fromarray(pixels)), SIZE)
    assert np.array_equal(images.decode(images.to_file(pixels), SIZE), expected)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_an_image_of_pillow_is_decoded_as_the_file_that_it_was_opened_from(mode, orientation):
    image = Image.fromarray(np.uint16(photo().convert("L")) * 257) if mode == "I;16" else photo()
    image = image if mode == "I;16" else image.convert(mode)
    if "A" in mode:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(image, exif=exif)
    assert np.array_equal(images.decode(images.to_file(Image.open(io.BytesIO(data))), SIZE), images.decode(data, SIZE))
