"""What tests of unknown targets share: targets of which some are unknown, and what lies beside them."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob.labels import UNKNOWN

CODES = st.integers(2, 254)  # whatever is above 1 is unknown; readers write 255
EIGHTHS = st.integers(0, 8).map(lambda eighths: np.float32(eighths / 8))


@st.composite
def masked(draw, kinds=(0, 1, UNKNOWN)):
    """Targets uint8 (n, labels), many of them unknown; whole rows and labels are, too."""
    shape = draw(st.tuples(st.integers(2, 8), st.integers(1, 5)))
    targets = draw(arrays.arrays(np.uint8, shape, elements=st.sampled_from(kinds)))
    targets[draw(arrays.arrays(bool, shape[:1], elements=st.sampled_from([False, False, True])))] = UNKNOWN
    return targets


@st.composite
def scored(draw, targets=None, members=()):
    """Targets of which some are unknown, probabilities (*members, n, labels), and others under what is unknown."""
    targets = draw(masked()) if targets is None else draw(targets)
    shape = (*members, *targets.shape)
    probabilities, others = (draw(arrays.arrays(np.float32, shape, elements=EIGHTHS)) for _ in range(2))
    return targets, probabilities, np.where(targets > 1, others, probabilities)


def recoded(targets, code):
    """The same targets, with another code for what is unknown."""
    return np.where(targets > 1, code, targets).astype(np.uint8)


def with_unknown_row_and_label(targets, probabilities):
    """The same with a row, a label, and all there is of both unknown, whatever its probability (..., n, labels)."""
    width = [(0, 0)] * (probabilities.ndim - 2) + [(0, 1)] * 2
    return np.pad(targets, [(0, 1)] * 2, constant_values=UNKNOWN), np.pad(probabilities, width, constant_values=0.75)


def same_bytes(one, other):
    """Whether two results, of any arrays and numbers in tuples, lists and dicts, are equal to the last bit."""
    if isinstance(one, dict):
        return list(one) == list(other) and same_bytes(list(one.values()), list(other.values()))
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same_bytes, one, other))
    return np.asarray(one).dtype == np.asarray(other).dtype and np.asarray(one).tobytes() == np.asarray(other).tobytes()
