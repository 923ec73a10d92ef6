"""Stopping a run from outside: by Ctrl-C and SIGTERM, between two steps, and by a search.

A reader of its output that goes away stops nothing.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, Self


class Interrupted(KeyboardInterrupt):
    """The run stopped because it was asked to, with a resume point on disk.

    A KeyboardInterrupt, so that it ends a whole sweep rather than one of its jobs.
    """

    def __init__(self, signal_number: int) -> None:
        """`signal_number` is SIGINT or SIGTERM; the exit status becomes 128 + that number."""
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number

    def __reduce__(self) -> tuple[type["Interrupted"], tuple[int]]:
        return Interrupted, (self.signal_number,)


class StopRequests:
    """Turns the first SIGINT or SIGTERM into a request, and a second SIGINT into Ctrl-C at once.

    That one saves nothing: the run goes on from the resume point that it has.
    Outside the main thread, where Python allows no handlers, it never reports a request.
    """

    def __init__(self) -> None:
        """Installs nothing yet: use as a context manager."""
        self.requested: int | None = None  # the number of the signal that asks for a stop
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raises `Interrupted` if a stop was requested."""
        if self.requested is not None:
            raise Interrupted(self.requested)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = number


class Pruned(Exception):
    """A search has stopped the run, for others did better by this step; a resume point is there."""


Judge = Callable[[int, float], bool]  # whether a run is hopeless, by step and score
_judge: ContextVar[Judge | None] = ContextVar("judge", default=None)


@contextmanager
def judged_by(is_hopeless: Judge) -> Iterator[None]:
    """Runs of this process are judged at every evaluation."""
    token = _judge.set(is_hopeless)
    try:
        yield
    finally:
        _judge.reset(token)


def stop_if_hopeless(step: int, score: float) -> None:
    """Raises `Pruned` if whoever judges runs says that this one is hopeless."""
    judge = _judge.get()
    if judge is not None and judge(step, score):
        raise Pruned(f"stopped at step {step}: others had done better by then")


def silence_stdout() -> None:
    """What is printed from now on goes nowhere: nobody reads it (`| head -1`), or its disk is full.

    The interpreter's own flush at the end then has nothing to complain about.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
