"""Every recipe in the tree loads, says how it is run, and names only what exists."""

import ast
import pathlib

import numpy as np
import pytest

from mlob import loading, recipes, steps, workspace
from mlob.features import backbones, weights
from mlob.labels import Exclusive
from mlob.machine import load_keras
from mlob.models import losses
from mlob.models.beginning import Beginning
from mlob.workspace import Workspace

ROOT = pathlib.Path(__file__).parents[1]
FEATURE_SETS = sorted(ROOT.glob("features/*.py"))
SUITES = sorted(ROOT.glob("experiments/*/suite.py"))
TOGETHER = sorted(path for name in workspace.TOGETHER for path in ROOT.glob(f"experiments/*/{name}.py"))
FILES = sorted(set(ROOT.glob("experiments/*/*.py")) - {*SUITES, *TOGETHER})
EXPERIMENTS = {path.with_suffix(""): loading.load(path, []) for path in FILES}
EXPERIMENTS |= {path.with_name(name): model for path in TOGETHER for name, model in loading.load_many(path).items()}
NETWORKS = {path: recipe for path, recipe in EXPERIMENTS.items() if getattr(recipe, "network", None)}
SUMS = {path: recipe for path, recipe in EXPERIMENTS.items() if isinstance(recipe, recipes.Sum)}


def feature_set(name):
    return loading.load(ROOT / "features" / f"{name}.py", [])


def reads_and_begins_with(recipe):
    """Give the feature set that a network reads, and the one that it begins with; None where there is none."""
    extractor = recipe.network.extractor
    return feature_set(recipe.stores[0]), feature_set(extractor) if extractor else None


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT).with_suffix("")))


def test_there_are_recipes_of_each_kind():
    assert FEATURE_SETS
    assert SUITES
    assert EXPERIMENTS


@each([*FEATURE_SETS, *SUITES, *TOGETHER, *FILES])
def test_the_docstring_of_a_recipe_states_its_command(path):
    lines = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").splitlines()
    assert lines
    assert [line for line in lines if line.startswith("Command: m")]


@each(FEATURE_SETS)
def test_a_feature_set_names_a_backbone_that_takes_its_size(path):
    recipe = loading.load(path, [])
    assert isinstance(recipe, recipes.FeatureSet)
    backbones.check(recipe)


@each(SUITES)
def test_the_members_and_rows_of_a_suite_are_experiments_beside_it(path):
    recipe = loading.load(path, [])
    assert isinstance(recipe, recipes.Suite)
    named = [*recipe.members, *recipe.rows]
    assert recipe.members
    assert len(set(named)) == len(named)
    assert [name for name in named if path.with_name(name) not in EXPERIMENTS] == []


@each(EXPERIMENTS)
def test_an_experiment_stands_in_a_suite_and_reads_stores_that_have_a_recipe(path):
    recipe = EXPERIMENTS[path]
    assert path.with_name("suite.py") in SUITES
    if isinstance(recipe, recipes.Sum):
        assert {path.with_name(part) for part in recipe.parts} <= set(EXPERIMENTS)
        return
    assert isinstance(recipe, recipes.Experiment)
    assert recipe.stores
    assert set(recipe.stores) <= {found.stem for found in FEATURE_SETS}


@each(EXPERIMENTS)
def test_the_head_of_an_experiment_builds(path):
    recipe = EXPERIMENTS[path]
    head = getattr(recipe, "head", None)
    if head is None or head.kind != recipes.Head.kind:
        pytest.skip("not a network of its own")
    losses.check(recipe)
    load_keras()
    from mlob.models import heads

    rng = np.random.default_rng(0)
    features, targets = rng.random((20, 8)).astype(np.float16), rng.integers(0, 2, (20, 3)).astype(np.uint8)
    model = heads.build(head, features, targets, exclusive=[Exclusive((0, 1), True)], tasks=[(0, 1), (2,)])
    assert model.output_shape == (None, 3)


@each([*NETWORKS, *SUMS])
def test_a_network_and_a_sum_have_a_dry_run(path, drawn, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    for name in ("runs", "features"):
        monkeypatch.setenv(f"MLOB_{name.upper()}", str(tmp_path / name))
    monkeypatch.setattr(steps, "check_tasks", lambda work, models: None)  # drawn photos have other groups of labels
    work = Workspace(path.parent.name, data=str(drawn), is_dry=True)
    assert path.name in steps.train(work, [path.name])
    assert f"{path.name} would be made in {tmp_path / 'runs' / path.parent.name / path.name}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def alike():
    """Give the networks in lists of those that differ in their size, their head or their training alone."""
    found = {}
    for path, recipe in NETWORKS.items():
        reads, begins = reads_and_begins_with(recipe)
        key = (begins.backbone, begins.layer, reads.layer) if begins else path.name
        found.setdefault(str(key), []).append(recipe)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("networks_alike", alike().values(), ids=alike())
def test_a_network_builds_and_has_the_layers_that_its_phases_unfreeze(networks_alike):
    load_keras()
    from mlob.models import networks

    first, targets = networks_alike[0], np.array([[0, 1, 0], [1, 0, 1]], np.uint8)
    reads, begins = reads_and_begins_with(first)
    shape = (14, 14, 512) if reads.layer != "last" else (backbones.side(reads),) * 2 + (3,)
    begin = Beginning(reads, begins, weights.random() if begins else None)
    tasks = [(0, 1), (2,)]
    plan = networks.Plan(first.head, first.network, begin, shape, targets, tasks=tasks, standard=(0.0, 1.0))
    model = plan.build()
    assert model.output_shape == (None, 3)
    assert plan.build(first.network.phases[-1].size).input_shape == model.input_shape == (None, *shape)
    backbone = len(networks.backbone_of(model).trainable_variables)
    for phase in {phase for recipe in networks_alike for phase in recipe.network.phases}:
        plan.unfreeze(model, phase)
        learning = len(networks.backbone_of(model).trainable_variables)
        assert {"nothing": learning == 0, "everything": learning == backbone}.get(
            phase.unfreeze, 0 < learning < backbone
        )


@pytest.mark.parametrize("name", ["head", "training"])
def test_recipes_are_loaded_as_they_stand(name):
    mlp = loading.load(ROOT / "experiments/fashion_products/mlp.py", [])
    assert getattr(mlp, name) != getattr(recipes.Experiment(()), name)
