"""What a user can do wrong, as one exception that says what to do instead.

Raised anywhere, printed by `cli.py` without a traceback, exit status 2.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class UserError(Exception):
    """A mistake of the user's: what is wrong, what is allowed, what to do next."""

    exit_status = 2

    def __init__(self, problem: str, *, allowed: str | None = None, fix: str | None = None) -> None:
        self.problem, self.allowed, self.fix = problem, allowed, fix
        lines = [problem]
        if allowed is not None:
            lines.append(f"  allowed: {allowed}")
        if fix is not None:
            lines.append(f"  fix:     {fix}")
        super().__init__("\n".join(lines))

    @property
    def parts(self) -> Sequence["UserError"]:
        """The single mistakes, each to be printed on its own."""
        return (self,)


class InProgress(UserError):
    """Another process does the same run: nothing is wrong, and there is nothing to do here."""

    exit_status = 75  # EX_TEMPFAIL of sysexits.h: try again later

    def __init__(self, run: str, holder: str) -> None:
        """`run` names it; `holder` is who does it, such as "process 71 on gpu3"."""
        super().__init__(
            f"{run} is in progress elsewhere: {holder}", fix="wait until it is done, or stop it"
        )
        self.run, self.holder = run, holder

    def __reduce__(self) -> tuple[type["InProgress"], tuple[str, str]]:
        return InProgress, (self.run, self.holder)


class UserErrors(UserError):
    """Several mistakes at once, so that one attempt shows all of them."""

    def __init__(self, errors: Iterable[UserError]) -> None:
        self._parts = tuple(part for error in errors for part in error.parts)
        super().__init__("\n".join(str(part) for part in self._parts))

    def __reduce__(self) -> tuple[type["UserErrors"], tuple[tuple[UserError, ...]]]:
        return UserErrors, (self._parts,)  # a launcher's job sends it to the process that waits

    @property
    def parts(self) -> Sequence[UserError]:
        return self._parts


def raise_all(problems: Iterable[UserError]) -> None:
    """Raises nothing, the one error, or all of them as `UserErrors`."""
    if errors := [*problems]:
        raise errors[0] if len(errors) == 1 else UserErrors(errors)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, if one is alike at all."""
    return next(iter(get_close_matches(word, list(known), n=1)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A `fix` that names the closest known word, if there is one."""
    near = closest(word, known)
    return f"did you mean {near}?" if near else None
