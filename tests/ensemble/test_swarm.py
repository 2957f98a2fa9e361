import functools
import logging
import os
import subprocess
import sys

import numpy as np
import pytest

from mlob.ensemble import fitness, swarm
from mlob.ensemble.blend import arithmetic
from mlob.ensemble.thresholds import best_global, decide
from mlob.errors import InputError
from mlob.metrics import micro_f1

SETTINGS = {"particles": 12, "iterations": 15, "patience": 5, "seed": 3}


@pytest.fixture(scope="module")
def made(members_of):
    return functools.partial(members_of, photos=150, labels=6)


def exact(members, targets, weights):
    blended = arithmetic(members, weights)
    return micro_f1(targets, decide(blended, best_global(targets, blended)))


@pytest.mark.parametrize("seed", range(4))
def test_it_is_never_worse_than_the_mean_and_the_members_on_its_photos(seed, made):
    members, targets = made([2, 1, 0.5], seed=seed)
    found = swarm.search(members, targets, **SETTINGS)
    assert found.reached == exact(members, targets, found.weights)
    for weights in ([1, 1, 1], *np.eye(3)):
        assert found.reached >= exact(members, targets, weights)


def test_nor_is_it_where_the_histogram_misleads_the_swarm(monkeypatch, made):
    monkeypatch.setattr(fitness, "BINS", 1)  # one threshold, at 1: every blend looks alike
    members, targets = made([0, 6, 0])
    assert swarm.search(members, targets, **SETTINGS).weights.tolist() == [0, 1, 0]


def test_it_beats_the_mean_and_the_members_where_a_better_blend_exists(made):
    members, targets = made([2, 2, 0, 0, 0], photos=400)
    found = swarm.search(members, targets, **SETTINGS)
    assert found.reached > max(exact(members, targets, weights) for weights in (np.ones(5), *np.eye(5)))
    assert found.weights[:2].sum() > 0.8


def test_it_finds_the_good_member_among_noise(made):
    members, targets = made([0, 6, 0])
    assert swarm.search(members, targets, **SETTINGS).weights.argmax() == 1


@pytest.mark.parametrize("strengths", [[1], [2, 1], [1, 1, 1, 1]])
def test_weights_lie_on_the_simplex(strengths, made):
    weights = swarm.search(*made(strengths), **SETTINGS).weights
    assert weights.shape == (len(strengths),) and weights.dtype == np.float64
    assert (weights >= 0).all() and weights.sum() == pytest.approx(1)


def test_equal_seeds_give_equal_bytes_and_another_seed_another_way(made):
    members, targets = made([2, 1, 0.5])
    first = swarm.search(members, targets, **SETTINGS)
    np.random.random()  # another global state
    again = swarm.search(members, targets, **SETTINGS)
    assert first.weights.tobytes() == again.weights.tobytes() and first.history == again.history
    other = swarm.search(members, targets, **{**SETTINGS, "seed": 4})
    assert other.weights.tobytes() != first.weights.tobytes()


def test_numpys_global_random_state_is_left_alone(made):
    members, targets = made([2, 1])
    np.random.seed(11)
    expected = np.random.random()
    np.random.seed(11)
    swarm.search(members, targets, **SETTINGS)
    assert np.random.random() == expected


def test_the_best_so_far_never_falls_and_patience_ends_the_search(made):
    members, targets = made([2, 1, 0.5])
    history = swarm.search(members, targets, **{**SETTINGS, "iterations": 300}).history
    assert history == sorted(history) and all(0 <= best <= 1 for best in history)
    assert 5 < len(history) < 300 and len(set(history[-6:])) == 1  # five iterations without a gain


def test_labels_without_positives_and_members_of_zeros_are_no_trouble():
    members = np.zeros((2, 5, 3), np.float32)
    found = swarm.search(members, np.zeros((5, 3), np.uint8), **SETTINGS)
    assert found.reached == 0 and found.weights.sum() == pytest.approx(1)


def test_the_corner_where_all_is_0_stands_for_equal_weights():
    assert swarm.to_simplex(np.array([[0.0, 0.0], [1.0, 3.0]])).tolist() == [[0.5, 0.5], [0.25, 0.75]]


@pytest.mark.parametrize("wrong", [np.nan, -0.5, 1.5, np.inf])
def test_what_is_no_probability_is_refused(wrong, made):
    members, targets = made([1, 1])
    members[1, 2, 3] = wrong
    with pytest.raises(InputError, match=r"must lie in \[0, 1\]"):
        swarm.search(members, targets, **SETTINGS)


def test_a_swarm_too_small_for_its_start_is_refused(made):
    with pytest.raises(InputError, match="at least 3 particles"):
        swarm.search(*made([1, 1]), **{**SETTINGS, "particles": 2})


def test_the_coefficients_move_the_swarm(made):
    members, targets = made([2, 1, 0.5])
    first = swarm.search(members, targets, **SETTINGS)
    same = swarm.search(members, targets, **SETTINGS, inertia=0.7298, cognitive=1.49618, social=1.49618)
    assert first.history == same.history
    for name in ("inertia", "cognitive", "social"):
        other = swarm.search(members, targets, **SETTINGS, **{name: 0.1})
        assert (other.history, other.weights.tolist()) != (first.history, first.weights.tolist())


QUIET = """
import logging, os, sys
import numpy as np
kept = logging.FileHandler(sys.argv[1])
kept.setLevel(logging.ERROR)
logging.getLogger().addHandler(kept)
environment = dict(os.environ)
from mlob.ensemble import fitness, swarm
members = np.random.default_rng(0).random((2, 20, 3), dtype=np.float32)
swarm.search(members, (members[0] > 0.5).astype(np.uint8), particles=5, iterations=3, patience=5, seed=0)
assert "pyswarms" in sys.modules
assert logging.getLogger().handlers == [kept] and logging.getLogger().level == logging.WARNING
assert dict(os.environ) == environment
logging.config.dictConfig({"version": 1, "root": {"level": "DEBUG"}})
assert logging.getLogger().level == logging.DEBUG
"""


def test_a_first_search_in_a_fresh_process_logs_prints_and_writes_nothing(tmp_path):
    working, log = tmp_path / "working", tmp_path / "log"
    working.mkdir()
    working.chmod(0o500)
    done = _in_fresh_process(QUIET, str(log), cwd=working)
    working.chmod(0o700)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(working.iterdir()) and log.read_text() == ""


def test_importing_the_module_does_not_import_pyswarms(tmp_path):
    code = "import sys, mlob.ensemble.swarm; assert 'pyswarms' not in sys.modules"
    done = _in_fresh_process(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def _in_fresh_process(code, *arguments, cwd):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(swarm.__file__))))
    environment = {**os.environ, "PYTHONPATH": root}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_root_logger_is_left_alone_here(made):
    before = (list(logging.getLogger().handlers), logging.getLogger().level)
    swarm.search(*made([2, 1]), **SETTINGS)
    assert (list(logging.getLogger().handlers), logging.getLogger().level) == before
