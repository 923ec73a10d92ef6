"""Where the parts meet: a training run on one task, from its config to its record."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prompt_tuning.assembly import load_model, make_method
from prompt_tuning.config import TrainConfig
from prompt_tuning.evaluation import Evaluation, EvaluationSet, write_predictions
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.models.methods import Method
from prompt_tuning.prompt_files import save_prompt
from prompt_tuning.records import RunFolder
from prompt_tuning.reporting import Reporter, scores_line
from prompt_tuning.runs.facts import RunFacts, summary
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
from prompt_tuning.tasks import TASKS


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
        dev = scored_examples(task, splits.evaluation.examples, checkpoint, config, variant)
        method = make_method(config, task, checkpoint)
        init = method.prompt.detach().cpu().numpy().copy()  # restore() overwrites the prompt
        run = training_run(config, method, encoded, folder)
        run.restore()
        facts = RunFacts(config, task, checkpoint, splits, encoded, run)
        reporter.header(f"ptune train  {folder.name}", facts.header())

        tracker = stack.enter_context(tracker_of(config, folder, run.progress.step))
        watch = _Watch(checkpoint, folder, run, reporter, tracker, stop, dev)
        run.run(watch, stop)

        run.go_to_best()
        prompt_path = _save(facts, folder, init)
        report = None
        if splits.report is not None:
            examples = splits.report.examples
            report = watch.report(scored_examples(task, examples, checkpoint, config, variant))
        transfer = {}
        for name, split in splits.transfer.items():
            examples = split.examples
            data = scored_examples(TASKS[name], examples, checkpoint, config, variant, source=task)
            transfer[name] = watch.transfer(data)
        result = facts.result(watch.best_evaluation(), report, transfer)
        sizes = {"model/num_parameters": checkpoint.num_parameters}
        tracker.summarise({**summary(result), **sizes}, prompt_path)
        folder.finish(facts.record(result))
        for line in facts.closing_lines(result, folder):
            reporter.line(line)


@dataclass
class _Watch(Watch):
    """Evaluates a run while it goes on, and remembers its best evaluation."""

    dev: EvaluationSet
    best: Evaluation | None = None  # since the run started or resumed

    def evaluate(self, method: Method, step: int) -> float:
        """Scores what a step has trained; keeps, logs and prints what came out."""
        evaluation = self.decode(self.dev)
        scores, best_score = evaluation.scores, self.run.progress.best_score
        assert scores.score is not None, "the evaluation split has no labels"
        is_best = best_score is None or scores.score > best_score
        if is_best:
            self.best = evaluation
        write_predictions(self.folder.predictions_path(step), self.dev, evaluation)
        measured = {f"eval/{name}": value for name, value in scores.metrics.items()}
        measured |= {"eval/score": scores.score, "eval/unparseable": scores.num_unparseable}
        measured["time/duration_s"] = round(self.run.progress.duration_s, 3)
        if len(method.prompt):
            measured["prompt/rms"] = method.prompt.square().mean().sqrt().item()
        self.tracker.log(step, measured)
        self.say(
            step,
            f"{scores_line(scores.metrics, scores.score)}  "
            f"unparseable {scores.num_unparseable}/{scores.num_examples}",
            is_best=is_best,
        )
        return scores.score

    def best_evaluation(self) -> Evaluation:
        """That of the best step, once the run has gone to it.

        Decoded again if it was made before the run was resumed.
        """
        if self.best is None:
            self.best = self.decode(self.dev)
        return self.best

    def report(self, data: EvaluationSet) -> Evaluation:
        """That of the best step on a split that chose nothing; keeps what came out."""
        evaluation = self.decode(data)
        write_predictions(self.folder.predictions_path("report"), data, evaluation)
        return evaluation

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
