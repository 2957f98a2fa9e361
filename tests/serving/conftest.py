"""Photos of known colours, and the labeller that tells them (`colours`)."""

import io

import numpy as np
import pytest
from PIL import Image

import mlob


@pytest.fixture(scope="session")
def labeller(colours):
    """A `Labeller` that takes a millisecond a photo."""
    return mlob.Labeller.load(colours)


@pytest.fixture(scope="session")
def painted():
    """Give the bytes of a square photo that is so red, of 255, and so blue: painted(red, blue, "PNG")."""

    def paint(red, blue=40, kind="PNG"):
        pixels = np.zeros((96, 96, 3), np.uint8)
        pixels[:, :, 0], pixels[:, :, 2] = red, blue
        pixels[:48, :, 1] = 200  # it is not blank
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        return buffer.getvalue()

    return paint
