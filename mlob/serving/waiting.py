"""Photos of many requests wait in one line; one thread takes those at its head together through the networks.

A photo that comes alone is taken at once. While it is in the networks others come, and the next batch is larger: the
more clients there are, the fuller are the batches. Clients who were answered together come again almost together: the
first of them waits a moment for the others, or each second batch would be his alone.
"""

import collections
import concurrent.futures
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Photo = TypeVar("Photo")
Result = TypeVar("Result")
BATCH = 16  # photos: networks gain little beyond, and whoever comes next waits for all of them
MOMENT = 0.02  # seconds: what eight answers and requests take; a batch takes many times as long


class Full(Exception):
    """Too many photos wait.

    Attributes:
        seconds: until about half of them are done, at the rate of the last batch.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many photos wait; try again in {seconds} s.")
        self.seconds = seconds


class Line(Generic[Photo, Result]):
    """A line of photos before a function that takes several of them. Threads may use it.

    Args:
        work: function of photos that gives a result for each. If it fails on several, it is called on each alone, so
            that a photo that cannot be worked on fails by itself.
        most: photos that may wait.
    """

    def __init__(self, work: Callable[[Sequence[Photo]], Sequence[Result]], most: int) -> None:
        self._work, self._most = work, most
        self._waiting: collections.deque[tuple[Photo, concurrent.futures.Future[Result]]] = collections.deque()
        self._changed = threading.Condition()
        self._is_open = True
        self._rate = 1.0  # photos a second, of the last batch
        self._together = 1  # photos in it
        self._worker = threading.Thread(target=self._run, name="line", daemon=True)
        self._worker.start()

    def __len__(self) -> int:
        """Count the photos that wait."""
        return len(self._waiting)

    def join(self, photos: Sequence[Photo]) -> list[concurrent.futures.Future[Result]]:
        """Put photos at the end of the line, all or none.

        Raises:
            Full: there is no room for all.
        """
        futures: list[concurrent.futures.Future[Result]] = [concurrent.futures.Future() for _ in photos]
        with self._changed:
            if len(self._waiting) + len(photos) > self._most or not self._is_open:
                raise Full(max(1, math.ceil(len(self._waiting) / 2 / self._rate)))
            self._waiting.extend(zip(photos, futures, strict=True))
            self._changed.notify()
        return futures

    def close(self) -> None:
        """Let nobody in any more, send away who waits, and wait for the batch in the networks."""
        with self._changed:
            self._is_open = False
            for _, future in self._waiting:
                future.cancel()
            self._waiting.clear()
            self._changed.notify()
        self._worker.join()

    def _run(self) -> None:
        while batch := self._next():
            started = time.monotonic()
            self._answer(batch)
            self._rate = len(batch) / max(time.monotonic() - started, 1e-6)

    def _next(self) -> list[tuple[Photo, concurrent.futures.Future[Result]]]:
        """Wait for photos, a moment also for as many as last time, and take them; none when the line is closed."""
        with self._changed:
            while self._is_open:
                if not self._waiting:
                    self._changed.wait()
                    continue
                self._changed.wait_for(lambda: len(self._waiting) >= self._together, MOMENT)
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                if batch := [pair for pair in batch if pair[1].set_running_or_notify_cancel()]:
                    self._together = len(batch)
                    return batch
        return []

    def _answer(self, batch: Sequence[tuple[Photo, concurrent.futures.Future[Result]]]) -> None:
        try:
            results = self._work([photo for photo, _ in batch])
        except Exception as error:
            if len(batch) == 1:
                return batch[0][1].set_exception(error)
            for pair in batch:
                self._answer([pair])
        else:
            for (_, future), result in zip(batch, results, strict=True):
                future.set_result(result)
