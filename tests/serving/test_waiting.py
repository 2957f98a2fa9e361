"""Whoever waits in line gets the result of his own photo, whatever else is in the batch."""

import concurrent.futures
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlob.serving import waiting
from mlob.serving.waiting import Full, Line


class Gate:
    """Work that notes its batches, and waits until it is let go."""

    def __init__(self):
        self.batches, self.began, self.go = [], threading.Semaphore(0), threading.Event()

    def __call__(self, photos):
        self.batches.append(list(photos))
        self.began.release()
        assert self.go.wait(30)
        return [-photo for photo in photos]


@pytest.fixture
def gate():
    """Work whose line is closed in the end, whatever the test leaves in it."""
    made = Gate()
    made.line = Line(made, 6)
    yield made
    made.go.set()
    made.line.close()


@given(st.lists(st.lists(st.integers(1, 99), max_size=5), max_size=12))
@settings(deadline=None, max_examples=25)
def test_each_gets_the_result_of_his_own_photo(requests):
    line = Line(lambda photos: [-photo for photo in photos], 1000)
    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        joined = list(clients.map(line.join, requests))
    found = [[future.result(30) for future in futures] for futures in joined]
    line.close()
    assert found == [[-photo for photo in photos] for photos in requests]


def test_a_photo_alone_is_taken_at_once_and_those_that_come_meanwhile_go_together(gate):
    first = gate.line.join([1])
    assert gate.began.acquire(timeout=30)
    others = [*gate.line.join([2, 3]), *gate.line.join([4])]
    gate.go.set()
    assert [future.result(30) for future in [*first, *others]] == [-1, -2, -3, -4]
    assert gate.batches == [[1], [2, 3, 4]]


def test_a_batch_has_a_limit_and_the_rest_comes_next(gate, monkeypatch):
    monkeypatch.setattr(waiting, "BATCH", 2)
    futures = gate.line.join([1])
    assert gate.began.acquire(timeout=30)
    futures += gate.line.join([2, 3, 4])
    gate.go.set()
    assert [future.result(30) for future in futures] == [-1, -2, -3, -4]
    assert gate.batches == [[1], [2, 3], [4]]


def test_those_who_were_answered_together_go_together_again(gate, monkeypatch):
    monkeypatch.setattr(waiting, "MOMENT", 30)
    gate.go.set()
    gate.line.join([1])[0].result(30)
    for future in gate.line.join([2, 3, 4]):
        future.result(30)
    again = [future for photo in (5, 6, 7) for future in gate.line.join([photo])]
    assert [future.result(30) for future in again] == [-5, -6, -7]
    assert gate.batches == [[1], [2, 3, 4], [5, 6, 7]]


def test_who_comes_alone_after_others_waits_no_longer_than_a_moment_and_a_line_may_close_in_it(gate, monkeypatch):
    gate.go.set()
    for future in gate.line.join([1, 2, 3]):
        future.result(30)
    assert gate.line.join([4])[0].result(30) == -4
    monkeypatch.setattr(waiting, "MOMENT", 1)
    for future in gate.line.join([5, 6, 7]):
        future.result(30)
    (alone,) = gate.line.join([8])
    gate.line.close()
    assert alone.cancelled() or alone.result(30) == -8


def test_all_photos_of_a_request_get_in_or_none_and_when_to_come_again_is_told(gate):
    gate.line.join([1])
    assert gate.began.acquire(timeout=30)
    gate.line.join([2, 3, 4])
    with pytest.raises(Full, match=r"Too many photos wait; try again in \d+ s") as full:
        gate.line.join([5, 6, 7, 8])
    assert full.value.seconds >= 1 and len(gate.line) == 3
    assert len(gate.line.join([5, 6, 7])) == 3 and len(gate.line) == 6


def test_a_photo_that_cannot_be_worked_on_fails_alone(gate):
    def work(photos):
        return [10 // photo for photo in photos]

    gate.line._work = lambda photos: gate(photos) and work(photos)
    first = gate.line.join([1])
    assert gate.began.acquire(timeout=30)
    others = gate.line.join([2, 0, 5])
    gate.go.set()
    assert first[0].result(30) == 10
    assert others[0].result(30) == 5 and others[2].result(30) == 2
    assert isinstance(others[1].exception(30), ZeroDivisionError)
    assert gate.line.join([10])[0].result(30) == 1


def test_who_gave_up_is_passed_over(gate):
    gate.line.join([1])
    assert gate.began.acquire(timeout=30)
    given_up, stays = gate.line.join([2, 3])
    assert given_up.cancel()
    gate.go.set()
    assert stays.result(30) == -3 and gate.batches == [[1], [3]]


def test_a_line_that_closes_finishes_its_batch_and_sends_the_rest_away():
    gate = Gate()
    line = Line(gate, 6)
    (first,) = line.join([1])
    assert gate.began.acquire(timeout=30)
    (second,) = line.join([2])
    closing = threading.Thread(target=line.close)
    closing.start()
    with pytest.raises(concurrent.futures.CancelledError):
        second.result(30)
    gate.go.set()
    closing.join(30)
    assert first.result(30) == -1 and gate.batches == [[1]]
    with pytest.raises(Full):
        line.join([3])
