import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import optimism
from mlob.ensemble.thresholds import CALIBRATED, HALF, ONE_THRESHOLD
from mlob.evaluation import choice
from mlob.evaluation.crossfit import folds
from mlob.metrics import micro_f1


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    for name, value in {"POINTS": 512, "OTHERS": 60, "LABELS": 6, "MEMBERS": 2, "GROUPS": 2}.items():
        monkeypatch.setattr(optimism, name, value)


def drawn(kind, photos, seed=0):
    generator = np.random.default_rng(seed)
    world = optimism.world(generator, kind)
    return world, *optimism.draw(world, photos, generator)


def test_a_repeat_judges_every_method_and_a_rerun_gives_the_same():
    found = optimism.repeat(60, 0)
    names = {
        ("mean", CALIBRATED),
        ("mean", "shrunk thresholds"),
        ("log-loss weights per group", ONE_THRESHOLD),
        optimism.FIXED,
        optimism.HEADLINE,
        optimism.HIGHEST,
    }
    assert names <= set(found) and found == optimism.repeat(60, 0) != optimism.repeat(60, 1)
    for truth, in_sample, cross_fitted, low, high, control in found.values():
        assert 0 <= truth <= 1 and 0 <= in_sample <= 1 and low <= cross_fitted <= high and abs(control) < 0.2


def test_the_headline_is_nested_and_the_highest_is_not_and_rules_that_no_suite_has_by_default_do_not_stand():
    _, _, targets, members = drawn("shifted", 80)
    fitted, decided = optimism.judged(members, targets, 3)
    judging = dataclasses.replace(optimism.RECIPE.judging, seed=3)
    fold = folds(targets, judging.folds, seed=3)
    standing = {name: own for name, own in decided.items() if name[1] in (*optimism.RECIPE.rules, "commonest labels")}
    assert len(decided) - len(standing) == len(optimism.FURTHER) + 2
    candidates = choice.Candidates(targets, standing, fold)
    names = choice.nested(candidates, judging)
    assert np.array_equal(decided[optimism.HEADLINE], choice.taken(candidates, names))
    figures = {name: micro_f1(targets, own) for name, own in standing.items()}
    assert micro_f1(targets, decided[optimism.HIGHEST]) == max(figures.values())
    assert fitted[optimism.HIGHEST] is fitted[max(figures, key=lambda name: figures[name])]


def test_the_truth_is_what_targets_drawn_again_and_again_give():
    _, chances, _, _ = drawn("alike", 3000)
    generator, decided = np.random.default_rng(1), (chances > 0.3).astype(np.uint8)
    again = [micro_f1(generator.random(chances.shape) < chances, decided) for _ in range(20)]
    assert optimism.true_f1(chances, decided) == pytest.approx(np.mean(again), abs=0.003)


def test_chances_are_those_that_targets_are_drawn_from():
    _, chances, targets, members = drawn("shifted", 20_000)
    assert targets.mean(axis=0) == pytest.approx(chances.mean(axis=0), abs=0.015)
    assert members.shape == (2, 20_000, 6) and members.dtype == np.float32


@pytest.mark.parametrize("kind", optimism.KINDS)
def test_spread_points_are_of_the_world_that_photos_are_drawn_from_and_tell_more(kind, monkeypatch):
    """The truth of a decision is the same over both, and varies less over as many points as over photos."""
    monkeypatch.setattr(optimism, "OTHERS", 500)
    world, _, targets, members = drawn(kind, 500)
    decision = optimism.fixed(targets, members)
    truths = {"drawn": [], "spread": []}
    for seed in range(30):
        chances, _, photos = optimism.draw(world, 512, np.random.default_rng(seed))
        truths["drawn"].append(optimism.true_f1(chances, decision(photos)))
        chances, points = optimism.spread(world, 512, np.random.default_rng(seed))
        truths["spread"].append(optimism.true_f1(chances, decision(points)))
    deviation = {name: np.std(found) for name, found in truths.items()}
    assert deviation["spread"] < deviation["drawn"] / 1.5
    assert np.mean(truths["drawn"]) == pytest.approx(np.mean(truths["spread"]), abs=4 * deviation["drawn"] / 30**0.5)


def test_the_control_is_nearly_the_error_of_photos_and_0_in_expectation():
    world, _, targets, members = drawn("shifted", 500)
    decision = optimism.fixed(targets, members)
    chances, points = optimism.spread(world, 2**13, np.random.default_rng(0))
    truth, found = optimism.true_f1(chances, decision(points)), []
    for seed in range(200):
        _, targets, members = optimism.draw(world, 100, np.random.default_rng((seed, 1)))
        control = optimism.linear_error(decision, targets, members, chances, points)
        found.append((control, micro_f1(targets, decision(members)) - truth))
    controls, errors = np.transpose(found)
    assert abs(controls.mean()) < 3 * controls.std() / 200**0.5
    assert np.corrcoef(controls, errors)[0, 1] > 0.98 and (errors - controls).std() < 0.2 * errors.std()


def figures(truth, low, high, control=0.0):
    return np.array([[truth, truth + 0.02, truth + 0.01, low, high, control]] * 4)


def test_the_summary_takes_the_worst_blend_counts_intervals_and_tells_of_the_headline():
    found = {
        (blend, rule): figures(0.5 + less * (rule == CALIBRATED), 0.4, 0.505)
        for blend, less in {"mean": 0.01, "PSO": -0.002}.items()
        for rule in (ONE_THRESHOLD, CALIBRATED)
    }
    found |= {optimism.HEADLINE: figures(0.5, 0.4, 0.6, 0.0095), optimism.HIGHEST: figures(0.5, 0.51, 0.6)}
    found |= {optimism.FIXED: figures(0.5, 0.4, 0.6), (optimism.FIXED[0], ONE_THRESHOLD): figures(0.4, 0.3, 0.5)}
    told = optimism.summary({300: found})
    assert told["default_less_global"] == {"300": -0.002} and told["intervals_that_hold"] == 0.75
    assert told["the headline"]["300"] == {"error": 0.0005, "standard_error": 0.0, "intervals_that_hold": 1.0}
    assert told["the highest of all"]["300"]["error"] == 0.01
    assert told["the highest of all"]["300"]["intervals_that_hold"] == 0
    rows = optimism.table(found).splitlines()[2:]
    assert rows[0] == "| mean | calibrated thresholds | 0.5100 | +0.0100 | +0.0100 | +0.0200 | +0.0100 | 0.0000 | 0% |"


def test_half_of_a_known_error_is_told_apart_from_none():
    """What the control says is subtracted, photo set by photo set: the standard error shrinks with it."""
    noise = np.array([-0.02, 0.02, -0.01, 0.01])
    own = figures(0.5, 0.4, 0.6)
    own[:, optimism.FIELDS.index("cross-fitted")] = 0.503 + noise
    assert optimism.error(own)[0] == pytest.approx(0.003) and optimism.error(own)[1] > 0.008
    own[:, optimism.FIELDS.index("control")] = noise
    assert optimism.error(own) == pytest.approx((0.003, 0.0))


def test_the_report_has_the_headline_first_then_a_table_a_size_and_ends_in_json(monkeypatch):
    class Here:
        def __init__(self, _): ...
        def __enter__(self):
            return self

        def __exit__(self, *_): ...

        map = staticmethod(map)

    monkeypatch.setattr(optimism.concurrent.futures, "ProcessPoolExecutor", Here)
    arguments = ["--sizes", "40,60", "--repeats", "2"]
    printed = CliRunner().invoke(optimism.main, arguments, catch_exceptions=False).stdout
    assert printed.count("validation photos") == 2 and printed.index("the headline") < printed.index("## 40 validation")
    assert (
        printed.count("| **the headline** | chosen |") == 2 == printed.count("| the headline |")
        and f"| mean | {HALF} |" in printed
    )
    told = json.loads(printed.splitlines()[-1])
    assert told.keys() == {*optimism.TOLD.values(), "default_less_global", "intervals_that_hold"}
    assert told["the headline"].keys() == {"40", "60"}
