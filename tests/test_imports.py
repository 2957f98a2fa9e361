"""The package reads one way: each module imports from rows above its own, each heavy package has one door."""

import ast
import graphlib
import pathlib
import subprocess
import sys

import pytest

import mlob

PACKAGE = pathlib.Path(mlob.__file__).parent
ROWS = (
    {
        "errors",
        "texts",
        "labels",
        "metrics",
        "fields",
        "phases",
        "decisions",
        "feature_sets",
        "recipes",
        "loading",
        "files",
        "hdf5",
        "machine",
        "progress",
        "pools",
        "engine",
    },
    {"data"},
    {"features"},
    {"models"},
    {"training"},
    {"predictions"},
    {"ensemble"},
    {"evaluation"},
    {"workspace"},
    {"runs"},
    {"exports"},
    {"reports"},
    {
        "serving",
        "steps",
        "predicting",
        "exporting",
        "reporting",
        "importing",
        "listing",
        "cleaning",
        "initialise",
        "tracking",
    },
    {"options"},
    {"__main__"},
)
DOORS = {
    "PIL": {"data.images", "data.upright", "data.drawing"},
    "ai_edge_litert": {"exports.formats"},
    "aiohttp": {"data.fetch"},
    "fastapi": {"serving.application"},
    "h5py": {"hdf5"},
    "kagglehub": {"features.hub"},
    "keras_hub": {"features.hub"},
    "matplotlib": {"reports.figures"},
    "mlflow": {"tracking"},
    "nncf": {"features.quantise"},
    "optuna": {"training.search"},
    "onnxruntime": {"exports.formats"},
    "openvino": {"features.runtimes", "features.quantise", "features.detector", "features.encoder", "features.foreign"},
    "pyswarms": {"ensemble.swarm"},
    "pillow_heif": {"data.images"},
    "pyarrow": {
        "data.annotations.columns",
        "data.annotations.csvtable",
        "data.annotations.huggingface",
        "data.parquet",
        "data.vectors",
    },
    "ray": {"engine"},
    "uvicorn": {"serving.server"},
    "safetensors": {"features.weights"},
}
HEAVY = {
    "aiohttp", "numpy", "pandas", "tensorflow", "keras", "h5py", "PIL", "sklearn", "scipy", "matplotlib", "nncf",
    "openvino", "optuna", "pyswarms",
}  # fmt: skip


def sources():
    """Give {module without `mlob.`: its text} of the package as it stands."""
    found = {path.relative_to(PACKAGE).with_suffix(""): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
    return {".".join(path.parts).removesuffix(".__init__"): text for path, text in found.items()}


def imported(module, text):
    """List the full names that a module imports, at its top or inside its functions."""
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            parents = f"mlob.{module}".split(".")[: -node.level] if node.level else []
            names += [".".join([*parents, *filter(None, [node.module]), alias.name]) for alias in node.names]
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names += [argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)]
    return names


def of_ours(names):
    return [name.removeprefix("mlob.") for name in names if name.startswith("mlob.")]


def row(module):
    """Number the row of the table that a module stands in, counted from the top."""
    first = module.split(".")[0]
    return next(number for number, names in enumerate(ROWS) if first in names)


def against_the_flow(modules):
    """List "module -> module" for each import from a row below."""
    return [
        f"{module} -> {name}"
        for module, text in modules.items()
        for name in of_ours(imported(module, text))
        if row(name) > row(module)
    ]


def around_the_door(modules):
    """List "module -> package" for each import of a heavy package in a module that is not its door."""
    return [
        f"{module} -> {package}"
        for module, text in modules.items()
        for package in {name.split(".")[0] for name in imported(module, text)}
        if module not in DOORS.get(package, {module})
    ]


def base_order(modules):
    """Order the modules of the first row so that each imports only earlier ones; graphlib.CycleError if none does."""
    graph = {
        module: {name.split(".")[0] for name in of_ours(imported(module, modules[module]))}
        for module in ROWS[0] & set(modules)
    }
    return list(graphlib.TopologicalSorter(graph).static_order())


def test_every_module_has_a_row():
    assert {module.split(".")[0] for module in sources() if module != "__init__"} <= set().union(*ROWS)


def test_modules_import_from_rows_above_their_own():
    assert against_the_flow(without_init()) == []


def test_evaluation_takes_arrays_and_knows_no_file():
    allowed = {"ensemble", "evaluation", "data.splits", "errors", "labels", "metrics", "recipes"}
    foreign = [
        f"{module} -> {name}"
        for module, text in without_init().items()
        if module.startswith("evaluation.")
        for name in of_ours(imported(module, text))
        if not any(name == known or name.startswith(f"{known}.") for known in allowed)
    ]
    assert foreign == []


def test_modules_of_the_first_row_import_each_other_without_a_cycle():
    assert base_order(without_init())[0] in ROWS[0]


def order(modules):
    """Order all modules so that each imports only earlier ones; graphlib.CycleError if none does."""

    def owner(name):
        parts = name.split(".")
        prefixes = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
        return next((prefix for prefix in prefixes if prefix in modules), None)

    graph = {
        module: {owner(name) for name in of_ours(imported(module, text))} - {module, None}
        for module, text in modules.items()
    }
    return list(graphlib.TopologicalSorter(graph).static_order())


def test_no_modules_import_each_other_in_a_circle():
    assert set(order(without_init())) == set(without_init())


def test_the_check_sees_a_circle_within_a_folder():
    with pytest.raises(graphlib.CycleError):
        order({"data.one": "from mlob.data import other", "data.other": "from mlob.data.one import THING"})


def test_each_heavy_package_has_one_door():
    assert around_the_door(without_init()) == []


def test_every_door_is_used():
    modules = sources()
    unused = [
        f"{module}: {package}"
        for package, doors in DOORS.items()
        for module in doors & set(modules)
        if not any(name.split(".")[0] == package for name in imported(module, modules[module]))
    ]
    assert unused == []


def without_init():
    return {module: text for module, text in sources().items() if module != "__init__"}


@pytest.mark.parametrize(
    "text",
    [
        "from mlob.reports import page",
        "import mlob.reports.page",
        "from mlob import reports",
        "from ..reports import page",
        "def late():\n    from mlob.reports.page import write",
        "import importlib\nimportlib.import_module('mlob.reports.page')",
    ],
)
def test_the_check_sees_an_import_from_a_row_below_however_it_is_written(text):
    assert len(against_the_flow({"data.made_up": text})) == 1


@pytest.mark.parametrize(
    "text",
    ["from mlob.data import images", "from . import images", "from mlob import files", "from ..files import atomic"],
)
def test_the_check_lets_siblings_and_rows_above_pass(text):
    assert against_the_flow({"data.made_up": text}) == []


@pytest.mark.parametrize(
    "text", ["import PIL.Image", "from PIL import Image", "def late():\n    from PIL.Image import open"]
)
def test_the_check_sees_a_heavy_package_outside_its_door(text):
    assert around_the_door({"features.made_up": text}) == ["features.made_up -> PIL"]
    assert around_the_door({"data.images": text}) == []


def test_the_check_sees_a_cycle_in_the_first_row():
    with pytest.raises(graphlib.CycleError):
        base_order({"errors": "from mlob import files", "files": "from mlob.errors import InputError"})


def test_the_reference_of_the_api_lists_every_part_of_the_package():
    from pdoc import doc

    found = {module.modulename.removeprefix("mlob.") for module in doc.Module(mlob).submodules}
    assert {"runs", "serving", "metrics"} <= found == {part for row in ROWS for part in row} - {"__main__"}


@pytest.mark.parametrize("arguments", [["-c", "import mlob"], ["-m", "mlob", "--help"]])
def test_the_package_and_its_help_load_nothing_heavy(arguments):
    done = subprocess.run([sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "mlob" in loaded
    assert loaded & HEAVY == set()
