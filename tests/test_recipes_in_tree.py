"""Every recipe in the tree loads, says how it is run, and names only what exists."""

import ast
import pathlib

import numpy as np
import pytest

from mlob import loading, recipes
from mlob.features import backbones
from mlob.labels import Exclusive
from mlob.machine import load_keras
from mlob.models import losses

ROOT = pathlib.Path(__file__).parents[1]
FEATURE_SETS = sorted(ROOT.glob("features/*.py"))
SUITES = sorted(ROOT.glob("experiments/*/suite.py"))
TOGETHER = sorted(ROOT.glob("experiments/*/heads.py"))
FILES = sorted(set(ROOT.glob("experiments/*/*.py")) - {*SUITES, *TOGETHER})
EXPERIMENTS = {path.with_suffix(""): loading.load(path, []) for path in FILES}
EXPERIMENTS |= {path.with_name(name): model for path in TOGETHER for name, model in loading.load_many(path).items()}


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
    model = heads.build(head, features, targets, exclusive=[Exclusive((0, 1), True)])
    assert model.output_shape == (None, 3)


@pytest.mark.parametrize("name", ["head", "training"])
def test_recipes_are_loaded_as_they_stand(name):
    mlp = loading.load(ROOT / "experiments/fashion_products/mlp.py", [])
    assert getattr(mlp, name) != getattr(recipes.Experiment(()), name)
