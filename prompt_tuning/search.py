"""`hydra/sweeper=optuna`: Optuna proposes the values of any keys and stops runs that fall behind.

What it maximises is the score on the split that chooses a run's step, never that on the split that
is reported. Hydra's own plugin for Optuna holds on to version 2 and cannot stop a run.
"""

import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep, Sweep
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from rich.table import Table

from prompt_tuning.composition import composed, own_files_of
from prompt_tuning.errors import UserError, as_user_error
from prompt_tuning.interrupts import judged_by
from prompt_tuning.locking import begin_alone, let_others_in
from prompt_tuning.terminal import print_table, say

SHOWN = 10  # trials in the table at the end
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def register() -> None:
    """Tells Hydra of the sweeper, under the only name space in which it takes plugins."""
    Plugins.instance().class_name_to_class["hydra_plugins.ptune.OptunaSweeper"] = OptunaSweeper
    optuna.logging.set_verbosity(optuna.logging.WARNING)


class OptunaSweeper(Sweeper):
    """A search of `num_trials` runs; started again it goes on, since a journal keeps the trials."""

    def __init__(
        self,
        num_trials: int,
        sampler: optuna.samplers.BaseSampler,
        pruner: optuna.pruners.BasePruner | None,
        params: Mapping[str, Any] | None,
    ) -> None:
        """Made by Hydra from conf/hydra/sweeper/optuna.yaml; earlier trials count."""
        self.num_trials, self.sampler = num_trials, sampler
        self.pruner = pruner or optuna.pruners.NopPruner()
        self.params = dict(params or {})
        self._failures: list[Exception] = []  # of trials that are done in other processes

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Called by Hydra before `sweep`."""
        self._parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self._folder = Path(config.hydra.sweep.dir).parent
        command, own_files = config.hydra.job.name, own_files_of(config.hydra)
        self._flags = ["--config-dir", str(own_files)] if own_files else []
        is_ours = config.hydra.job.config_name == command and not config.hydra.searchpath
        self._compose = partial(composed, command, own_files=own_files) if is_ours else None
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs trials, one after another, until there are `num_trials`.

        Those that have failed since this start count too, or it might never end.

        Raises:
            UserError: nothing is searched over, or over something that cannot be.
            Exception: the worst of what trials have raised in other processes, once all are done.
        """
        if not isinstance(self.num_trials, int) or self.num_trials < 1:
            problem = f"hydra.sweeper.num_trials={self.num_trials} is not allowed"
            raise UserError(problem, allowed="an integer, 1 or more")
        given = self._parser.parse_overrides(
            [*(f"{k}={v}" for k, v in self.params.items()), *arguments]
        )
        fixed = [str(each.input_line) for each in given if not each.is_sweep_override()]
        space = {o.get_key_element(): _distribution(o) for o in given if o.is_sweep_override()}
        if not space:
            raise UserError(
                "hydra/sweeper=optuna has nothing to search over",
                allowed="key=choice(a,b), key=range(1,9), 'key=tag(log,interval(0.01,3))'",
                fix="give at least one key such a value",
            )
        if self._compose:  # wrong keys are named before a journal has them
            self._compose([*fixed, *(f"{key}={_first(drawn)}" for key, drawn in space.items())])
        with self._study(fixed, space) as study:
            failed = TrialState.FAIL
            failed_before = _num(study, failed)
            while (number := _num(study, *FINISHED, failed) - failed_before) < self.num_trials:
                self._try(study, space, fixed, number)
            self._print_results(study, fixed, failed_before)
        if self._failures:
            raise min(self._failures, key=_exit_status)

    @contextmanager
    def _study(self, fixed: Sequence[str], space: Mapping[str, Any]) -> Iterator[optuna.Study]:
        """The search of these keys, new or from its journal below output_dir.

        Where no other process is at it, trials that were stopped are the next ones, and go on.
        """
        name = hashlib.sha256(repr((sorted(fixed), sorted(space.items()))).encode()).hexdigest()
        path = self._folder / f"search-{name[:8]}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as journal:
            if is_alone := begin_alone(journal):
                journal.seek(0)
                journal.truncate(journal.read().rfind(b"\n") + 1)  # a line left torn by a kill
            try:
                study = optuna.create_study(
                    storage=JournalStorage(JournalFileBackend(str(path))),
                    study_name=name[:8],
                    sampler=self.sampler,
                    pruner=self.pruner,
                    direction="maximize",
                    load_if_exists=True,
                )
            except (ValueError, KeyError, TypeError) as error:
                problem = f"{path}, the journal of this search, is damaged: {error}"
                fix = "remove it: the search begins anew, and runs that are done are not repeated"
                raise UserError(problem, fix=fix) from error
            for trial in study.get_trials(states=(TrialState.RUNNING,)) if is_alone else ():
                study.tell(trial.number, state=TrialState.FAIL)
                study.enqueue_trial(trial.params)
            let_others_in(journal)
            if study.trials:
                self.sampler.reseed_rng()  # its own seed would draw the first trials again
            before = _num(study, *FINISHED)
            found = f", {before} done before" if before else ""
            say(f"search over {', '.join(space)}: {self.num_trials} trials{found}; kept in {path}")
            yield study

    def _try(
        self,
        study: optuna.Study,
        space: Mapping[str, BaseDistribution],
        fixed: Sequence[str],
        number: int,
    ) -> None:
        trial = study.ask(dict(space))
        own = _overrides(trial)
        best = max(map(_score, _scored(study)), default=None)
        so_far = "" if best is None else f" (best so far {best:.2f})"
        say(f"trial {number + 1} of {self.num_trials}: {' '.join(own)}{so_far}")
        was_hopeless = False

        def is_hopeless(step: int, score: float) -> bool:
            nonlocal was_hopeless
            trial.report(score, step)
            was_hopeless = trial.should_prune()
            return was_hopeless

        score = None
        try:
            with judged_by(is_hopeless):
                (job,) = self._launcher.launch([[*fixed, *own]], initial_job_idx=number)
            score = job.return_value
        except Exception as error:
            say(f"trial {number + 1} failed: {as_user_error(error) or repr(error)}")
            self._failures.append(error)
        if was_hopeless:
            study.tell(trial, state=TrialState.PRUNED)
        elif score is None:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, float(score))

    def _print_results(self, study: optuna.Study, fixed: Sequence[str], failed_before: int) -> None:
        trials = sorted(_scored(study), key=_score, reverse=True)
        pruned = _num(study, TrialState.PRUNED)
        failed = _num(study, TrialState.FAIL) - failed_before
        say(f"{len(trials)} trials finished, {pruned} stopped early, {failed} failed")
        if not trials:
            return
        table = Table(*trials[0].params, "score", box=None, pad_edge=False, header_style="")
        for trial in trials[:SHOWN]:
            values = [_shown(value) for value in trial.params.values()]
            table.add_row(*values, f"{_score(trial):.2f}")
        print_table(table)
        say(f"best: {_score(trials[0]):.2f}, of one seed on the split that chose it")
        best = [text for text in (*fixed, *_overrides(trials[0])) if not text.startswith("seed=")]
        say(f"next: ptune train -m {shlex.join([*self._flags, *best])} seed=10,11,12")


def _distribution(override: Override) -> BaseDistribution:
    """What Optuna draws from for a choice, a range or an interval; tag(log, ...) draws in log."""
    sweep = override.value()
    is_log = isinstance(sweep, Sweep) and "log" in sweep.tags
    if isinstance(sweep, IntervalSweep):
        start, end = sweep.start, sweep.end
        try:
            if isinstance(start, int) and isinstance(end, int):
                return IntDistribution(start, end, log=is_log)
            return FloatDistribution(float(start or 0), float(end or 0), log=is_log)
        except ValueError as error:
            raise UserError(f"{override.input_line}: {error}", fix="correct its ends") from error
    if isinstance(sweep, RangeSweep | ChoiceSweep):
        return CategoricalDistribution([*override.sweep_string_iterator()])
    raise UserError(f"{override.input_line} cannot be searched over")


def _first(drawn: Any) -> object:
    """One of the values that are drawn from."""
    return drawn.choices[0] if isinstance(drawn, CategoricalDistribution) else drawn.low


def _exit_status(error: Exception) -> int:
    mistake = as_user_error(error)
    return mistake.exit_status if mistake else 1


def _shown(value: object) -> str:
    """Rounds a number to three digits, which are as many as a search can tell apart."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _overrides(trial: optuna.Trial | FrozenTrial) -> list[str]:
    return [f"{key}={_shown(value)}" for key, value in trial.params.items()]


def _num(study: optuna.Study, *states: TrialState) -> int:
    return len(study.get_trials(deepcopy=False, states=states))


def _scored(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(states=(TrialState.COMPLETE,))


def _score(trial: FrozenTrial) -> float:
    assert trial.value is not None, trial
    return trial.value
