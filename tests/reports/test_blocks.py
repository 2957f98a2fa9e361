import pytest

from mlob.errors import InputError
from mlob.reports import blocks


def test_the_block_alone_is_replaced_and_twice_is_as_once(tmp_path):
    path = tmp_path / "README.md"
    other = "before\n<!-- results:other -->\nkeep\n<!-- /results -->\n"
    path.write_text(f"{other}<!-- results:demo -->\nold\n<!-- /results -->\nafter\n")
    for _ in range(2):
        blocks.update(path, "demo", {"results": "| new |\n", "dev": "elsewhere"})
        assert path.read_text() == f"{other}<!-- results:demo -->\n| new |\n<!-- /results -->\nafter\n"


@pytest.mark.parametrize("text", ["nothing", "<!-- results:demo -->\nopen", "<!-- /results -->\n<!-- results:demo -->"])
def test_missing_markers_are_refused_and_the_file_stays(tmp_path, text):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(InputError, match=r"lacks the lines <!-- results:demo -->"):
        blocks.update(path, "demo", {"results": "new"})
    assert path.read_text() == text


def test_a_missing_readme_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"README.md is missing"):
        blocks.update(tmp_path / "README.md", "demo", {"results": "new"})


def test_each_kind_of_block_goes_between_its_own_markers(tmp_path):
    path = tmp_path / "heads.md"
    path.write_text("<!-- dev:demo -->\n<!-- /dev -->\n<!-- results:demo -->\n<!-- /results -->\n")
    blocks.update(path, "demo", {"results": "one", "dev": "two"})
    assert path.read_text() == "<!-- dev:demo -->\ntwo\n<!-- /dev -->\n<!-- results:demo -->\none\n<!-- /results -->\n"


def test_a_readme_that_is_not_utf8_is_told_and_left_as_it_is(tmp_path):
    (tmp_path / "README.md").write_bytes(b"<!-- results:demo -->\xe9<!-- /results -->")
    with pytest.raises(InputError, match=r"README\.md is not UTF-8"):
        blocks.update(tmp_path / "README.md", "demo", {"results": "new"})
    assert b"\xe9" in (tmp_path / "README.md").read_bytes()
