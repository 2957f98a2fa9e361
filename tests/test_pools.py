import concurrent.futures
import threading

import pytest

from mlob import pools


@pytest.mark.parametrize("ahead", [1, 4, 100])
def test_at_most_ahead_results_wait_and_all_come_in_order(ahead):
    started, lock = [], threading.Lock()

    def note(item):
        with lock:
            started.append(item)
        return item

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for taken, item in enumerate(pools.ahead(pool, note, range(40), ahead)):
            assert item == taken and len(started) <= taken + ahead
    assert sorted(started) == list(range(40))
