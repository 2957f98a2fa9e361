import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from mlob.errors import InputError
from mlob.features import decoding

BOTH = pytest.mark.parametrize("decode", [decoding.in_threads, decoding.in_processes])
VIEWS = frozenset({"whole", "flip"})


@BOTH
def test_photos_come_in_order_with_their_digest_views_or_reason(decode, photos):
    places = [*photos.photos("train"), None, *photos.photos("test")]
    found = list(decode(iter(places), 32, VIEWS, len(places), 2))
    for place, one in zip(places, found, strict=True):
        expected = decoding.photo(place, 32, VIEWS)
        assert (one.digest, one.reason, one.inset) == (expected.digest, expected.reason, expected.inset)
        assert set(one.views) == set(expected.views)
        assert all(np.array_equal(one.views[name], expected.views[name]) for name in expected.views)
    assert found[len(photos.photos("train"))].reason == "no file"


def test_pixels_stay_until_three_times_as_many_photos_as_wait_were_asked_for(photos, monkeypatch):
    ahead, places = 2 * decoding.GROUP, [*photos.photos("train")] * 12
    expected = {place: decoding.photo(place, 16).views["whole"] for place in set(places)}
    kept = []
    for place, one in zip(places, decoding.in_processes(places, 16, {"whole"}, ahead, 2), strict=True):
        kept = [*kept, (place, one)][-3 * ahead :]
        assert all(np.array_equal(held.views["whole"], expected[name]) for name, held in (kept[0], kept[-1]))


def test_a_decoding_process_that_is_killed_is_told(photos, monkeypatch):
    def started(*arguments, make=concurrent.futures.ProcessPoolExecutor):
        pool = make(*arguments)
        threading.Thread(target=kill, args=(pool,)).start()
        return pool

    def kill(pool):
        while not pool._processes:
            time.sleep(0.01)
        os.kill(next(iter(pool._processes)), signal.SIGKILL)

    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", started)
    with pytest.raises(InputError, match=r"was killed.*memory"):
        list(decoding.in_processes([*photos.photos("train")] * 99, 16, {"whole"}, 16, 1))


ORPHANS = """
import pathlib, sys, time
from mlob.features import decoding

if __name__ == "__main__":
    for one in decoding.in_processes([pathlib.Path(sys.argv[1])] * 640, 16, {"whole"}, 32, 2):
        print("decoded", flush=True)
        time.sleep(60)
"""


def test_no_decoding_process_outlives_a_parent_that_was_killed(photos, tmp_path):
    script = tmp_path / "job.py"
    script.write_text(ORPHANS)
    command = [sys.executable, script, str(next(iter(photos.photos("train"))))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "decoded\n"
        workers = _below(process.pid)
        process.kill()
    assert len(workers) >= 2
    for _ in range(200):
        if not any(pathlib.Path(f"/proc/{worker}").exists() for worker in workers):
            return
        time.sleep(0.05)
    pytest.fail("a decoding process is left behind")


def _below(parent):
    """The processes below one."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has just ended
    below = {parent}
    for _ in range(4):
        below |= {child for child, above in parents.items() if above in below}
    return below - {parent}
