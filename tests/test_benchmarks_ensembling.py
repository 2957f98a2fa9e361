import json

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import ensembling, optimism
from mlob.ensemble import fitness
from mlob.ensemble.thresholds import CALIBRATED, ONE_THRESHOLD
from mlob.metrics import highest_micro_f1, micro_f1

KEYS = ["threshold_seconds", "threshold_ratio", "fitness_ratio", "pso_seconds", "peak_rss_mb"]


@pytest.fixture(scope="module")
def case():
    return ensembling.draw(60)


def test_members_agree_more_than_by_the_targets_alone_and_their_mean_is_better_than_each(case):
    members, targets = case
    assert members.shape == (11, 60, 228) and members.dtype == np.float32 and targets.dtype == np.uint8
    wrong = (members - targets).reshape(11, -1)
    assert np.corrcoef(wrong)[0, 1:].min() > 0.5
    assert highest_micro_f1(targets, members.mean(axis=0)) > max(highest_micro_f1(targets, one) for one in members)


def test_the_loop_gives_the_fitness_of_the_swarm(case):
    weights = np.random.default_rng(0).dirichlet(np.ones(11), 3)
    assert ensembling.looped(*case, weights) == pytest.approx(fitness.approximate(*case)(weights), abs=1e-3)


def test_mlobs_search_is_by_accuracy(case):
    members, targets = case
    chosen = ensembling.mlobs_search(targets[:, :3], members[0][:, :3])
    for column, threshold in enumerate(chosen):
        found = [np.mean(targets[:, column] == (members[0][:, column] >= point)) for point in np.linspace(0, 1, 50)]
        assert threshold == np.linspace(0, 1, 50)[int(np.argmax(found))]


def test_the_summary_has_the_keys_that_scripts_read_and_ratios_above_one_mean_faster():
    found = {kind: {"seconds": rank, "peak_rss_mb": 100 + rank} for rank, kind in enumerate(ensembling.KINDS, 1)}
    summary = ensembling.summary(found)
    assert list(summary) == KEYS
    assert (summary["threshold_ratio"], summary["fitness_ratio"], summary["peak_rss_mb"]) == (2, 1.3, 105)


def test_each_measurement_is_a_process_of_its_own_and_the_last_line_is_json(monkeypatch):
    started = []

    def run(command, **_):
        started.append(command[-1])
        return type("Done", (), {"stdout": '{"seconds": 2, "peak_rss_mb": 50}\n'})

    monkeypatch.setattr(ensembling.subprocess, "run", run)
    printed = CliRunner().invoke(ensembling.main, ["--photos", "20"], catch_exceptions=False).stdout
    assert started == list(ensembling.KINDS)
    assert list(json.loads(printed.splitlines()[-1])) == KEYS and "20 photos" in printed


def test_a_measurement_gives_seconds_and_memory():
    printed = CliRunner().invoke(ensembling.main, ["--photos", "20", "--only", "exact_thresholds"]).stdout
    assert json.loads(printed).keys() == {"seconds", "peak_rss_mb"}


@pytest.fixture
def _small(monkeypatch):
    for name, value in {"UNSEEN": 300, "LABELS": 6, "MEMBERS": 2, "GROUPS": 2}.items():
        monkeypatch.setattr(optimism, name, value)


@pytest.mark.usefixtures("_small")
def test_a_repeat_judges_every_method_and_a_rerun_gives_the_same():
    found = optimism.repeat(60, 0)
    names = {
        ("mean", CALIBRATED),
        ("mean", "shrunk thresholds"),
        ("log-loss weights per group", ONE_THRESHOLD),
        optimism.CHOSEN,
    }
    assert names <= set(found) and found == optimism.repeat(60, 0) != optimism.repeat(60, 1)
    for truth, in_sample, cross_fitted, low, high in found.values():
        assert 0 <= truth <= 1 and 0 <= in_sample <= 1 and low <= cross_fitted <= high


@pytest.mark.usefixtures("_small")
def test_the_truth_is_what_targets_drawn_again_and_again_give():
    generator = np.random.default_rng(0)
    chances, _, _ = optimism.draw(optimism.world(generator, "alike"), 3000, generator)
    decided = (chances > 0.3).astype(np.uint8)
    drawn = [micro_f1(generator.random(chances.shape) < chances, decided) for _ in range(20)]
    assert optimism.true_f1(chances, decided) == pytest.approx(np.mean(drawn), abs=0.003)


@pytest.mark.usefixtures("_small")
def test_chances_are_those_that_targets_are_drawn_from():
    generator = np.random.default_rng(0)
    chances, targets, members = optimism.draw(optimism.world(generator, "shifted"), 20_000, generator)
    assert targets.mean(axis=0) == pytest.approx(chances.mean(axis=0), abs=0.015)
    assert members.shape == (2, 20_000, 6) and members.dtype == np.float32


def figures(truth, low, high):
    return np.array([[truth, truth + 0.02, truth + 0.01, low, high]] * 4)


def test_the_summary_takes_the_worst_blend_and_counts_intervals():
    found = {
        (blend, rule): figures(0.5 + less * (rule == CALIBRATED), 0.4, 0.505)
        for blend, less in {"mean": 0.01, "PSO": -0.002}.items()
        for rule in (ONE_THRESHOLD, CALIBRATED)
    }
    assert optimism.summary({300: found}) == {"default_less_global": {"300": -0.002}, "intervals_that_hold": 0.75}
    rows = optimism.table(found).splitlines()[2:]
    assert rows[0] == "| mean | calibrated thresholds | 0.5100 | +0.0100 | +0.0100 | +0.0200 | +0.0100 | 0% |"


@pytest.mark.usefixtures("_small")
def test_the_report_has_a_table_a_size_and_ends_in_json(monkeypatch):
    class Here:
        def __init__(self, _): ...
        def __enter__(self):
            return self

        def __exit__(self, *_): ...

        map = staticmethod(map)

    monkeypatch.setattr(optimism.concurrent.futures, "ProcessPoolExecutor", Here)
    arguments = ["--sizes", "40,60", "--repeats", "2"]
    printed = CliRunner().invoke(optimism.main, arguments, catch_exceptions=False).stdout
    assert printed.count("validation photos") == 2
    assert json.loads(printed.splitlines()[-1]).keys() == {"default_less_global", "intervals_that_hold"}
