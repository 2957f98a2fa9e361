"""What the README and docs/ say stands as it is in the code."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r"<!-- (\w+):\w+ -->.*?<!-- /\1 -->", re.DOTALL)  # what `mlob report --readme` writes
F1 = re.compile(r"\b0\.\d{3}\b")


def test_every_f1_figure_in_the_readme_is_generated():
    assert F1.findall(README)
    assert F1.findall(BLOCK.sub("", README)) == []
