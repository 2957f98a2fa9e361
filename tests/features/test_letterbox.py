import keras
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mlob.data import images
from mlob.features import letterbox

SIDE = 24


def model(shape, part, *arguments):
    photo = keras.Input(batch_shape=shape, dtype="uint8")
    return keras.Model(photo, part(photo, *arguments))


@pytest.fixture(scope="module")
def square():
    made = model((1, None, None, 3), letterbox.letterboxed, SIDE)
    return lambda pixels: np.asarray(made(pixels[np.newaxis]))[0]


def drawn(seed, height, width):
    """Noise of few grey levels, whose means are often half of one."""
    generator = np.random.default_rng(seed)
    return (
        generator.integers(0, 256, (height, width, 3), np.uint8)
        if seed % 2
        else _black_and_white(generator, height, width)
    )


def _black_and_white(generator, height, width):
    return generator.integers(0, 2, (height, width, 3), np.uint8) * np.uint8(255)


def is_rounded_alike(height, width):
    """Whether Python rounds the scaled sides as whole numbers are divided: its floats miss a half now and then."""
    longest = max(height, width)
    exact = [divmod(2 * side * SIDE + longest, 2 * longest) for side in (height, width)]
    halves = [quotient - (rest == 0 and quotient % 2) for quotient, rest in exact]
    return halves == [round(side * (SIDE / longest)) for side in (height, width)]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 99), st.integers(2, 200), st.integers(2, 200))
@example(0, 24, 24)
@example(1, 48, 96)
@example(1, 5, 199)
@example(1, 7, 7)
def test_a_photo_is_letterboxed_as_pillow_does_it_to_the_last_bit(square, seed, height, width):
    assume(height <= 2 * width and is_rounded_alike(height, width))
    pixels = drawn(seed, height, width)
    assume(np.ptp(pixels, axis=(0, 1)).max() > images.BLANK_RANGE)
    assert np.array_equal(square(pixels), images.letterboxed(pixels, SIDE))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.integers(20, 200), st.integers(2, 60))
def test_a_tall_photo_is_one_grey_level_off_at_most(square, seed, height, width):
    assume(height > 2 * width and is_rounded_alike(height, width))
    pixels = drawn(seed, height, width)
    assume(np.ptp(pixels, axis=(0, 1)).max() > images.BLANK_RANGE)
    apart = np.abs(square(pixels).astype(int) - images.letterboxed(pixels, SIDE))
    assert apart.max() <= 1


@pytest.mark.parametrize("name", images.VIEWS)
def test_a_view_is_pillows_to_the_last_bit(name):
    pixels = drawn(1, 96, 96)
    seen = model((1, 96, 96, 3), letterbox.view, name)
    assert np.array_equal(np.asarray(seen(pixels[np.newaxis]))[0], images.view(pixels, name))


def test_the_square_is_exact_where_a_line_is_thousands_of_pixels_long(square):
    pixels = drawn(1, 10, 6000)
    assert np.array_equal(square(pixels), images.letterboxed(pixels, SIDE))
