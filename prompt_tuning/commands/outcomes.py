"""What became of the runs of a command line: kept while they run, printed at the end."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from prompt_tuning.errors import InProgress, UserError
from prompt_tuning.run_folder import RunFolder


@dataclass(frozen=True)
class Unfinished:
    """A run that is not done, and why."""

    overrides: str
    reason: str
    status: int  # the exit status that it asks for

    @classmethod
    def because_of(cls, overrides: str, error: Exception) -> "Unfinished":
        """The run that raised `error`."""
        if isinstance(error, UserError):
            return cls(overrides, str(error), error.exit_status)
        return cls(overrides, f"{type(error).__name__}: {error}", 1)

    def __str__(self) -> str:
        return f"{self.overrides}: {self.reason}"


@dataclass
class Outcomes:
    """Those runs of a sweep that are not done after it."""

    num_runs: int = 0
    unfinished: list[Unfinished] = field(default_factory=list)

    def exit_status(self) -> int:
        """0 all is done, 1 a fault of the program's, 2 mistakes of the user's, 75 others are at it.

        The worst of them counts: 1, then 2, then 75.
        """
        return min((run.status for run in self.unfinished), default=0)

    def print(self) -> None:
        """Names every run that is not done with its reason."""
        elsewhere = [run for run in self.unfinished if run.status == InProgress.exit_status]
        failed = [run for run in self.unfinished if run not in elsewhere]
        for runs, what in ((elsewhere, "are in progress elsewhere"), (failed, "failed")):
            if runs:
                print(f"ptune: {len(runs)} of {self.num_runs} runs {what}:", file=sys.stderr)
            for run in runs:
                print("  " + str(run).replace("\n", "\n  "), file=sys.stderr)


def outcomes_on_disk(runs: Sequence[tuple[str, RunFolder]]) -> Outcomes:
    """What a launcher's jobs, which are in other processes, have left in their runs' folders.

    Args:
        runs: the overrides and the folder of each; several may be of the same run.
    """
    outcomes = Outcomes(num_runs=len(runs))
    for overrides, folder in runs:
        state, failure = folder.state(), folder.failure()
        if state.name == "running":
            error = InProgress(folder.name, state.detail)
            outcomes.unfinished.append(Unfinished.because_of(overrides, error))
        elif state.name == "failed" and failure:
            status = UserError.exit_status if failure["is_users"] else 1
            outcomes.unfinished.append(Unfinished(overrides, failure["error"], status))
        elif state.name != "done":
            reason = f"{state.name}; start the sweep again"
            outcomes.unfinished.append(Unfinished(overrides, reason, 1))
    return outcomes
