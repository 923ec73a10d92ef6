"""What a user can do wrong, as one exception that says what to do instead.

Raised anywhere, printed by `cli.py` without a traceback, exit status 2.
"""

import errno
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


_NO_FOLDER = (
    "a file or a link stands where a folder should be: move it away, or choose another place"
)
_FIXES = {
    errno.ENOSPC: "make room there, or choose another place",
    errno.EDQUOT: "make room there, or choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: _NO_FOLDER,
    errno.EEXIST: _NO_FOLDER,
    errno.EISDIR: "a folder stands where a file should be: move it away, or choose another place",
}
_NO_MEMORY = ("can't allocate memory", "out of memory", "Unable to allocate")


def as_user_error(error: BaseException) -> UserError | None:
    """The error as one of the user's: what the machine refuses; None: a fault of the program's.

    Files that cannot be read or written, and memory that is not there.
    """
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        place = error.filename2 or error.filename
        problem = f"{error.strerror}: {place}" if place else str(error.strerror or error)
        return UserError(problem, fix=_FIXES.get(error.errno, "choose another place"))
    if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
        return UserError(
            f"the machine has not enough memory: {str(error).partition(chr(10))[0] or 'none left'}",
            fix="lower machine.max_tokens_per_micro_batch, training.batch_size or prompt.length",
        )
    return None


def printable(text: str) -> str:
    """The text without characters that a terminal obeys instead of showing; lines stay."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def raise_all(problems: Iterable[UserError]) -> None:
    """Raises nothing, the one error, or all of them, each once, as `UserErrors`."""
    if errors := [*{str(problem): problem for problem in problems}.values()]:
        raise errors[0] if len(errors) == 1 else UserErrors(errors)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, if one is alike at all."""
    return next(iter(get_close_matches(word, list(known), n=1)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A `fix` that names the closest known word, if there is one."""
    near = closest(word, known)
    return f"did you mean {near}?" if near else None
