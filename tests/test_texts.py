"""Texts in one buffer behave as a list of them does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlob.texts import Mirrors, Texts

WORDS = st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40), max_size=20)


@given(WORDS, st.data())
def test_texts_are_a_sequence_of_what_they_were_made_of(words, data):
    texts = Texts(iter(words))
    assert texts == words and list(texts) == words and tuple(words) == texts
    assert len(texts) == len(words) and texts == Texts(words)
    assert texts == Texts(np.array(words, object)) and Texts(texts.array).array is texts.array
    rows = data.draw(st.lists(st.integers(0, len(words) - 1), max_size=30) if words else st.just([]))
    assert list(texts.take(np.array(rows, int))) == [words[row] for row in rows]
    assert texts[2:7] == words[2:7] and texts[::-1] == words[::-1]
    assert all(texts[row] == words[row] for row in rows)


@given(WORDS)
def test_texts_that_differ_anywhere_are_not_equal(words):
    assert Texts(words) != [*words, "more"] and [*words, "more"] != Texts(words)
    if words:
        assert Texts(words) != [words[0] + "x", *words[1:]]


def test_blocks_meet_without_a_seam(monkeypatch):
    monkeypatch.setattr("mlob.texts.BLOCK", 3)
    words = [str(number) * number for number in range(10)]
    assert Texts(iter(words)) == words


def test_an_index_beyond_the_end_is_refused():
    with pytest.raises(IndexError):
        Texts(["a"])[1]


@given(st.lists(st.lists(st.text("abc:/", min_size=1, max_size=5), max_size=3), max_size=8), st.data())
def test_each_photo_has_its_own_addresses(addresses, data):
    mirrors, expected = Mirrors(addresses), [tuple(each) for each in addresses]
    assert list(mirrors) == expected and mirrors == expected and mirrors[1:] == expected[1:]
    rows = data.draw(st.lists(st.integers(0, len(addresses) - 1)) if addresses else st.just([]))
    assert list(mirrors.take(np.array(rows, int))) == [expected[row] for row in rows]
    assert [mirrors[row] for row in rows] == [expected[row] for row in rows]
