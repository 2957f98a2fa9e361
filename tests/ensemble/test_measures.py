import itertools

import numpy as np
import pytest
import unknown
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import binomtest, false_discovery_control
from sklearn import metrics as reference

from mlob.ensemble import measures
from mlob.ensemble.blend import arithmetic
from mlob.ensemble.thresholds import ABOVE, ASSURED_RULE, CALIBRATED, HALF, ONE_THRESHOLD, PER_LABEL, RULES, decide
from mlob.errors import InputError
from mlob.evaluation.bootstrap import resamples
from mlob.labels import UNKNOWN
from mlob.recipes import Ensemble, Metric

GROUPS = ("cut", "colour", "colour", "colour")
ALL = {
    "micro_f1": Metric(),
    "macro_f1": Metric("macro_f1"),
    "image_f1": Metric("image_f_beta", beta=1),
    "image_f2": Metric("image_f_beta"),
    "mean_average_precision": Metric("mean_average_precision"),
    "top_1": Metric("top_1", group="colour"),
    "saved_cost": Metric("saved_cost", cost_false_positive=1, cost_false_negative=3),
    "recall_at_precision": Metric("recall_at_precision", wished=0.75),
    "precision_at_recall": Metric("precision_at_recall", wished=0.75),
}
EACH = pytest.mark.parametrize("name", ALL)
OF_LABELS = ("macro_f1", "recall_at_precision", "precision_at_recall")  # means of the labels' own figures
PROMISED = OF_LABELS[1:]
EIGHTHS = st.integers(0, 8).map(lambda eighth: np.float32(eighth / 8))


def of(name, labels=4):
    return measures.of(ALL[name], GROUPS[:labels])


@st.composite
def scored(draw, photos=8, labels=4):
    shape = draw(st.integers(1, photos)), labels
    targets = draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    return targets, draw(arrays.arrays(np.float32, shape, elements=EIGHTHS))


@st.composite
def decided(draw):
    shape = draw(st.integers(1, 9)), 4
    return tuple(draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, 1))) for _ in range(2))


def drawn(photos=3000, seed=0, uncertain=False):
    """Draw calibrated scores and their targets; some of them unknown, those of three photos and a label throughout."""
    generator = np.random.default_rng(seed)
    meant = generator.beta(0.5, 2, (photos, 4)).astype(np.float32)
    targets = (generator.random(meant.shape) < meant).astype(np.uint8)
    if uncertain:
        targets[generator.random(targets.shape) < 0.2] = UNKNOWN
        targets[:3], targets[:, 0] = UNKNOWN, UNKNOWN
    return targets, meant


def answers(measure, probabilities):
    """What a measure judges: probabilities, or decisions with the likeliest label where the measure has one given."""
    if measure.ranks:
        return probabilities
    given = decide(probabilities, 0.4)
    if measure.likeliest:
        columns = list(measure.likeliest)
        given[:, columns] = np.arange(len(columns)) == probabilities[:, columns].argmax(axis=1)[:, np.newaxis]
    return given


def every_cut(scores):
    return [*np.unique(scores), ABOVE]


@given(decided())
@settings(deadline=None)
def test_scores_are_scikit_learns(pair):
    options = {"zero_division": 0}
    for name, expected in (
        ("micro_f1", reference.f1_score(*pair, average="micro", **options)),
        ("macro_f1", reference.f1_score(*pair, average="macro", **options)),
        ("image_f1", reference.fbeta_score(*pair, beta=1, average="samples", **options)),
        ("image_f2", reference.fbeta_score(*pair, beta=2, average="samples", **options)),
    ):
        assert of(name).score(*pair) == pytest.approx(expected, abs=1e-12), name
    recalls = reference.recall_score(*pair, average=None, **options)
    precisions = reference.precision_score(*pair, average=None, **options)
    of_kept = np.where((precisions >= 0.75) | ~pair[1].any(axis=0), recalls, 0)
    assert of("recall_at_precision").score(*pair) == pytest.approx(of_kept.mean())
    of_kept = np.where((recalls >= 0.75) | ~pair[0].any(axis=0), precisions, 0)
    assert of("precision_at_recall").score(*pair) == pytest.approx(of_kept.mean())


@given(decided())
@settings(deadline=None)
def test_saved_cost_is_what_mistakes_cost_less_than_no_answer_would(pair):
    def cost(targets, given):
        (_, wrong), (missed, _) = reference.confusion_matrix(targets.ravel(), given.ravel(), labels=[0, 1])
        return wrong + 3 * missed

    nothing = cost(pair[0], np.zeros_like(pair[1]))
    expected = 1 - cost(*pair) / nothing if nothing else 0
    assert of("saved_cost").score(*pair) == pytest.approx(expected)


@given(decided())
@settings(deadline=None)
def test_top_1_is_how_often_the_one_label_of_the_group_is_given_and_no_other_of_it(pair):
    targets, given = (each[:, 1:] for each in pair)
    has_one = targets.sum(axis=1) == 1
    expected = reference.accuracy_score(targets[has_one], given[has_one]) if has_one.any() else 0
    assert of("top_1").score(*pair) == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:No positive class found")
@given(scored())
@settings(deadline=None)
def test_mean_average_precision_is_scikit_learns(pair):
    expected = reference.average_precision_score(*pair, average="macro")
    assert of("mean_average_precision").score(*pair) == pytest.approx(expected)


@EACH
@given(case=unknown.scored(targets=unknown.masked().filter(lambda targets: targets.shape[1] > 1)), code=unknown.CODES)
@settings(deadline=None, max_examples=30)
def test_neither_answers_under_unknown_targets_nor_their_code_change_anything(name, case, code):
    targets, probabilities, others = case
    measure = measures.of(ALL[name], ("cut", *["colour"] * (targets.shape[1] - 1)))
    again = unknown.recoded(targets, code)
    one, other = answers(measure, probabilities), answers(measure, others)
    if not measure.likeliest:  # one of a group that is likelier where nobody looked leaves the others without
        assert measure.score(targets, one) == measure.score(again, other)
        blocks = list(resamples(len(targets), 20, 0))
        assert unknown.same_bytes(measure.draws(targets, one, blocks), measure.draws(again, other, blocks))
        assert measure.aim.reached(targets, probabilities) == measure.aim.reached(again, others)
    for rule in measure.rules.values():
        assert unknown.same_bytes(rule(targets, probabilities), rule(again, others))


@EACH
def test_the_order_of_photos_and_of_labels_changes_no_figure_and_orders_the_thresholds(name):
    targets, probabilities = drawn(photos=200, uncertain=True)
    rows, columns = np.random.default_rng(1).permutation(200), [0, 3, 1, 2]
    turned = [array[rows][:, columns] for array in (targets, probabilities)]
    measure = of(name)
    given = answers(measure, probabilities)
    assert measure.score(turned[0], given[rows][:, columns]) == pytest.approx(measure.score(targets, given))
    assert measure.aim.reached(*turned) == pytest.approx(measure.aim.reached(targets, probabilities))
    for rule in measure.rules.values():
        expected = np.broadcast_to(rule(targets, probabilities), 4)[columns]
        assert np.broadcast_to(rule(*turned), 4) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["micro_f1", "macro_f1", "image_f1", "image_f2", "saved_cost"])
@given(pair=scored())
@settings(deadline=None, max_examples=40)
def test_no_threshold_for_all_labels_beats_the_best_one_where_it_was_fitted(name, pair):
    measure = of(name)
    best = measure.score(pair[0], decide(pair[1], measure.rules[ONE_THRESHOLD](*pair)))
    brute = max(measure.score(pair[0], decide(pair[1], cut)) for cut in every_cut(pair[1]))
    assert best == pytest.approx(brute, abs=1e-9)
    if name != "macro_f1":
        assert measure.aim.reached(*pair) == pytest.approx(best)


@pytest.mark.parametrize("name", ["micro_f1", "macro_f1", "saved_cost"])
@given(pair=scored(photos=4))
@settings(deadline=None, max_examples=25)
def test_no_set_of_thresholds_beats_the_labels_own_where_they_were_fitted(name, pair):
    measure = of(name)
    best = measure.score(pair[0], decide(pair[1], measure.rules[PER_LABEL](*pair)))
    sets = itertools.product(*map(every_cut, pair[1].T))
    brute = max(measure.score(pair[0], decide(pair[1], np.array(cuts))) for cuts in sets)
    assert best == pytest.approx(brute, abs=1e-9)


@pytest.mark.parametrize("name", OF_LABELS)
@given(pair=scored(photos=4))
@settings(deadline=None, max_examples=25)
def test_searches_of_means_over_labels_take_each_label_at_its_best_threshold(name, pair):
    measure = of(name)
    sets = itertools.product(*map(every_cut, pair[1].T))
    brute = max(measure.score(pair[0], decide(pair[1], np.array(cuts))) for cuts in sets)
    assert measure.aim.reached(*pair) == pytest.approx(brute, abs=1e-9)


@EACH
@pytest.mark.parametrize("uncertain", [False, True])
def test_draws_are_the_figures_of_the_photos_drawn(name, uncertain):
    targets, probabilities = drawn(photos=60, uncertain=uncertain)
    probabilities = (probabilities + 2 * (targets == 1)) / 3
    measure = of(name)
    given = answers(measure, probabilities)
    blocks = list(resamples(60, 130, seed=3))
    photos = [np.repeat(np.arange(60), row) for row in np.vstack(blocks).astype(int)]
    direct = np.array([measure.score(targets[rows], given[rows]) for rows in photos])
    found = measure.draws(targets, given, blocks)
    assert found.shape == (130,)
    moved = name in (*OF_LABELS, "mean_average_precision")
    if moved:
        assert found.mean() == pytest.approx(measure.score(targets, given))
        direct = direct + found.mean() - direct.mean()
    assert found == pytest.approx(direct, abs=1e-6)
    assert found.mean() == pytest.approx(measure.score(targets, given), abs=0.03)


@EACH
def test_a_perfect_answer_is_perfect_in_every_draw_and_no_answer_is_0(name):
    targets = np.eye(4, dtype=np.uint8)[np.arange(30) % 4]
    measure = of(name)
    given = targets.astype(np.float32) if measure.ranks else targets
    blocks = list(resamples(30, 50, seed=0))
    assert measure.score(targets, given) == 1
    assert measure.draws(targets, given, blocks) == pytest.approx(np.ones(50))
    nothing = np.zeros_like(targets)
    if not measure.ranks:
        assert measure.score(targets, nothing) == 0 == measure.draws(targets, nothing, blocks).max()


@EACH
def test_where_nothing_is_known_every_figure_is_0(name):
    targets, measure = np.full((4, 4), UNKNOWN, np.uint8), of(name)
    given = np.full((4, 4), 0.75, np.float32)
    assert measure.score(targets, answers(measure, given)) == 0
    assert not measure.draws(targets, answers(measure, given), resamples(4, 5, 0)).any()
    assert measure.aim.reached(targets, given) == 0
    assert measure.aim.approximate(given[np.newaxis], targets)(np.ones((2, 1))).tolist() == [0, 0]


WEIGHTS = np.array([[0.25, 0.25, 0.5], [0.5, 0.5, 0], [0, 0, 1], [1, 0, 0]])


@EACH
@pytest.mark.parametrize("uncertain", [False, True])
def test_what_is_about_reached_is_exact_where_scores_are_on_the_grid(name, uncertain):
    targets, _ = drawn(photos=40, uncertain=uncertain)
    members = (np.random.default_rng(2).integers(1, 13, (3, 40, 4)) + 4 * (targets == 1)).astype(np.float32) / 16
    targets[5, 1:], members[:, 5] = 1, 1  # the highest score of each label
    measure = of(name)
    found = measure.aim.approximate(members, targets)(WEIGHTS)
    exact = [measure.aim.reached(targets, arithmetic(members, weights)) for weights in WEIGHTS]
    assert found == pytest.approx(exact, abs=1e-6)
    assert len(set(found)) > 1


@EACH
def test_what_is_about_reached_is_near_to_what_is(name):
    targets, meant = drawn(photos=500)
    noise = np.random.default_rng(5).normal(0, 0.1, (3, *meant.shape))
    members = np.clip(meant + noise, 0, 1).astype(np.float32)
    found = of(name).aim.approximate(members, targets)(WEIGHTS)
    exact = [of(name).aim.reached(targets, arithmetic(members, weights)) for weights in WEIGHTS]
    assert found == pytest.approx(exact, abs=0.04 if name in PROMISED else 0.02)


@pytest.mark.parametrize("name", PROMISED)
@given(pair=scored(photos=30))
@settings(deadline=None, max_examples=30)
def test_every_label_that_is_not_left_to_people_keeps_what_is_wished_where_it_was_fitted(name, pair):
    measure = of(name)
    for rule in measure.rules.values():
        chosen = np.broadcast_to(rule(*pair), 4)
        given, automated = decide(pair[1], chosen), ~measure.left(chosen)
        right, asked = (pair[0] & given).sum(axis=0), (given if name == PROMISED[0] else pair[0]).sum(axis=0)
        assert (right >= 0.75 * asked)[automated].all()
        assert measure.left(chosen).tolist() == [not each for each in automated]


@pytest.mark.parametrize("wished", [0.5, 0.8, 0.95])
def test_assured_labels_pass_a_binomial_test_at_benjamini_and_hochbergs_level_and_at_no_lower_threshold(wished):
    targets, probabilities = drawn(photos=400)
    probabilities[:, 0] = (probabilities[:, 0] + 3 * targets[:, 0]) / 4
    kept = 0
    for name, is_precision in (("recall_at_precision", True), ("precision_at_recall", False)):
        measure = measures.of(Metric(name, wished=wished), GROUPS)
        chosen = measure.rules[ASSURED_RULE](targets, probabilities)
        chances = []
        for true, scores in zip(targets.T, probabilities.T, strict=True):
            cuts = np.unique(scores[true == 1])  # a cut at another photo finds no more
            asked = [(scores >= cut).sum() if is_precision else true.sum() for cut in cuts]
            tests = [
                binomtest(int(true[scores >= cut].sum()), int(photos), wished, alternative="greater")
                for cut, photos in zip(cuts, asked, strict=True)
            ]
            chances.append({cut: test.pvalue for cut, test in zip(cuts, tests, strict=True)})
        passed = false_discovery_control([min(own.values()) for own in chances]) <= 0.05
        assert (~measure.left(chosen)).tolist() == passed.tolist()
        for label in np.flatnonzero(passed):
            passing = [cut for cut, chance in chances[label].items() if chance <= 0.05 * passed.sum() / 4]
            best = min(passing) if is_precision else max(passing)
            assert np.array_equal(decide(probabilities[:, label], chosen[label]), probabilities[:, label] >= best)
        kept += passed.sum()
    assert kept


@pytest.mark.parametrize("name", PROMISED)
def test_a_label_of_which_nothing_is_known_is_left_and_asks_no_more_of_the_others(name):
    targets, probabilities = drawn(photos=400)
    targets = (probabilities > 0.3).astype(np.uint8)
    assured = of(name).rules[ASSURED_RULE]
    wider = assured(*unknown.with_unknown_row_and_label(targets, probabilities))
    assert np.array_equal(wider[:-1], assured(targets, probabilities)) and of(name).left(wider).tolist() == [
        False
    ] * 4 + [True]


@pytest.mark.parametrize("name", ["macro_f1", "image_f1", "image_f2", "saved_cost"])
def test_on_calibrated_scores_calibrated_thresholds_do_as_well_on_other_photos_as_the_best_and_better_than_half(name):
    measure, fitted, others = of(name), drawn(2000), drawn(20000, seed=1)
    figures = {
        rule: measure.score(others[0], decide(others[1], measure.rules[rule](*fitted)))
        for rule in (HALF, PER_LABEL, CALIBRATED)
    }
    best = measure.score(others[0], decide(others[1], measure.rules[PER_LABEL](*others)))
    assert figures[CALIBRATED] > best - 0.01
    assert figures[CALIBRATED] > figures[HALF] + 0.02


def test_where_costs_count_the_calibrated_threshold_is_the_share_of_a_wrong_labels_cost():
    chosen = of("saved_cost").rules[CALIBRATED](*drawn(50000))
    assert chosen == pytest.approx(np.full(4, 1 / (1 + 3)), abs=0.03)


def test_the_likeliest_label_is_given_of_the_groups_of_all_and_of_the_metrics_own_but_not_where_thresholds_decide():
    none, cut = None, np.array([0, -1, -1, -1])
    assert of("micro_f1").one_each(none, 4) is None
    assert of("micro_f1").one_each(cut, 4).tolist() == cut.tolist()
    assert of("top_1").one_each(none, 4).tolist() == [-1, 0, 0, 0]
    assert of("top_1").one_each(cut, 4).tolist() == [0, 1, 1, 1]
    assert of("saved_cost").one_each(cut, 4) is of("recall_at_precision").one_each(cut, 4) is None


def test_top_1_needs_a_group_where_there_are_several():
    assert measures.of(Metric("top_1"), ("colour",) * 3).likeliest == (0, 1, 2)
    with pytest.raises(InputError, match=r"ensemble\.group is 'color'. Did you mean colour"):
        measures.of(Metric("top_1", group="color"), GROUPS)
    with pytest.raises(InputError, match=r"ensemble\.group is ''.*cut"):
        measures.of(Metric("top_1"), GROUPS)


def test_a_recipe_names_a_metric_and_what_it_goes_by():
    for metric in ALL.values():
        fields = {name: value for name, value in vars(metric).items() if name != "name"}
        recipe = Ensemble(metric=metric.name, **fields)
        measures.check(recipe)
        assert recipe.judging.metric == metric
    with pytest.raises(InputError, match=r"ensemble\.metric is 'makro_f1'. Did you mean macro_f1"):
        measures.check(Ensemble(metric="makro_f1"))
    with pytest.raises(InputError, match=r"ensemble\.beta is 1.0 beside ensemble\.metric 'macro_f1'.*image_f_beta"):
        measures.check(Ensemble(metric="macro_f1", beta=1.0))
    with pytest.raises(InputError, match=r"ensemble\.wished is 1.0; expected .*0\.999"):
        Ensemble(metric="recall_at_precision", wished=1.0)


@EACH
def test_every_metric_has_the_rules_that_all_are_compared_by_or_the_one_that_keeps_its_promise(name):
    measure = of(name)
    assert measure.rule in measure.rules and measure.plainest in measure.rules
    if name in PROMISED:  # no other rule keeps what is wished
        assert list(measure.rules) == [ASSURED_RULE] == [measure.plainest]
    else:
        assert {ONE_THRESHOLD, HALF} <= set(measure.rules) <= set(RULES) and measure.plainest == ONE_THRESHOLD


def test_titles_and_meanings_tell_what_a_metric_goes_by():
    assert [measures.title(metric) for metric in ALL.values()] == [
        "micro-F1",
        "macro-F1",
        "F1 per photo",
        "F2 per photo",
        "mean average precision",
        "top-1 colour",
        "saved cost",
        "recall at 0.75 precision",
        "precision at 0.75 recall",
    ]
    assert measures.title(Metric("top_1")) == "top-1"
    assert "a wrong label costs 1, a missed one 3." in measures.meaning(ALL["saved_cost"])
    for metric in ALL.values():
        told = measures.meaning(metric)
        assert told.lower().startswith(measures.title(metric).lower()) and told.endswith(".") and "{" not in told
