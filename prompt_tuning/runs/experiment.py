"""Where the parts meet: a training run on one task, from its config to its record."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prompt_tuning.assembly import load_model, make_method
from prompt_tuning.config import EvaluationConfig, TrainConfig
from prompt_tuning.data.sources import Split
from prompt_tuning.evaluation import Evaluation, EvaluationSet, score_of, write_predictions
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.metrics import Scores
from prompt_tuning.models.methods import Method
from prompt_tuning.prompt_files import save_prompt
from prompt_tuning.records import RunFolder
from prompt_tuning.reporting import Reporter, scores_line
from prompt_tuning.runs.facts import REPORT_CHOOSES, UNTRAINED, RunFacts, summary
from prompt_tuning.runs.parts import (
    encode_training_examples,
    load_splits,
    save_model,
    scored_examples,
    tracker_of,
    training_run,
)
from prompt_tuning.runs.watching import Watch
from prompt_tuning.task_data import task_of
from prompt_tuning.task_registry import TASKS


def train(config: TrainConfig, folder: RunFolder) -> None:
    """Trains a prompt or a model as the config says, from the start or from where a run stopped.

    Args:
        config: the run.
        folder: where it leaves its files, the record last.

    Raises:
        UserError: the data, the model or a prompt file cannot be used.
        Interrupted: Ctrl-C or SIGTERM; the same command goes on from there.
    """
    task, variant = task_of(config.task), config.variant
    splits = load_splits(task, config)  # a broken line stops the run here
    folder.start(asdict(config))
    with ExitStack() as stack:
        reporter = stack.enter_context(Reporter(folder.log_path))
        stop = stack.enter_context(StopRequests())
        checkpoint = load_model(config.model, variant, config.machine, folder.cache)
        encoded = encode_training_examples(splits.train.examples, checkpoint, config)

        def ready(split: Split) -> EvaluationSet:
            return scored_examples(task, split.examples, checkpoint, config, variant)

        dev = ready(splits.evaluation)
        report = ready(splits.report) if splits.report else None
        method = make_method(config, task, checkpoint)
        init = method.prompt.detach().cpu().numpy().copy()  # restore() overwrites the prompt
        run = training_run(config, method, encoded, folder)
        run.restore()
        facts = RunFacts(config, task, checkpoint, splits, encoded, run)
        reporter.header(f"ptune train  {folder.name}", facts.header())

        tracker = stack.enter_context(tracker_of(config, folder, run.progress.step))
        parts = (checkpoint, folder, run, reporter, tracker, stop)
        watch = _Watch(*parts, config.evaluation, dev, report)
        watch.before_training()
        run.run(watch, stop)

        run.go_to_best()
        prompt_path = _save(facts, folder, init)
        transfer = {}
        for name, split in splits.transfer.items():
            examples = split.examples
            data = scored_examples(TASKS[name], examples, checkpoint, config, variant, source=task)
            transfer[name] = watch.transfer(data)
        result = facts.result(watch.best_evaluation(), watch.best_report(), transfer)
        sizes = {"model/num_parameters": checkpoint.num_parameters}
        tracker.summarise({**summary(result), **sizes}, prompt_path)
        folder.finish(facts.record(result))
        for line in facts.closing_lines(result, folder):
            reporter.line(line)


REPORT = "report"  # in what a run keeps: the scores of the best step so far on the reported split


@dataclass
class _Watch(Watch):
    """Evaluates a run while it goes on, and remembers its best evaluation."""

    config: EvaluationConfig
    dev: EvaluationSet
    report: EvaluationSet | None
    best: Evaluation | None = None  # since the run started or resumed

    def before_training(self) -> None:
        """Scores what is not trained yet, if the config asks for it; it chooses no step."""
        if not self.config.before_training or self.run.kept.get(UNTRAINED):
            return
        scored = {self.config.split: self._answer(self.dev, 0)}
        if self.report is not None:
            scored[str(self.config.report_split)] = self._answer(self.report, "untrained")
        self.run.kept[UNTRAINED] = {name: asdict(each.scores) for name, each in scored.items()}
        self._show(0, *scored.values(), is_best=False)
        self.run.save()

    def evaluate(self, method: Method, step: int) -> float:
        """Scores what a step has trained; keeps, logs and prints what came out."""
        evaluation, best_score = self._answer(self.dev, step), self.run.progress.best_score
        score = score_of(evaluation)
        is_best = best_score is None or score > best_score
        reported = []
        if self.report is not None and self.config.report_at_every_step:
            reported = [self._report_at(self.report, step, is_best=is_best)]
        if is_best:
            self.best = evaluation
        self._show(step, evaluation, *reported, is_best=is_best)
        return score

    def _report_at(self, data: EvaluationSet, step: int, *, is_best: bool) -> Evaluation:
        """What a step makes of the reported split, which chooses nothing; keeps its own best."""
        evaluation, kept = self.decode(data), self.run.kept
        if is_best:
            write_predictions(self.folder.predictions_path("report"), data, evaluation)
            kept[REPORT] = asdict(evaluation.scores)
        if REPORT_CHOOSES not in kept or score_of(evaluation) > kept[REPORT_CHOOSES]["score"]:
            kept[REPORT_CHOOSES] = {**asdict(evaluation.scores), "best_step": step}
        return evaluation

    def _answer(self, data: EvaluationSet, name: int | str) -> Evaluation:
        """What the present state makes of a split; kept under a name."""
        evaluation = self.decode(data)
        write_predictions(self.folder.predictions_path(name), data, evaluation)
        return evaluation

    def _show(self, step: int, *scored: Evaluation, is_best: bool) -> None:
        """Logs and prints the scores of a step, on the split that chooses and the reported one."""
        prompt = self.run.method.prompt
        measured: dict[str, float] = {}
        for prefix, evaluation in zip(("eval", "report"), scored, strict=False):
            scores = evaluation.scores
            values = {**scores.metrics, "score": score_of(evaluation)}
            measured |= {f"{prefix}/{name}": value for name, value in values.items()}
            measured[f"{prefix}/unparseable"] = scores.num_unparseable
        measured["time/duration_s"] = round(self.run.progress.duration_s, 3)
        if len(prompt):
            measured["prompt/rms"] = prompt.square().mean().sqrt().item()
        self.tracker.log(step, measured)
        dev, *report = [evaluation.scores for evaluation in scored]
        line = (
            f"{scores_line(dev.metrics, dev.score)}  "
            f"unparseable {dev.num_unparseable}/{dev.num_examples}"
        )
        line += "".join(f"  {self.config.report_split} {each.score:.2f}" for each in report)
        self.say(step, line, is_best=is_best)

    def best_evaluation(self) -> Evaluation:
        """That of the best step, once the run has gone to it.

        Decoded again if it was made before the run was resumed.
        """
        if self.best is None:
            self.best = self.decode(self.dev)
        return self.best

    def best_report(self) -> Scores | None:
        """The best step's scores on the split that chose nothing; None if there is none."""
        if self.report is None:
            return None
        if REPORT in self.run.kept:
            return Scores(**self.run.kept[REPORT])
        return self._answer(self.report, "report").scores

    def transfer(self, data: EvaluationSet) -> Evaluation:
        """That of the best step on a task which it was not trained on; keeps what came out."""
        evaluation = self.decode(data)
        write_predictions(
            self.folder.predictions_path("transfer", data.task.name), data, evaluation
        )
        return evaluation


def _save(facts: RunFacts, folder: RunFolder, init: NDArray[np.float32]) -> Path | None:
    """Saves what was trained; returns the prompt's file, if there is a prompt.

    Args:
        facts: the run, at its best step.
        folder: its own.
        init: the prompt before the first update, [P, H].
    """
    method = facts.run.method
    if facts.config.method != "prompt_tuning":
        save_model(method, facts.checkpoint, folder)
        return None
    prompt = method.prompt.detach().cpu().numpy()
    save_prompt(folder.prompt_path, prompt, facts.prompt_metadata(), init)
    return folder.prompt_path
