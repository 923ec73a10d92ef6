"""The one protocol of everything that leaves a folder: `do_once` around it, `started` inside it.

Looks for a record that still stands, claims the folder, looks again, works, writes the record last.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

from prompt_tuning.config import config_hash
from prompt_tuning.environment import environment, peak_memory_gib
from prompt_tuning.errors import UserError
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.made_from import differing, digests
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.terminal import Reporter, is_prefixed, say
from prompt_tuning.tracking import Tracker, wandb_run

RECORD_FORMAT = 1
Record = Mapping[str, Any]
Config = TypeVar("Config")  # of a command


def do_once(
    config: Config,
    folder: RunFolder,
    load: Callable[[Config], Callable[[Config, RunFolder], None]],
    changed: Callable[[Record, Config], str | None],
    describe: Callable[[Record, RunFolder], str],
    *,
    rerun: bool,
    quiet: bool = False,
) -> None:
    """Does what leaves a record in a folder, unless that record is there and still stands.

    Every command that leaves records has its own three functions, under these names.

    Args:
        config: of the run.
        folder: of the run.
        load: imports what the work needs, which takes seconds, and returns the work. The folder is
            not locked yet.
        changed: why a record stands no longer, in words; None: it stands.
        describe: what a record says, in a line or several, and where it is.
        rerun: works again whatever there is.
        quiet: a record that stands is not told of.

    Raises:
        InProgress: another process does the same.
    """
    reasons: set[str] = set()  # each is said once, though the record is looked at twice

    def stands() -> bool:
        record = None if rerun else folder.record()
        if record is None:
            return False
        try:
            reason, description = changed(record, config), describe(record, folder)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason, description = f"its record is damaged ({type(error).__name__}: {error})", ""
        if reason:
            if reason not in reasons:
                say(f"{folder.name}: done before, but {reason}: it is done again")
            reasons.add(reason)
            return False
        if not quiet:
            say(f"{folder.name}: done before, {description}")
        folder.tidy()
        return True

    if stands():
        return
    work = load(config)
    with folder.claimed():
        if not stands():  # another process may have done it since we looked
            work(config, folder)


@dataclass
class Run:
    """A run that this process works on: its folder, terminal and curves."""

    kind: str  # the command
    folder: RunFolder
    config: Any
    config_hash: str
    reporter: Reporter
    _stack: ExitStack

    @cached_property
    def stop(self) -> StopRequests:
        """Stops from outside are requests from now on: who asks for them has to look at them."""
        return self._stack.enter_context(StopRequests())

    def header(self, facts: Mapping[str, object]) -> None:
        """What is about to be run, a fact a line."""
        self.reporter.header(f"ptune {self.kind}  {self.folder.name}", facts)

    def say(self, *lines: str) -> None:
        """Lines for the terminal and the log."""
        for line in lines:
            self.reporter.line(line)

    def suggest(self, *commands: str) -> None:
        """Commands to try next; a sweep's runs suggest none."""
        if not is_prefixed():
            self.say(*(f"next: {command}" for command in commands))

    def track(self, *, group: str, axes: Sequence[str], step: int | None = None) -> Tracker:
        """The curves, in metrics.jsonl and in W&B: `Tracker` and `wandb_run` say what they take."""
        name, tracking = self.folder.name, self.config.tracking
        wandb = wandb_run(tracking, name=name, job_type=self.kind, group=group, axes=axes)
        tracker = Tracker(self.folder.path, wandb, asdict(self.config), step)
        return self._stack.enter_context(tracker)

    @contextmanager
    def counted(
        self, what: str, total: int, *, stops: bool = True
    ) -> Iterator[Callable[[int], None]]:
        """Something to call after every few of `total`: moves a bar on, or raises `Interrupted`.

        Without `stops` it never raises: a stop waits for whoever asks for it next.
        """
        bar, stop = self.reporter.bar(what, total), self.stop

        def count(number: int) -> None:
            bar.advance(number)
            if stops:
                stop.check()

        try:
            yield count
        finally:
            bar.remove()

    def check_resumed(self, kept: dict[str, Any], made_from: Mapping[str, Any]) -> None:
        """Raises a UserError if a run was stopped on other data or another model, and says which.

        `kept` of its resume point gets `made_from`, facts as in the record, where the run starts.
        """
        now = digests(made_from)
        changed = differing(kept.setdefault("made_from", now), now)
        if changed:
            raise UserError(
                f"{self.folder.name} was stopped, and since then has changed: {', '.join(changed)}",
                fix=f"put it back, or remove {self.folder.path} to start again",
            )

    def finish(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Writes the record, last, and returns it.

        Args:
            facts: of this kind of run, with its `result`; the rest is the same in every record.
        """
        record = {
            "format": RECORD_FORMAT,
            "kind": self.kind,
            **facts,
            "config": asdict(self.config),
            "config_hash": self.config_hash,
            "peak_memory_gib": peak_memory_gib(),
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            **environment(),
        }
        self.folder.finish(record)
        return record


@contextmanager
def started(
    folder: RunFolder, kind: str, config: Any, *, identity: str | None = None
) -> Iterator[Run]:
    """A run that starts or goes on, in a folder that is claimed.

    Args:
        folder: its own; from now on plainly unfinished.
        kind: the command.
        config: a dataclass, with `tracking` if the run is tracked.
        identity: stands in the record as the config's hash; None: it is that.
    """
    folder.start(asdict(config))
    with ExitStack() as stack:
        reporter = stack.enter_context(Reporter(folder.log_path))
        yield Run(kind, folder, config, identity or config_hash(config), reporter, stack)
