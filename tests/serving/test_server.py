"""The verb as users run it: an address is told, clients are served, Ctrl-C ends it; what is wrong is one sentence."""

import concurrent.futures
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import httpx2 as httpx
import pytest

from mlob.errors import InputError
from mlob.runs.labeller import Labeller
from mlob.serving import server


@pytest.fixture
def served(monkeypatch):
    """Runs of Uvicorn, which end at once: the options of each."""
    runs = []
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: runs.append(self.config))
    return runs


def test_a_folder_of_runs_is_served_on_loopback_and_told(colours, command, served, tmp_path):
    status, told = command(tmp_path, "serve", colours, "--port", 0)
    assert status == 0 and re.search(r"^serve: http://127\.0\.0\.1:\d+ \(Ctrl-C stops it\)$", told, re.MULTILINE)
    assert "password" not in told and len(served) == 1 and not served[0].access_log


def test_an_address_that_others_reach_is_told(colours, command, served, tmp_path):
    status, told = command(tmp_path, "serve", colours, "--port", 0, "--host", "0.0.0.0", "--verbose")
    assert status == 0 and "whoever reaches this machine can use it: there is no password" in told
    assert served[0].access_log


def test_a_dry_run_tells_the_address_and_loads_nothing(colours, command, served, tmp_path, monkeypatch):
    monkeypatch.setattr(Labeller, "load", lambda *_: 1 / 0)
    status, told = command(tmp_path, "serve", colours, "--port", 0, "--dry-run")
    assert status == 0 and re.search(rf"serve: {colours} at http://127\.0\.0\.1:\d+$", told) and not served


def test_a_port_in_use_is_told_before_anything_long(colours, command, tmp_path, monkeypatch):
    monkeypatch.setattr(Labeller, "load", lambda *_: 1 / 0)
    with server.listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        status, told = command(tmp_path, "serve", colours, "--port", port)
    assert (status, told) == (
        2,
        f"mlob: Port {port} of 127.0.0.1 is in use: stop what listens there, or name another with --port.\n",
    )


@pytest.mark.parametrize(
    ("host", "message"),
    [("nowhere.invalid", r"--host nowhere\.invalid: .*Expected an address of"), ("192.0.2.1", "cannot be had")],
)
def test_a_host_that_is_not_this_machine_is_refused(host, message):
    with pytest.raises(InputError, match=message):
        server.listening(host, 0)


def test_the_address_of_a_host_of_six_is_one_that_a_browser_takes():
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        listener = server.listening("::1", 0)
    except InputError:
        pytest.skip("this machine has no IPv6 loopback")
    with listener:
        assert re.fullmatch(r"http://\[::1\]:\d+", server.address(listener))


def test_an_ensemble_that_reads_more_than_photos_is_refused(colours, command, tmp_path, monkeypatch):
    monkeypatch.setattr(Labeller, "beside", ["words"])
    status, told = command(tmp_path, "serve", colours, "--port", 0)
    assert status == 2 and "reads what stands beside photos (words), which the page cannot give" in told


def test_missing_packages_are_told_with_the_command_that_installs_them(colours, command, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "PACKAGES", (*server.PACKAGES, "no_such_package"))
    status, told = command(tmp_path, "serve", colours)
    assert (status, told) == (2, 'mlob: mlob serve needs packages that are not installed: pip install "mlob[serve]".\n')


def test_a_folder_without_an_ensemble_is_refused(command, tmp_path):
    status, told = command(tmp_path, "serve", tmp_path, "--port", 0)
    assert status == 2 and "holds no ensemble: expected a folder of runs" in told and "Traceback" not in told


@pytest.mark.slow
def test_ten_clients_are_answered_until_ctrl_c_which_ends_it_with_130(colours, painted, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLOB_")}
    environment["PYTHONPATH"] = str(pathlib.Path(server.__file__).parents[2])
    command = [sys.executable, "-m", "mlob", "serve", str(colours), "--port", "0"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as job:
        try:
            address = next(found[1] for found in (re.match(r"serve: (http\S+)", line) for line in job.stderr) if found)
            answer_ten(address, painted)
        finally:
            job.send_signal(signal.SIGINT)
            told = job.stderr.read()
    assert job.returncode == 130 and "mlob: stopped" in told and "Traceback" not in told
    assert not [*tmp_path.iterdir()]


def answer_ten(address, painted):
    """Post fifty photos from ten clients: each gets his own answer; one sends too much in between."""

    def ask(red):
        with httpx.Client(timeout=60, trust_env=False) as client:
            answer = client.post(f"{address}/label", files={"files": (f"{red}.png", painted(red))}).json()
        (photo,) = answer["photos"]
        return photo["photo"], {label["name"]: label["probability"] for label in photo["labels"] + photo["others"]}

    with concurrent.futures.ThreadPoolExecutor(10) as clients:
        large = clients.submit(too_large, address)
        for red, (name, found) in zip(range(0, 250, 5), clients.map(ask, range(0, 250, 5)), strict=True):
            assert name == f"{red}.png" and found["red"] == pytest.approx(red / 255, abs=2e-3)
        assert large.result() in (413, None)


def too_large(address):
    """Post more than is allowed: the status, or None where the connection was cut before it was read."""
    try:
        return httpx.post(
            f"{address}/label", files={"files": bytes(65_000_000)}, timeout=60, trust_env=False
        ).status_code
    except httpx.TransportError:
        return None
