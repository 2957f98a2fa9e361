"""Messages count, list and name what there is."""

from mlob.errors import counted, nearest, some


def test_one_is_singular_and_a_plural_ends_in_s_unless_it_is_given():
    assert [counted(count, "photo") for count in (0, 1, 2000)] == ["0 photos", "1 photo", "2,000 photos"]
    assert [counted(count, "file is", "files are") for count in (1, 2)] == ["1 file is", "2 files are"]


def test_of_many_names_the_first_three_are_shown():
    assert [some("abcde"[:count]) for count in (0, 1, 3, 4)] == ["", "a", "a, b, c", "a, b, c, …"]


def test_an_unknown_name_is_answered_with_those_like_it_or_with_all():
    assert nearest("colr", ["colour", "sleeve"]) == ". Did you mean colour?"
    assert nearest("x", ["b", "a"]) == "; there are: a, b."
    assert nearest("x", []) == "; there are: none."
