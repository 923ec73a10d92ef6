"""Whether a server answers, asked once and with a bound that holds whatever the network does."""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import cache
from typing import Any

SECONDS_TO_ANSWER = 4.0


@cache
def problem_with(url: str, seconds: float = SECONDS_TO_ANSWER) -> str | None:
    """Why a server cannot be reached in time; None: it, or its proxy, answers.

    Asked once in a process, since every run of a sweep would wait.
    """

    def ask() -> str | None:
        try:
            urllib.request.urlopen(url, timeout=seconds).close()
        except urllib.error.HTTPError:
            return None  # an answer all the same
        except (OSError, ValueError) as error:
            return str(getattr(error, "reason", error)) or type(error).__name__
        return None

    problem: str | None = bounded(ask, seconds, otherwise="no answer in time")
    return problem


def bounded(action: Callable[[], Any], seconds: float, *, otherwise: Any) -> Any:
    """What `action` returns, or `otherwise` if that takes too long; then it goes on unheeded.

    A time limit of a socket does not hold while a name is looked up. Whatever `action` raises is
    raised here.
    """
    outcome: list[tuple[Any, BaseException | None]] = []

    def act() -> None:
        try:
            outcome.append((action(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        return otherwise
    value, error = outcome[0]
    if error is not None:
        raise error
    return value
