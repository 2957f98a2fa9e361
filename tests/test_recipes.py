"""Recipes are frozen; SET changes a field by its type, and refuses what the field does not admit."""

import contextlib
import dataclasses
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlob import decisions, loading, recipes
from mlob.errors import InputError
from mlob.recipes import Ensemble, Experiment, FeatureSet, Judging, Metric, Suite

BASES = {FeatureSet: FeatureSet("xception"), Experiment: Experiment(("a",)), Suite: Suite("data/x", ("a",))}


def changed(text):
    """Apply SET=text to a recipe of each kind; give those that changed by it, by their kind."""
    pairs = loading.parse(text)
    found = {kind: loading.override(base, pairs[kind]) for kind, base in BASES.items()}
    return {kind: recipe for kind, recipe in found.items() if recipe != BASES[kind]}


def experiment(text):
    return changed(text)[Experiment]


@pytest.mark.parametrize("kind", [*BASES, recipes.Head, recipes.Training, recipes.Ensemble])
def test_recipes_are_frozen(kind):
    recipe = BASES.get(kind) or kind()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(recipe, dataclasses.fields(recipe)[0].name, "other")


@pytest.mark.parametrize(
    ("text", "part", "field", "value"),
    [
        ("head.dropout=0.3", "head", "dropout", 0.3),
        ("head.dropout=0", "head", "dropout", 0.0),
        ("training.learning_rate=1e-3", "training", "learning_rate", 1e-3),
        ("training.epochs=5", "training", "epochs", 5),
        ("training.limit=1000", "training", "limit", 1000),
        ("training.nesterov=true", "training", "nesterov", True),
        ("head.batch_norm=True", "head", "batch_norm", True),
        ("head.kind=logistic", "head", "kind", "logistic"),
        ("head.units=[512,256]", "head", "units", (512, 256)),
        ("head.units=[ 512 ]", "head", "units", (512,)),
        ("head.units=[]", "head", "units", ()),
    ],
)
def test_a_value_has_the_type_of_its_field_and_nothing_else_changes(text, part, field, value):
    after, before = experiment(text), BASES[Experiment]
    found = getattr(getattr(after, part), field)
    assert found == value
    assert type(found) is type(value)
    back = dataclasses.replace(getattr(after, part), **{field: getattr(getattr(before, part), field)})
    assert dataclasses.replace(after, **{part: back}) == before


@pytest.mark.parametrize("text", ["stores=[b,c]", "members=[b,c]", "rows=[b,c]"])
def test_a_list_of_names_is_a_tuple_of_texts(text):
    (recipe,) = changed(text).values()
    assert getattr(recipe, text.split("=")[0]) == ("b", "c")
    assert hash(recipe)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("features.backbone=resnet50", FeatureSet),
        ("features.weights=/a/b.h5", FeatureSet),
        (
            "features.backbone=detector,features.detector.file=a.onnx,features.detector.size=64,"
            "features.detector.classes=3",
            FeatureSet,
        ),
        ("seed=3", Experiment),
        ("training.batch=3", Experiment),
        ("data=elsewhere", Suite),
        ("ensemble.seed=3", Suite),
    ],
)
def test_each_field_belongs_to_one_kind_of_recipe(text, kind):
    assert list(changed(text)) == [kind]


def test_several_fields_change_at_once_and_the_last_word_counts():
    found = changed(" head.units=[8, 4] , seed = 3,features.size=large,ensemble.folds=4,seed=5")
    assert found[Experiment].head.units == (8, 4)
    assert found[Experiment].seed == 5
    assert found[FeatureSet].size == "large"
    assert found[Suite].ensemble.folds == 4


@pytest.mark.parametrize("text", ["", None, " "])
def test_nothing_set_changes_nothing(text):
    assert changed(text) == {}
    assert loading.override(BASES[Experiment], []) is BASES[Experiment]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("head.droput=0.3", r"no recipe has a field 'head\.droput'\. Did you mean head\.dropout"),
        ("dropout=0.3", r"no recipe has a field 'dropout'\. Did you mean .*head\.dropout"),
        ("size=large", r"no recipe has a field 'size'.*features\.size, network\.phases\[0\]\.size\.$"),
        ("data.limit=9", r"no recipe has a field 'data\.limit'.*training\.limit"),
        ("head=dense", r"no recipe has a field 'head'"),
        ("zzz=1", r"no recipe has a field 'zzz'; there are: .*training\.…"),
        ("head.dropout", r"expected field=value, found 'head\.dropout'"),
        ("=3", r"expected field=value, found '=3'"),
        (",", r"expected field=value, found ','"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest(text, message):
    with pytest.raises(InputError, match=f"^SET: {message}"):
        loading.parse(text)


@pytest.mark.parametrize("text", [
    "training.epochs=1.5", "training.epochs=many", "training.epochs=", "training.epochs=true", "training.epochs=null",
    "training.epochs=[5]", "training.epochs=-1", "seed=1e3", "seed=???", "seed=${training.epochs}",
    "head.dropout=nan", "head.dropout=.nan", "head.dropout=inf", "head.dropout=-inf", "head.dropout=1e400",
    "seed=3,", "seed='3", "head.dropout=-0.1", "head.dropout=0.3 0.4", "head.batch_norm=maybe",
    "head.kind=forest", "head.kind=", "head.kind=???", "features.size=medium", "features.size=7",
    "features.size=1025", "features.size=22.4",
    "head.units=5", "head.units=5,6", "head.units=(5,6)", "head.units=[1.5]", "head.units=[a]", "head.units=[5,-6]",
    "head.units=[5", "head.units={a: 1}", "head.units=[${seed}]", "head.units=null", "stores=b", "data={a: 1}",
])  # fmt: skip
def test_a_value_that_the_field_does_not_admit_is_refused(text):
    with pytest.raises(InputError, match=f"^SET: {text.split('=')[0].removeprefix('features.')}"):
        changed(text)


@settings(deadline=None)
@given(st.floats(0, 1e300), st.integers(0, 2**40), st.lists(st.integers(1, 5000), max_size=4))
def test_numbers_come_back_as_they_were_written(rate, epochs, units):
    found = loading.override(BASES[Experiment], loading.parse(
        f"training.learning_rate={rate!r},training.epochs={epochs},head.units={units}")[Experiment])  # fmt: skip
    assert (found.training.learning_rate, found.training.epochs, found.head.units) == (rate, epochs, tuple(units))


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(["seed", "head.dropout", "head.units", "stores", "data", "head.kind", "features.size"]),
    st.text("5.-e[]{}'\"$?:, #&*!|>%@`~ax", max_size=8),
)
def test_any_value_is_taken_or_refused(field, value):
    try:
        found = changed(f"{field}={value}")
    except InputError as error:
        assert str(error).startswith("SET: ")
    else:
        assert len(found) <= 1


FIELDS = list(loading.owners())
PARTS = (
    "=",
    ",",
    "[",
    "]",
    "{",
    "}",
    "'",
    '"',
    "\n",
    "\0",
    "${",
    "???",
    "!!python/object:os.system",
    "&a",
    "*a",
    "1e999",
    "-",
    "9" * 5000,
)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    st.text(max_size=20)
    | st.tuples(st.sampled_from(FIELDS), st.text(max_size=10)).map("=".join)
    | st.lists(st.sampled_from([*FIELDS, *PARTS]), max_size=8).map("".join)
    | st.tuples(st.sampled_from(FIELDS), st.integers(1, 3000).map("[".__mul__)).map("=".join)
)
def test_whatever_set_says_is_taken_or_refused(text):
    try:
        found = changed(text)
    except InputError as error:
        assert str(error).startswith("SET: ") and len(str(error)) < 2000
    else:
        assert all(isinstance(recipe, recipes.Recipe) for recipe in found.values())


def test_the_fields_of_a_recipe_are_named_with_their_dots():
    assert list(loading.fields(Suite))[:5] == ["data", "members", "rows", "generated", "ensemble.methods"]


def test_fewer_epochs_the_more_rows_there_are():
    counts = [recipes.epochs_for(rows) for rows in (1, 100, 800, 6450, 50_000, 1_000_000)]
    assert counts == sorted(counts, reverse=True)
    assert (counts[0], counts[3], counts[-1]) == (100, 50, 10)


# Loading


def recipe_file(folder, text):
    path = folder / "mine.py"
    path.write_text(text)
    return path


def test_a_recipe_loads_as_it_was_written(tmp_path):
    path = recipe_file(
        tmp_path, "from mlob.recipes import LINEAR, Experiment\nrecipe = Experiment(stores=('a', 'b'), head=LINEAR)\n"
    )
    assert loading.load(path, []) == Experiment(("a", "b"), head=recipes.LINEAR)


def test_a_recipe_that_is_not_there_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match=r"There is no .*xcepton\.py\. Did you mean xception"):
        loading.load(tmp_path / "xcepton.py", ["xception", "resnet50"])
    with pytest.raises(InputError, match=r"There is no .*zzz\.py; there are: resnet50, xception\.$"):
        loading.load(tmp_path / "zzz.py", ["xception", "resnet50"])
    with pytest.raises(InputError, match=r"there are: none\.$"):
        loading.load(tmp_path / "zzz.py", [])


@pytest.mark.parametrize("text", ["", "recipe = 5\n", "from mlob.recipes import Head\nrecipe = Head\n"])
def test_a_file_without_a_recipe_is_refused(tmp_path, text):
    with pytest.raises(InputError, match=r"mine\.py defines no recipe: expected `recipe = "):
        loading.load(recipe_file(tmp_path, text), [])


ONE = "from mlob.recipes import *\nrecipe = "
MISTAKES = {
    "a value that the field does not list": (
        "Experiment(('a',), training=Training(optimizer='adam'))",
        r"line 2: training\.optimizer is 'adam'; expected 'adamw' or 'sgd'",
    ),
    "a field that there is not": (
        "Experiment(('a',), Head(dropot=0.5))",
        r"line 2: Head has no field 'dropot'.*dropout",
    ),
    "a field of another recipe": (
        "Experiment(('a',), epochs=5)",
        r"line 2: Experiment has no field 'epochs'; there are",
    ),
    "a variant with such a field": (
        "__import__('dataclasses').replace(LINEAR, dropot=1)",
        r"line 2: Head has no field 'dropot'",
    ),
    "a class that there is not": ("Experiment(('a',), Haed())", r"line 2: NameError.*Did you mean Head"),
    "a bracket left open": ("Experiment(('a',)", r"line 2: SyntaxError"),
    "a module that there is not": ("__import__('mlop')", r"line 2: ModuleNotFoundError: No module named 'mlop'"),
    "one name without its comma": ("Suite('data', members=('wide'))", r"members is 'wide'; expected names, as in"),
    "a list": (
        "Experiment(('a',), Head(units=[512]))",
        r"head\.units is \[512\]; expected several, as in \(512, 256\)",
    ),
    "a number for a name": ("Experiment((1,))", r"stores is \(1,\); expected a text"),
    "no member": ("Suite('data', members=())", r"members is empty; expected at least one name"),
    "no store": ("Experiment(())", r"stores is empty"),
    "no part": ("Sum(())", r"parts is empty"),
    "a text for a number": (
        "Experiment(('a',), Head(dropout='0.5'))",
        r"head\.dropout is '0.5'; expected a finite number",
    ),
    "a truth for a number": (
        "Experiment(('a',), seed=True)",
        r"seed is True; expected a whole number, 0 to 4,294,967,295",
    ),
    "a fraction for a whole number": (
        "Experiment(('a',), Head(units=(5.5,)))",
        r"head\.units is .*expected a whole number",
    ),
    "a number for a truth": ("Experiment(('a',), Head(groups=1))", r"head\.groups is 1; expected True or False"),
    "a number out of bounds": ("Experiment(('a',), Head(dropout=1.5))", r"head\.dropout is 1.5; .* 0 to 0\.99"),
    "a layer that fills the memory": (
        "Experiment(('a',), Head(units=(10**8,)))",
        r"expected a whole number, 1 to 16,384",
    ),
    "a number without end": (
        "Experiment(('a',), Head(dropout=float('nan')))",
        r"head\.dropout is nan; expected a finite",
    ),
    "a huge number": ("Experiment(('a',), Training(limit=10**999))", r"training\.limit is"),
    "a seed that no generator takes": ("Experiment(('a',), seed=2**32)", r"seed is 4294967296; expected"),
    "a head in the place of a training": (
        "Experiment(('a',), training=Head())",
        r"training is Head.*expected Training",
    ),
    "a class without brackets": ("Experiment(('a',), Head)", r"head is <class .*; expected Head\(\.\.\.\)"),
    "a name twice": ("Suite('data', members=('a', 'a'))", r"members names 'a' twice"),
    "a path as a name": ("Experiment(('../a',))", r"stores '\.\./a' is no name"),
    "a name that a product has": (
        "Suite('data', ('ensemble',))",
        r"members 'ensemble' is taken: suite, heads, networks, ensemble, report",
    ),
    "the reference as a member": ("Suite('data', ('logistic',))", r"'logistic', the reference"),
    "one method without its comma": (
        "Suite('data', ('a',), ensemble=Ensemble(methods=('mean')))",
        r"ensemble\.methods is 'mean'; expected names, as in",
    ),
    "a warm-up longer than the training": (
        "Experiment(('a',), training=Training(warmup_epochs=60, epochs=50))",
        r"training\.warmup_epochs is 60; expected fewer than training\.epochs, which is 50",
    ),
    "rows too few to keep one for dev": (
        "Experiment(('a',), training=Training(limit=4))",
        r"training\.limit is 4; expected 0 \(all rows\), or 5 or more",
    ),
    "shares the wrong way round": (
        "Experiment(('a',), least_share=0.5, most_share=0.1)",
        r"least_share is 0\.5; expected",
    ),
    "a program that ends": ("exit(3)", r"line 2: SystemExit"),
    "a program that fails": ("1 / 0", r"line 2: ZeroDivisionError"),
    "a recipe without end": ("(f := lambda: f())()", r"line 2: RecursionError"),
}


@pytest.mark.parametrize("text, message", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_recipe_is_told_with_its_file_and_line(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"^[^\n]*mine\.py[^\n]*{message}[^\n]*$"):
        loading.load(recipe_file(tmp_path, f"{ONE}{text}\n"), [])


def test_the_line_is_that_of_the_part_that_is_wrong(tmp_path):
    text = "from mlob.recipes import *\n\n\nHEAD = Head(\n    dropout=2,\n)\nrecipe = Experiment(('a',), HEAD)\n"
    with pytest.raises(InputError, match=r"mine\.py, line 4: head\.dropout"):
        loading.load(recipe_file(tmp_path, text), [])


@pytest.mark.parametrize("kinds, wanted", [
    ((FeatureSet,), r"FeatureSet\(\.\.\.\)"), ((Experiment, recipes.Sum), r"Experiment\(\.\.\.\) or Sum\(\.\.\.\)"),
])  # fmt: skip
def test_a_recipe_of_another_kind_is_refused(tmp_path, kinds, wanted):
    path = recipe_file(tmp_path, f"{ONE}Suite('data/x', ('a',))\n")
    with pytest.raises(
        InputError, match=rf"mine\.py defines no recipe: expected `recipe = {wanted}`, found Suite\(data="
    ):
        loading.load(path, [], kinds)
    assert loading.load(path, [], (Suite,)) == Suite("data/x", ("a",))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda part: st.lists(part, max_size=3) | st.lists(part, max_size=3).map(tuple) | st.dictionaries(st.text(), part),
    max_leaves=4,
)
KINDS = [Experiment, FeatureSet, Suite, recipes.Sum, recipes.Head, recipes.Training, recipes.Ensemble]


@pytest.mark.slow
@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.sampled_from(KINDS), st.data())
def test_whatever_stands_in_a_field_is_taken_or_refused(kind, data):
    named = [field.name for field in dataclasses.fields(kind)]
    values = data.draw(st.dictionaries(st.sampled_from(named), VALUES))
    required = {"backbone": "a", "stores": ("a",), "parts": ("a",), "data": "a", "members": ("a",)}
    try:
        made = kind(**{name: value for name, value in required.items() if name in named} | values)
    except InputError as error:
        assert "expected" in str(error) or "wants" in str(error)
    else:
        assert loading.override(made, []) is made


PIECES = (
    "recipe",
    " = ",
    "(",
    ")",
    "Experiment",
    "Head",
    "'a'",
    ",",
    "units=",
    "(5,)",
    "\n",
    "    ",
    "\0",
    "1e999",
    "lambda: ",
    "[",
    "é",
)


@settings(
    deadline=None, max_examples=200, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=30) | st.lists(st.sampled_from(PIECES), max_size=12).map("".join).map(str.encode))
def test_whatever_bytes_a_recipe_file_holds_it_loads_or_is_refused(tmp_path, content):
    (tmp_path / "mine.py").write_bytes(ONE.encode() * (content[:1] == b"E") + content)
    with contextlib.suppress(InputError):
        assert isinstance(loading.load(tmp_path / "mine.py", []), recipes.Recipe)


def test_a_variant_leaves_its_base_as_it_is():
    base = BASES[Experiment]
    assert loading.override(base, [("head.dropout", "0.1")]).head.dropout == 0.1
    assert base == Experiment(("a",))
    assert not math.isclose(base.head.dropout, 0.1)


@pytest.mark.parametrize("field", ["head.dropout=1.5", "training.batch=0", "head.units=[0]", "training.momentum=2"])
def test_a_number_outside_of_what_a_field_can_mean_is_refused(field):
    pairs = loading.parse(field)[recipes.Experiment]
    with pytest.raises(InputError, match=r"expected a (finite|whole) number, [01] "):
        loading.override(recipes.Experiment(("any",)), pairs)


def test_the_size_of_photos_is_a_name_or_a_number():
    base, sizes = BASES[FeatureSet], {}
    for text in ("large", "384"):
        sizes[text] = loading.override(base, loading.parse(f"features.size={text}")[FeatureSet]).size
    assert sizes == {"large": "large", "384": 384}
    crop = dataclasses.replace(base, crop=recipes.Crop("head.keras"))
    assert loading.override(crop, loading.parse("features.crop.size=400")[FeatureSet]).crop.size == 400
    for wrong in (True, 22.4, None, 7, 1025, "384"):
        with pytest.raises(InputError, match=r"size is .* expected a whole number, 8 to 1,024, or 'tiny' or 'small'"):
            FeatureSet("xception", wrong)


def test_what_an_original_reported_is_no_part_of_what_shapes_a_model():
    base = recipes.Experiment(("photos",), network=recipes.Network(extractor="lite"))
    assert recipes.plain(dataclasses.replace(base, reported="0.61")) == recipes.plain(base)
    assert recipes.plain(dataclasses.replace(base, seed=1)) != recipes.plain(base)


NETWORK = recipes.Experiment(
    ("photos",), network=recipes.Network("lite", phases=(recipes.Phase(), recipes.Phase(epochs=3)))
)


def set_on(recipe, text):
    return loading.override(recipe, loading.parse(text)[recipes.Experiment])


def test_a_field_of_one_of_several_phases_goes_by_its_number():
    found = set_on(NETWORK, "network.phases[1].learning_rate=1e-4,network.extractor=other,head.units=[8,4]")
    assert found.network.extractor == "other" and found.head.units == (8, 4)
    assert found.network.phases == (recipes.Phase(), recipes.Phase(epochs=3, learning_rate=1e-4))
    found = set_on(NETWORK, "network.phases[0].augmentation.flip=true,network.phases[0].epochs=2")
    assert found.network.phases[0] == recipes.Phase(epochs=2, augmentation=recipes.Augmentation(flip=True))


@pytest.mark.parametrize(
    "text, told",
    [
        ("network.phases[2].epochs=3", r"SET: network\.phases\[2\]: the recipe has 2, counted from 0"),
        ("network.phases[0].epochs=0", r"SET: network\.phases\[0\]: phase\.epochs is 0; expected a whole number"),
        ("network.phases[0].epochs=many", r"SET: network\.phases\[0\]: epochs='many': "),
        ("network.phases[0].epoch=3", r"no recipe has a field 'network\.phases\[0\]\.epoch'.*\bepochs"),
        ("network.extractr=x", r"no recipe has a field 'network\.extractr'.*network\.extractor"),
    ],
)
def test_a_phase_that_is_not_there_or_does_not_admit_a_value_is_refused(text, told):
    with pytest.raises(InputError, match=told):
        set_on(NETWORK, text)


def test_what_is_set_of_a_network_leaves_heads_as_they_are():
    head = recipes.Experiment(("features",))
    assert set_on(head, "network.phases[0].epochs=3,network.extractor=other,seed=1") == dataclasses.replace(
        head, seed=1
    )


def test_the_metric_of_a_suite_is_set_like_any_other_field_and_judges():
    pairs = loading.parse("ensemble.metric=image_f_beta,ensemble.beta=1.5")[Suite]
    suite = loading.override(Suite("data", ("one",)), pairs)
    assert suite.ensemble.judging.metric == Metric("image_f_beta", beta=1.5)
    assert Ensemble().judging.metric == Metric() and decisions.plain_judging(Judging()) == {
        "folds": 5, "draws": 1000, "seed": 0, "one_each": False,
    }  # fmt: skip
    assert decisions.plain_judging(suite.ensemble.judging)["metric"]["beta"] == 1.5
    with pytest.raises(InputError, match=r"ensemble\.beta is 0\.0; expected a finite number, 0\.01 to 100"):
        loading.override(suite, loading.parse("ensemble.beta=0")[Suite])
