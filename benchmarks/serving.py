"""`mlob serve` on loopback: how many requests are lost, photos a second, and how long a client waits.

    python -m benchmarks.serving --suite demo

starts the server in a process of its own, and asks it from several clients, one photo a request, on connections that
stay open. Each answer has to be the one that its photo got when it was asked about alone. Beside it, what a call of
`mlob.Labeller` takes in this process. Server and clients share the processor.
"""

import concurrent.futures
import contextlib
import dataclasses
import http.client
import itertools
import json
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import click
import numpy as np

import mlob
from mlob import machine, predicting
from mlob.data import images
from mlob.workspace import Workspace

TOLERANCE = 2e-3  # of probabilities: a batch of another size adds up in another order
CALLS = 15  # of the labeller, whose median counts
SIZES = (1, 2, 4, 8, 16)  # photos in a call
HEAD = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%d"\r\n\r\n'
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


@dataclasses.dataclass(frozen=True)
class Load:
    """What so many clients met.

    Attributes:
        clients: at once.
        seconds: of each request that was answered rightly.
        lost: requests without an answer, or with another photo's.
        wall: seconds from the first request to the last answer.
    """

    clients: int
    seconds: list[float]
    lost: int
    wall: float

    def row(self) -> str:
        """Give the row of the table."""
        median, last = (1000 * np.quantile(self.seconds, share) for share in (0.5, 0.99))
        asked, rate = len(self.seconds) + self.lost, len(self.seconds) / self.wall
        return (
            f"| {self.clients} | {asked:,} | {self.lost:,} | {rate:.1f} | {median:,.0f} | {last:,.0f} | "
            f"{1000 * max(self.seconds):,.0f} |"
        )


@contextlib.contextmanager
def served(folder: pathlib.Path) -> Iterator[str]:
    """Serve a folder of runs from a process of its own; give host and port."""
    command = [sys.executable, "-m", "mlob", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        try:
            said = (re.match(r"serve: http://(\S+)", line) for line in server.stderr)
            yield next(found[1] for found in said if found)
        finally:
            ended = server.poll()
            server.send_signal(signal.SIGINT)
            told = server.stderr.read()
            if ended is not None:
                print(f"The server ended by itself, status {ended}: {told}", file=sys.stderr)


def ask(connection: http.client.HTTPConnection, number: int, photo: bytes) -> dict:
    """Post one photo under a number; give its answer, {} where there is none."""
    connection.request("POST", "/label", HEAD % number + photo + b"\r\n--x--\r\n", FORM)
    response = connection.getresponse()
    said = json.loads(response.read())
    return said["photos"][0] if response.status == 200 else {}


def probabilities(answer: dict) -> dict[str, float]:
    """Give the probability of each label, {group and name: probability}."""
    return {f"{each['group']}: {each['name']}": each["probability"] for each in answer["labels"] + answer["others"]}


def is_right(answer: dict, number: int, alone: dict) -> bool:
    """Whether an answer is that on the photo of a number, which got another one when it was asked about alone."""
    if answer.get("photo") != str(number) or answer["failure"] != alone["failure"]:
        return False
    found, expected = probabilities(answer), probabilities(alone)
    return found.keys() == expected.keys() and all(abs(found[name] - expected[name]) < TOLERANCE for name in found)


def load(address: str, photos: Sequence[bytes], clients: int, requests: int) -> Load:
    """Ask about photos from clients at once, in turn: client 2 of 8 asks number 2, 10, 18 and so on."""
    with contextlib.closing(http.client.HTTPConnection(address)) as connection:
        alone = [ask(connection, number, photo) for number, photo in enumerate(photos)]

    def client(first: int) -> list[float | None]:
        seconds: list[float | None] = []
        with contextlib.closing(http.client.HTTPConnection(address)) as connection:
            for number in range(first, requests, clients):
                row, started = number % len(photos), time.monotonic()
                try:
                    answer = ask(connection, row, photos[row])
                except (OSError, http.client.HTTPException):
                    answer = {}
                took = time.monotonic() - started
                seconds.append(took if is_right(answer, row, alone[row]) else None)
        return seconds

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        started = time.monotonic()
        found = list(itertools.chain.from_iterable(pool.map(client, range(clients))))
    answered = [took for took in found if took is not None]
    return Load(clients, answered, len(found) - len(answered), time.monotonic() - started)


def calls(labeller: mlob.Labeller, photos: Sequence[bytes]) -> list[str]:
    """Give the rows of the table of calls: photos in a call, and its median milliseconds."""
    rows = []
    for size in SIZES:
        seconds = []
        for start in range(CALLS + 1):
            some, started = [photos[(start + place) % len(photos)] for place in range(size)], time.monotonic()
            labeller.predict_proba(some)
            seconds.append(time.monotonic() - started)
        rows.append(f"| {size} | {1000 * statistics.median(seconds[1:]):,.0f} |")
    return rows


def readable(places: Sequence, most: int = 64) -> list[bytes]:
    """Read the first photos that can be decoded."""
    found = []
    for place in places:
        with contextlib.suppress(images.Unreadable):
            data = images.content(place)
            images.decode(data, 32)
            found.append(data)
    return found[:most]


@click.command()
@click.option("--suite", default="demo", show_default=True, help="A folder of experiments/, whose ensemble is there.")
@click.option("--data", metavar="FOLDER", help="Data folder, instead of the suite's own.")
@click.option("--weights", metavar="PATH", help="Weights file, or a folder of them.")
@click.option("--clients", default="1,8", show_default=True, help="Clients at once.")
@click.option("--requests", default=1000, show_default=True, help="Requests of all clients together.")
def main(suite: str, data: str | None, weights: str | None, clients: str, requests: int) -> None:
    """Print the tables."""
    work = predicting.as_found(Workspace(suite, data, weights))
    photos = readable(work.dataset.photos("test"))
    print(f"# Serving\n\n`python -m benchmarks.serving --suite {suite}`, {machine.processor()}\n")
    print("| clients | requests | lost | photos/s | median ms | 99th percentile ms | longest ms |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with served(work.runs) as address:
        load(address, photos, 8, 32)  # the first photos warm it
        for count in map(int, clients.split(",")):
            print(load(address, photos, count, requests).row(), flush=True)
    print("\n`mlob.Labeller.predict_proba`, called from Python:\n\n| photos in a call | ms |\n| ---: | ---: |")
    print("\n".join(calls(mlob.Labeller.load(work.runs, weights), photos)))


if __name__ == "__main__":
    main()
