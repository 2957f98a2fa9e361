import json

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import ensembling
from mlob.ensemble import fitness
from mlob.metrics import highest_micro_f1

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
