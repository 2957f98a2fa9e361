import json
import subprocess
import sys

import numpy as np
import pytest
import unknown
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob.ensemble import convolution, linear, measures, methods, stacking, thresholds, trees
from mlob.ensemble.blend import arithmetic, best_constant, harmonic
from mlob.errors import InputError
from mlob.metrics import micro_f1
from mlob.recipes import Ensemble, Metric, Swarm

SWARM = Swarm(particles=6, iterations=5)
STACKERS = ("stacked linear", "stacked convolution", "stacked trees")
GROUPS = ("colour", "colour", "length", "length")
POWERS = st.integers(-5, 0).map(lambda power: np.float32(2.0**power))  # sums of 2 or 4 are exact, and of their inverses


@st.composite
def cases(draw):
    shape = draw(st.tuples(st.sampled_from([1, 2, 4]), st.integers(2, 6), st.integers(1, 3)))
    members = draw(arrays.arrays(np.float32, shape, elements=POWERS))
    return members, draw(arrays.arrays(np.uint8, shape[1:], elements=st.integers(0, 1)))


def made(members=3, photos=80, labels=4, seed=0):
    """Members of rising worth."""
    generator = np.random.default_rng(seed)
    targets = (generator.random((photos, labels)) < 0.3).astype(np.uint8)
    noise = generator.random((members, photos, labels)) * np.linspace(3, 1, members)[:, None, None]
    return ((targets + noise) / (1 + np.linspace(3, 1, members))[:, None, None]).astype(np.float32), targets


def fitted(
    members,
    targets,
    keys=None,
    *,
    names=tuple(methods.WEIGHTINGS),
    rules=tuple(thresholds.RULES),
    groups=(),
    swarm=SWARM,
    **options,
):
    return methods.fit(names, rules, groups=groups, seed=0, swarm=swarm, **options)(members, targets, keys)


@given(cases(), st.randoms())
@settings(deadline=None, max_examples=8)
def test_permuting_members_changes_mean_and_harmonic_not_at_all(case, random):
    members, targets = case
    order = random.sample(range(len(members)), len(members))
    fits = [fitted(some, targets, swarm=Swarm(iterations=1)) for some in (members, members[order])]
    for method in (methods.MEAN, methods.HARMONIC) if len(members) > 1 else (methods.BEST_SINGLE,):
        for rule in thresholds.RULES:
            here, there = (decisions[method, rule] for decisions in fits)
            assert np.array_equal(here.thresholds, there.thresholds)
            assert np.array_equal(here(members), there(members[order]))


@given(cases())
@settings(deadline=None)
def test_the_constant_answer_is_the_best_constant_for_every_photo(case):
    members, targets = case
    decided = methods.constant(members, targets)(np.ones_like(members))
    assert np.array_equal(decided, np.tile(best_constant(targets), (len(targets), 1)))
    assert np.array_equal(decided, methods.constant(members, targets)(np.zeros_like(members)))


def test_what_a_recipe_names_is_fitted_each_method_with_each_rule_and_what_all_are_compared_with_beside_them():
    for names, rules in (
        (Ensemble().methods, Ensemble().rules),
        ((methods.PSO, methods.MEAN), (thresholds.CALIBRATED,)),
        ((), ()),
    ):
        pairs = list(fitted(*made(), names=names, rules=rules, groups=GROUPS))
        assert pairs.pop(0) == (methods.CONSTANT, methods.COMMONEST)
        assert pairs == [
            (method, rule)
            for method in methods.METHODS
            for rule in thresholds.RULES
            if method in {"best single", *names} and rule in {"one threshold", *rules}
        ]


def test_decisions_are_of_a_blend_and_thresholds_and_weights_say_how_much_each_member_counts():
    for (method, _), decision in fitted(*made(), names=Ensemble().methods, groups=GROUPS).items():
        weights = decision.blend.weights
        assert (weights is None) == (method in (methods.HARMONIC, *STACKERS))
        if weights is not None:
            assert weights.shape == ((3, 4) if method == methods.BY_GROUP else (3,))
            assert weights.sum(axis=0) == pytest.approx(0 if method == methods.CONSTANT else 1)
        assert decision.thresholds.dtype == np.float32 and decision.thresholds.shape == (4,)


def test_the_means_are_those_of_blend():
    members, targets = made()
    decisions = fitted(members, targets)
    for rule in thresholds.RULES:
        assert np.array_equal(decisions[methods.HARMONIC, rule].probabilities(members), harmonic(members))
        assert np.array_equal(decisions[methods.MEAN, rule].probabilities(members), arithmetic(members))


def test_in_the_mean_of_logits_a_sure_member_counts_for_more():
    members, targets = np.array([[[0.5]], [[0.99]]], np.float32), np.array([[1]])
    predict = fitted(members, targets)["mean of logits", thresholds.HALF].probabilities
    assert predict(members)[0, 0] == pytest.approx(1 / (1 + 99**-0.5)) and predict(members).dtype == np.float32
    assert predict(members[::-1]) == pytest.approx(predict(members))
    assert predict(members[:1]) == pytest.approx(members[0])
    assert np.array_equal(predict(np.array([[[0.0]], [[1.0]]], np.float32)), [[0.5]])


def test_best_single_is_the_best_member_alone():
    members, targets = made()
    decision = fitted(members, targets)[methods.BEST_SINGLE, thresholds.ONE_THRESHOLD]
    assert decision.blend.weights.tolist() == [0, 0, 1]
    assert np.array_equal(decision.probabilities(members), members[2])
    alone = [methods.mean_at(thresholds.ONE_THRESHOLD, member[None], targets)(member[None]) for member in members]
    assert np.array_equal(decision(members), alone[2])
    assert max(micro_f1(targets, decided) for decided in alone) == micro_f1(targets, decision(members))


@pytest.mark.parametrize("seed", range(3))
def test_no_rule_is_worse_than_a_narrower_one_where_it_was_fitted(seed):
    members, targets = made(seed=seed)
    decisions = fitted(members, targets)
    scores = {name: micro_f1(targets, decision(members)) for name, decision in decisions.items()}
    for method in (methods.BEST_SINGLE, methods.MEAN, methods.HARMONIC, methods.PSO):
        half, shared, own, calibrated = (scores[method, rule] for rule in Ensemble().rules)
        assert half <= shared <= own and calibrated <= own
    plain = max(scores[name, thresholds.ONE_THRESHOLD] for name in (methods.BEST_SINGLE, methods.MEAN))
    for method in (methods.PSO, methods.GREEDY, methods.CLIMBING):
        assert scores[method, thresholds.ONE_THRESHOLD] >= plain


def test_only_the_swarm_has_a_history_and_more_members_than_particles_get_enough_of_them():
    for (method, _), decision in fitted(*made(members=4), swarm=Swarm(particles=2, iterations=3)).items():
        assert bool(getattr(decision.blend, "history", ())) == (method == methods.PSO)


def test_equal_seeds_fit_alike():
    members, targets = made()
    first, second = (fitted(members, targets) for _ in range(2))
    for name, decision in first.items():
        for part, array in decision.arrays().items():
            assert array.tobytes() == second[name].arrays()[part].tobytes()


def test_a_decision_rebuilt_from_its_arrays_decides_alike_and_its_thresholds_survive_json():
    members, targets = made()
    for decision in fitted(members, targets, groups=GROUPS).values():
        again = methods.rebuilt(decision.kind, decision.arrays(), 3)
        assert again.probabilities(members).tobytes() == decision.probabilities(members).tobytes()
        assert np.array_equal(again(members), decision(members))
        stored = np.array(json.loads(json.dumps(decision.thresholds.tolist())), np.float32)
        assert np.array_equal(thresholds.decide(decision.probabilities(members), stored), decision(members))


@pytest.mark.slow
@pytest.mark.parametrize("method", [*methods.WEIGHTINGS, *STACKERS])
@pytest.mark.usefixtures("small_stackers")
def test_arrays_of_another_blend_are_refused(method):
    decision = fitted(*made(), names=(method,), groups=GROUPS)[method, thresholds.ONE_THRESHOLD]
    kind, parts = decision.kind, decision.arrays()
    if len(parts) > 1:  # the plain means have no arrays of their own, and take any number of members
        with pytest.raises(ValueError, match=r"its arrays (are|do)"):
            methods.rebuilt(kind, parts, 2)
        with pytest.raises(ValueError, match=r"its arrays (are|do)"):
            methods.rebuilt(kind, {"thresholds": parts["thresholds"]}, 3)
    for spoilt in (
        {**parts, "thresholds": parts["thresholds"][:, np.newaxis]},
        {**parts, "thresholds": np.full(4, np.nan, np.float32)},
        {**parts, "other": np.zeros(3)},
        {name: array for name, array in parts.items() if name != "thresholds"},
    ):
        with pytest.raises(ValueError, match=r"its arrays (are|do)"):
            methods.rebuilt(kind, spoilt, 3)
    with pytest.raises(ValueError, match="its arrays are of no Pickle"):
        methods.rebuilt("Pickle", parts, 3)
    with pytest.raises(ValueError, match="thresholds are no numbers"):
        methods.rebuilt(kind, {**parts, "thresholds": np.array(["a", "b", "c", "d"])}, 3)


def test_a_group_weights_the_members_that_know_it():
    members, targets = made(members=2)
    members[0][:, 2:], members[1][:, :2] = 0.3, 0.3  # each knows nothing of the other's group
    weights = fitted(members, targets, groups=GROUPS)[methods.BY_GROUP, thresholds.HALF].blend.weights
    assert (weights[0, :2] > 0.5).all() and (weights[1, 2:] > 0.5).all()


@pytest.mark.parametrize("groups", [(), ("all",) * 4])
def test_without_several_groups_nothing_is_weighted_by_group(groups):
    assert not any(method == methods.BY_GROUP for method, _ in fitted(*made(), groups=groups))


@pytest.mark.slow
@pytest.mark.usefixtures("small_stackers")
def test_stackers_decide_by_thresholds_of_their_inner_folds():
    members, targets = made()
    decisions = fitted(members, targets, names=STACKERS, groups=GROUPS)
    for name in STACKERS:
        decision = decisions[name, thresholds.ONE_THRESHOLD]
        assert np.array_equal(decision.probabilities(members), decision.blend.predict(members))
        shared = thresholds.best_global(targets, decision.blend.out_of_fold)
        assert decision.thresholds.tolist() == [np.float32(shared)] * 4


@pytest.mark.slow
@pytest.mark.usefixtures("small_stackers")
def test_stackers_know_which_photos_are_equal(monkeypatch):
    members, targets = made()
    seen, plain = [], stacking.inner_folds
    for module in (linear, convolution, trees):
        monkeypatch.setattr(module, "inner_folds", lambda *given: seen.append(given[-1]) or plain(*given))
    keys = [row // 2 for row in range(len(targets))]
    fitted(members, targets, keys, names=STACKERS)
    assert seen == [keys] * 3


def test_a_recipe_may_name_what_stands_in_the_tables_and_is_told_the_nearest_else():
    methods.check(Ensemble())
    methods.check(Ensemble(methods=tuple(methods.METHODS), rules=tuple(thresholds.RULES)))
    with pytest.raises(InputError, match=r"ensemble\.methods is 'stacked forest'. Did you mean .*stacked trees"):
        methods.check(Ensemble(methods=("mean", "stacked forest")))
    with pytest.raises(InputError, match=r"ensemble\.rules is 'one global'. Did you mean one threshold"):
        methods.check(Ensemble(rules=("one global",)))


@pytest.mark.parametrize("broken", ["constant", "no positives", "one member", "nothing known", "hardly anything known"])
def test_what_teaches_nothing_is_survived(broken):
    members, targets = made()
    if broken == "constant":
        members[0] = 0.5
    if broken == "no positives":
        targets[:, 1] = 0
    if broken == "one member":
        members = members[:1]
    if broken.endswith("known"):  # of no photo, or of the first alone
        targets[1 if broken.startswith("hardly") else 0 :] = 255
    for decision in fitted(members, targets, names=Ensemble().methods, groups=GROUPS).values():
        assert set(np.unique(decision(members))) <= {0, 1}


def test_a_member_that_is_not_a_number_is_refused():
    members, targets = made()
    members[1, 3, 2] = np.nan
    with pytest.raises(InputError, match="found nan to nan in member 1"):
        fitted(members, targets)


def test_equal_members_give_equal_figures_by_every_mean():
    member, targets = made(members=1)
    members = np.repeat(member, 2, axis=0)
    decisions = fitted(members, targets)
    for rule in thresholds.RULES:
        decided = [decisions[method, rule](members) for method in (methods.MEAN, methods.HARMONIC)]
        assert np.array_equal(*decided)
        assert np.array_equal(decided[0], decisions[methods.BEST_SINGLE, rule](members))


def test_the_tables_can_be_read_without_loading_what_the_methods_use():
    heavy = "{'scipy', 'sklearn', 'keras', 'pyswarms'}"
    code = f"import sys; from mlob.ensemble import methods; print(*{heavy} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def uncertain():
    """Members, and targets of which some are unknown, those of some photos and of a whole label among them."""
    members, targets = made(labels=5)
    targets[np.random.default_rng(3).random(targets.shape) < 0.3] = 255
    targets[:5], targets[:, 4] = 255, 255
    return members, targets


@pytest.mark.slow
@pytest.mark.usefixtures("small_stackers")
def test_the_code_of_what_is_unknown_changes_no_byte_of_any_fit():
    members, targets = uncertain()
    one, other = (
        fitted(members, unknown.recoded(targets, code), names=tuple(methods.METHODS), groups=(*GROUPS, "cut"))
        for code in (2, 255)
    )
    assert len(one) == 1 + len(methods.METHODS) * len(thresholds.RULES)
    for name, decision in one.items():
        assert unknown.same_bytes(decision.arrays(), other[name].arrays())
        assert unknown.same_bytes(decision(members), other[name](members))


def test_what_members_say_of_unknown_targets_changes_no_weight_and_no_threshold_but_a_stackers():
    members, targets = uncertain()
    others = np.where(targets > 1, members[::-1], members)
    names = (methods.BEST_SINGLE, *methods.WEIGHTINGS)
    one, other = (fitted(some, targets, names=names, groups=(*GROUPS, "cut")) for some in (members, others))
    assert all(unknown.same_bytes(decision.arrays(), other[name].arrays()) for name, decision in one.items())


METRICS = {
    "macro_f1": Metric("macro_f1"),
    "image_f_beta": Metric("image_f_beta"),
    "mean_average_precision": Metric("mean_average_precision"),
    "top_1": Metric("top_1", group="colour"),
    "saved_cost": Metric("saved_cost", cost_false_negative=4),
    "recall_at_precision": Metric("recall_at_precision", wished=0.6),
    "precision_at_recall": Metric("precision_at_recall", wished=0.6),
}


def answered(measure, decision, members):
    return decision.probabilities(members) if measure.ranks else decision(members)


@pytest.mark.parametrize("name", METRICS)
def test_searches_are_not_worse_than_the_best_single_member_and_the_mean_by_the_metric_that_they_search_for(name):
    assert {*METRICS, "micro_f1"} == {*measures.METRICS}
    measure = measures.of(METRICS[name], GROUPS)
    members, targets = made()
    groups = measure.one_each(None, 4)
    names = (methods.MEAN, methods.PSO, methods.GREEDY, methods.CLIMBING)
    found = fitted(members, targets, names=names, measure=measure, one_each=groups)
    reached = {
        method: measure.aim.reached(targets, decision.probabilities(members)) for (method, _), decision in found.items()
    }
    plain = max(reached[method] for method in (methods.BEST_SINGLE, methods.MEAN))
    assert reached[methods.BEST_SINGLE] == max(measure.aim.reached(targets, member) for member in members)
    assert min(reached[method] for method in names[1:]) >= plain
    rules = [rule for method, rule in found if method == methods.MEAN]
    assert rules == methods.rules_of(measure, tuple(thresholds.RULES)) and measure.rule in rules
    assert len(rules) == 1 or not (measure.ranks or measure.likeliest or measure.left)


@pytest.mark.parametrize("name", METRICS)
def test_the_constant_answer_is_the_best_of_the_commonest_labels_by_the_metric(name):
    measure = measures.of(METRICS[name], GROUPS)
    members, targets = made(seed=4)
    targets[::2, 3] = 1
    answer = measures.best_constant(measure, targets)
    assert np.array_equal(methods.constant(members, targets, measure)(members), np.tile(answer, (len(targets), 1)))
    order = np.argsort(-targets.mean(axis=0), kind="stable")
    assert answer[order].tolist() == sorted(answer.tolist(), reverse=True)
    if not measure.ranks:
        every = [np.isin(np.arange(4), order[:count]).astype(np.uint8) for count in range(5)]
        scores = [measure.score(targets, np.tile(each, (len(targets), 1))) for each in every]
        assert measure.score(targets, np.tile(answer, (len(targets), 1))) == max(scores)


def test_where_a_metric_asks_for_the_likeliest_label_it_is_given():
    measure = measures.of(METRICS["top_1"], GROUPS)
    members, targets = made()
    decision = fitted(members, targets, measure=measure, one_each=measure.one_each(None, 4))[methods.MEAN, measure.rule]
    columns = list(measure.likeliest)
    assert (decision(members)[:, columns].sum(axis=1) == 1).all()
    assert measure.score(targets, decision(members)) == pytest.approx(
        measure.aim.reached(targets, decision.probabilities(members))
    )
