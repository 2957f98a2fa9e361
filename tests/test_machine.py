"""What the machine is asked for is there, or told."""

import os
import subprocess
import sys

import pytest

from mlob import machine
from mlob.errors import InputError


@pytest.mark.parametrize("text, threads", [("2", 2), (" 16 ", 16), ("4,2,1", 4), ("", None)])
def test_threads_are_the_first_number_that_openmp_is_given(monkeypatch, text, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert machine.omp_threads() == threads


@pytest.mark.parametrize("text", ["x", "0", "-1", "1.5", "2;3", "9" * 5000, "٣"])
def test_threads_that_are_no_number_are_refused(monkeypatch, text):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    with pytest.raises(InputError, match="OMP_NUM_THREADS: expected a number of threads"):
        machine.omp_threads()


LOAD = """
from mlob import machine
from mlob.errors import InputError
try:
    machine.load_keras()
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("backend", ["tensorflw", "numpy", "../os"])
def test_a_backend_of_keras_that_trains_nothing_is_refused(backend, tmp_path):
    environment = {**os.environ, "KERAS_BACKEND": backend, "KERAS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"KERAS_BACKEND={backend} does not load")
    assert "expected tensorflow, jax, torch" in done.stdout
