import importlib.util
import os
import pathlib
import socket
import subprocess
import sys

import pytest

from mlob import engine
from mlob.errors import InputError


def test_here_all_slices_go_to_the_work_at_once_and_counts_come_back():
    seen, counts = [], []

    def work(slices, advance):
        for one in slices:
            seen.append(one)
            advance(one)

    engine.here(work, [3, 1, 2], counts.append)
    assert seen == counts == [3, 1, 2]


def test_without_ray_its_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "mlob\[ray\]"'):
        engine.ray(lambda slices, advance: None, [1], print)


@pytest.mark.parametrize(
    "nodes, expected",
    [
        ([{"Alive": True, "Resources": {"CPU": 2.0}}], {"num_cpus": 1}),
        ([{"Alive": True, "Resources": {"CPU": 1.0}}], {"num_cpus": 1}),
        ([{"Alive": True, "Resources": {"CPU": 64.0}}, {"Alive": False, "Resources": {"CPU": 1.0}}], {"num_cpus": 4}),
        ([{"Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0}}], {"num_cpus": 4, "num_gpus": 1}),
    ],
)
def test_a_worker_leaves_processors_free_and_takes_one_gpu(nodes, expected):
    assert engine.worker_resources(nodes) == expected


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="Ray is an extra")
@pytest.mark.parametrize("address, told", [("nonsense", "Invalid address format"), ("{silent}", "no answer in 1 s")])
def test_a_cluster_that_does_not_answer_is_told_in_time(monkeypatch, address, told):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = address.format(silent=f"127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("RAY_ADDRESS", address)
        monkeypatch.setattr(engine, "ANSWER_SECONDS", 1 if ":" in address else 60)
        with pytest.raises(InputError, match=rf"No Ray cluster answers at RAY_ADDRESS={address}.*{told}"):
            engine.ray(lambda slices, advance: None, [1], print)


def test_the_time_that_a_cluster_has_to_answer_is_bounded():
    assert engine.ANSWER_SECONDS < 30


SCRIPT = """
import functools, os, pathlib, sys
from mlob import engine

def work(folder, slices, advance):
    for one in slices:
        attempt = folder / f"{one}.tried"
        if one == 2 and not attempt.exists():
            attempt.touch()
            os._exit(1)  # the worker dies in the middle of its slice
        (folder / str(one)).write_text(str(one))
        advance(10)

counts = []
engine.ray(functools.partial(work, pathlib.Path(sys.argv[1])), [1, 2, 3], counts.append)
print(counts)
"""


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="Ray is an extra")
def test_on_ray_every_slice_is_made_and_that_of_a_dead_worker_by_another(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    folder = tmp_path / "made"
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, script, folder]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("[10, 10, 10]")
    assert {path.name for path in pathlib.Path(folder).iterdir()} == {"1", "2", "2.tried", "3"}
