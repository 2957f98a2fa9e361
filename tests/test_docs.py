"""What the README and docs/ say stands as it is in the code."""

import ast
import dataclasses
import itertools
import pathlib
import re
import tokenize

import numpy as np
import pytest

from mlob import hdf5, loading, predictions
from mlob.__main__ import cli
from mlob.data.annotations.formats import FORMATS
from mlob.data.dataset import read_dataset
from mlob.features import backbones, jpegs, presets, store, table
from mlob.features.fingerprint import Fingerprint
from mlob.models import beginning
from mlob.recipes import Annotations, Crop, Detector, Encoder, Phase
from mlob.runs.curve import Curve
from mlob.runs.results import EnsembleResult, Result
from mlob.runs.search import Search

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("mlob", "experiments", "features", "benchmarks")
VERBS = "".join((ROOT / name / "Makefile").read_text("utf-8") for name in (".", "mlob/initial"))
README = (ROOT / "README.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
SOURCES = (ROOT / "docs" / "sources.md").read_text("utf-8")
BLOCK = re.compile(r"<!-- (\w+):\w+ -->.*?<!-- /\1 -->", re.DOTALL)  # what `mlob report --readme` writes
F1 = re.compile(r"\b0\.\d{3}\b")
LINK = re.compile(r"\]\((?!https?:)([^()#\s]*)#?([^()\s]*)\)")  # a file of ours, and a heading in it
KEY = re.compile(r"(?<!\w)\[(i?[A-Z][\w ]+)\]")  # of a system
PAPER = re.compile(r"\b([A-Z]\w+)(?:-?,? ?[A-Z][\w-]+)*(?: et al\.| (?:and|&) [A-Z]\w+)?,? \(?((?:19|20)\d\d)\b")
DATES = {"November", "March", "JPEG", "Fashion"}  # other words that a year stands behind


def headings(path):
    """Give the anchors of a page's headings, as GitHub makes them."""
    lines = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}


def words_about_code():
    """Give (path, docstrings and comments on one line) of every Python file."""
    for path in itertools.chain.from_iterable(sorted((ROOT / folder).rglob("*.py")) for folder in FOLDERS):
        with path.open("rb") as file:
            tokens = [token.string.strip('"# ') for token in tokenize.tokenize(file.readline) if is_about_code(token)]
        yield path.relative_to(ROOT).as_posix(), " ".join(" ".join(tokens).split())


def is_about_code(token):
    return token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.string.startswith('"""'))


def test_every_f1_figure_in_the_readme_is_generated():
    assert F1.findall(README)
    assert F1.findall(BLOCK.sub("", README)) == []


def test_the_readme_lists_the_formats_of_annotations():
    rows = [f"| {name} | {known.told_by} |" for name, known in FORMATS.items()]
    assert "\n".join(["| format | told by |", "| --- | --- |", *rows, ""]) in README


def test_the_readme_names_each_field_by_which_a_table_is_read():
    assert set(re.findall(r"annotations\.(\w+)", README)) == names_of(Annotations)


@pytest.mark.parametrize("table", re.findall(r"```csv\n(.*?)```", README, re.DOTALL))
def test_the_tables_of_the_readme_are_read(tmp_path, table):
    (tmp_path / "photos.csv").write_text(table, encoding="utf-8")
    data = read_dataset(tmp_path)
    assert sum(len(split.ids) for split in data.splits.values()) == 3
    assert len(data.labels) > 3


MESSAGES = re.compile(r"^\| ([^|`]+) \| [^|]+ \|$", re.MULTILINE)


def test_the_messages_that_the_readme_explains_are_those_that_are_printed():
    table = README.partition("| message | what it means |\n| --- | --- |\n")[2].partition("\n\n")[0]
    parts = [part.strip() for row in MESSAGES.findall(f"{table}\n") for part in row.split("…")]
    source = "".join(path.read_text("utf-8") for path in sorted((ROOT / "mlob" / "data").rglob("*.py")))
    printed = re.sub(r'"\s+f?"', "", source)  # literals that Python joins
    assert len(parts) > 8 and [part for part in parts if part not in printed] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for name, heading in LINK.findall(page.read_text("utf-8")):
        target = page.parent / name if name else page
        assert target.exists(), name
        assert not heading or heading in headings(target), f"{name}#{heading}"


def test_every_system_that_the_code_refers_to_is_among_the_sources():
    keys = {(path, key) for path, text in words_about_code() for key in KEY.findall(text)}
    named = {key for _, key in keys}
    assert {"MLoB", "Stanford poster", "iNaturalist 2019"} <= named
    known = set(re.findall(r"^### (.+)$", SOURCES, re.MULTILINE))
    assert sorted(each for each in keys if each[1] not in known) == []


def test_every_paper_that_the_code_cites_is_among_the_sources():
    cited = {(path, name, year) for path, text in words_about_code() for name, year in PAPER.findall(text)}
    cited = {each for each in cited if each[1] not in DATES}
    assert len(cited) > 20
    papers = [set(re.findall(r"\w+", entry)) for entry in re.split(r";\s|\n- ", SOURCES)]
    assert sorted(each for each in cited if not any({*each[1:]} <= paper for paper in papers)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_there(page):
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL))
    targets = set(re.findall(r"^([a-z-]+):", VERBS, re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", blocks, re.MULTILINE)) <= targets
    for verb, rest in re.findall(r"^(?:\.venv/bin/)?mlob ([a-z-]+)(.*)", blocks, re.MULTILINE):
        options = {option for parameter in cli.commands[verb].params for option in parameter.opts}
        assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) <= options


def rows_of_the_import_test():
    """Read ROWS, a tuple of sets of names, from tests/test_imports.py."""
    tree = ast.parse((ROOT / "tests" / "test_imports.py").read_text("utf-8"))
    (rows,) = (each.value for each in tree.body if isinstance(each, ast.Assign) and each.targets[0].id == "ROWS")
    return ast.literal_eval(rows)


def test_the_import_order_is_quoted_as_the_test_holds_it():
    quoted = re.search(r"```rows\n(.*?)```", ARCHITECTURE, re.DOTALL)[1].splitlines()
    assert tuple(set(line.split()) for line in quoted) == rows_of_the_import_test()


PATH = re.compile(r"`((?:mlob|tests|benchmarks)/[\w/.]+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_is_there(page):
    assert [path for path in PATH.findall(page.read_text("utf-8")) if not (ROOT / path).exists()] == []


def body(name):
    """Give the source of a function, `module.function` below mlob, without its docstring; "" where there is none."""
    module, _, function = name.rpartition(".")
    tree = ast.parse((ROOT / "mlob" / f"{module.replace('.', '/')}.py").read_text("utf-8"))
    functions = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    return "\n".join(map(ast.unparse, functions[function].body[1:])) if function in functions else ""


def chains():
    table = ARCHITECTURE.partition("| verb | calls |")[2].partition("\n\n")[0]
    for verb, calls, _ in (line.strip("| ").split(" | ") for line in table.splitlines()[2:]):
        yield [f"__main__.{verb.strip('`')}", *re.findall(r"`([\w.]+)`", calls)]


def test_each_function_on_the_way_to_the_mathematics_calls_the_next():
    pairs = [pair for chain in chains() for pair in itertools.pairwise(chain)]
    assert len(pairs) > 12
    odd = [(name, called) for name, called in pairs if not re.search(rf"\b{called.split('.')[-1]}\b", body(name))]
    assert odd == []
    assert [name for chain in chains() for name in chain if not body(name)] == []


def test_the_page_of_detectors_explains_each_field_and_shows_a_recipe_that_is_valid():
    page = (ROOT / "docs" / "detectors.md").read_text("utf-8")
    shown, rows = {}, page.partition("| field | meaning |")[2].partition("\n\n")[0]
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], shown)
    backbones.check(shown["recipe"])
    assert set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (.*?) \|", rows, re.MULTILINE)))) == names_of(Detector)


def test_the_page_of_backbones_shows_a_recipe_that_is_valid_and_names_backbones_that_there_are():
    page, shown = (ROOT / "docs" / "backbones.md").read_text("utf-8"), {}
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], shown)
    backbones.check(shown["recipe"])
    presets_named = set(re.findall(r"hub:(\w+_\w+)", page))
    assert len(presets_named) >= 4 and presets_named <= set(presets.known())
    rows = re.findall(r"^\| (\w+)[ ,|].*? \| [\d.]+ \|", page, re.MULTILINE)
    assert len(rows) >= 10 and {row for row in rows if not row.startswith("hub")} <= set(backbones.BACKBONES)


def test_the_page_of_encoders_explains_each_field_and_shows_a_recipe_that_is_valid():
    page = (ROOT / "docs" / "encoders.md").read_text("utf-8")
    shown, rows = {}, page.partition("| field | meaning |")[2].partition("\n\n")[0]
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], shown)
    backbones.check(shown["recipe"])
    assert set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (.*?) \|", rows, re.MULTILINE)))) == names_of(Encoder)


def test_the_page_of_crops_explains_each_field_and_shows_a_recipe_that_is_valid():
    page = (ROOT / "docs" / "cropping.md").read_text("utf-8")
    shown, rows = {}, page.partition("| field | meaning |")[2].partition("\n\n")[0]
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], shown)
    assert shown["recipe"] == loading.load(ROOT / "features/efficientnet_lite0_crop.py", [])
    assert set(re.findall(r"^\| `(\w+)`", rows, re.MULTILINE)) == names_of(Crop)


def test_the_page_of_networks_explains_fields_that_phases_have_and_shows_a_recipe_that_is_valid():
    page = (ROOT / "docs" / "networks.md").read_text("utf-8")
    shown, rows = {}, page.partition("| field | what it does |")[2].partition("\n\n")[0]
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], shown)
    recipe = shown["recipe"]
    extractor, start = (
        recipe.network.extractor,
        loading.load(ROOT / f"experiments/photos/{recipe.start}.py", []),
    )
    beginning.check(*(loading.load(ROOT / f"features/{name}.py", []) for name in (*recipe.stores, extractor)))
    assert (start.stores, start.head) == ((extractor,), recipe.head)
    named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (.*?) \|", rows, re.MULTILINE))))
    assert len(named) > 8 and named <= names_of(Phase)


def names_of(kind):
    return {field.name for field in dataclasses.fields(kind)}


def explained(heading, column="field"):
    """Give what the table below a heading, of which the first column is named, has in that column."""
    section = re.search(rf"^### {re.escape(heading)}\n(.*?)^##", ARCHITECTURE, re.DOTALL | re.MULTILINE)[1]
    table = section.partition(f"| {column} |")[2].partition("\n\n")[0]
    first = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    return set(re.findall(r"`(\w+)`", " ".join(first)))


@pytest.mark.parametrize(
    ("heading", "fields"),
    [
        ("fingerprint.json", names_of(Fingerprint)),
        ("predictions.h5", names_of(predictions.Table)),
        ("result.json", names_of(Result)),
        ("ensemble.json", names_of(EnsembleResult)),
        ("curve.json", names_of(Curve)),
        ("search.json", names_of(Search)),
    ],
)
def test_every_field_of_a_product_is_explained(heading, fields):
    assert explained(heading) == fields


def test_every_field_of_a_store_is_explained(tmp_path):
    digests, none = np.ones(1, np.uint64), np.empty(0, np.uint64)
    fingerprint = Fingerprint("mobilenet", 224, "last", "avg", "whole", 1, "any", "made up", "keras", "float32", None)
    rows = {"shard": np.ones((1, 1), np.float16), "jpegs": jpegs.encode(np.zeros((1, 9, 9, 3), np.uint8))}
    for name, features in rows.items():
        store.write(tmp_path / f"{name}.h5", store.Shard(("a",), features, digests, {}, none), fingerprint)
    table.write_index(tmp_path, "train", table.Index(("a",), digests, digests, {}, digests))
    for names, column in {(*rows,): "field", ("train",): "in the list"}.items():
        assert explained("Feature store", column) == set().union(
            *(fields_in(tmp_path / f"{name}.h5") for name in names)
        )


def fields_in(path):
    with hdf5.reading(path) as file:
        return {*file}
