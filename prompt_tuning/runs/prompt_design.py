"""Prompt design: a frozen model is shown solved examples as text, and nothing is trained.

Source: Brown et al. (2020), few-shot; the baseline of figure 1 in Lester et al. (2021).
With evaluation.rank=labels the likelihoods of the classes are compared, as GPT-3's are, and none is
illegal; without it an answer is decoded greedily, as everywhere here.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from prompt_tuning.assembly import load_model
from prompt_tuning.config import TrainConfig
from prompt_tuning.data.demonstrations import (
    draw,
    ends_of_answer,
    prompt_text,
    those_that_fit,
    with_prompt,
)
from prompt_tuning.evaluation import Evaluation, write_predictions
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.records import RunFolder
from prompt_tuning.reporting import Reporter, scores_line
from prompt_tuning.runs.facts import (
    closing_facts,
    left_out_facts,
    model_line,
    provenance_of,
    record_of,
    reported_lines,
    result_of,
    summary,
    task_line,
)
from prompt_tuning.runs.parts import Splits, load_splits, scored_examples, tracker_of
from prompt_tuning.runs.watching import decode
from prompt_tuning.task_data import designed_task
from prompt_tuning.tasks import Example, Task

STEP = 0  # the best one, and the only one


def run(config: TrainConfig, folder: RunFolder) -> None:
    """Scores a frozen model on a task behind examples of it.

    Args:
        config: the run; its seed draws the examples, which are the same for every query.
        folder: where it leaves its files, the record last.

    Raises:
        UserError: the data or the model cannot be used.
        Interrupted: Ctrl-C or SIGTERM; the same command starts again.
    """
    task = designed_task(config)
    splits = load_splits(task, config)
    folder.start(asdict(config))
    with ExitStack() as stack:
        reporter = stack.enter_context(Reporter(folder.log_path))
        stop = stack.enter_context(StopRequests())
        checkpoint = load_model(config.model, config.variant, config.machine, folder.cache)
        shots = _shots(config, splits, checkpoint)
        folder.prompt_text_path.write_text(prompt_text(shots) + "\n", encoding="utf-8")
        design = _Design(config, task, checkpoint, splits, shots, folder, reporter, stop)
        reporter.header(f"ptune train  {folder.name}", design.header())

        tracker = stack.enter_context(tracker_of(config, folder, STEP))
        started = time.monotonic()
        best = design.answer(splits.evaluation.examples, folder.predictions_path(STEP))
        report = None
        if splits.report is not None:
            report = design.answer(splits.report.examples, folder.predictions_path("report"))
        duration_s = time.monotonic() - started
        result = design.result(best, report)
        tracker.log(STEP, {f"eval/{name}": value for name, value in result["metrics"].items()})
        tracker.summarise(summary(result))
        folder.finish(design.record(result, duration_s))
        for line in design.closing_lines(result, duration_s):
            reporter.line(line)


def _shots(config: TrainConfig, splits: Splits, checkpoint: Checkpoint) -> list[Example]:
    assert config.prompt.num_shots is not None, config.prompt
    drawn = draw(splits.train.examples, config.prompt.num_shots, config.seed)
    return those_that_fit(drawn, checkpoint.encode_text, config.training.max_input_tokens)


@dataclass(frozen=True)
class _Design:
    """A run with all that it is made of."""

    config: TrainConfig
    task: Task
    checkpoint: Checkpoint
    splits: Splits
    shots: Sequence[Example]
    folder: RunFolder
    reporter: Reporter
    stop: StopRequests

    def header(self) -> dict[str, str]:
        """What is about to be run, a fact a line."""
        config = self.config
        num_tokens = len(self.checkpoint.encode_text(prompt_text(self.shots)))
        limit = config.training.max_input_tokens
        return {
            "model": model_line(config, self.checkpoint),
            "trained": "nothing (prompt design)",
            "task": task_line(config, self.task, self.splits),
            "prompt": f"{len(self.shots)} of {config.prompt.num_shots} solved examples, drawn by "
            f"seed {config.seed}: {num_tokens} tokens"
            + ("" if limit is None else f" of at most {limit}"),
            **closing_facts(config, self.checkpoint),
            **left_out_facts(self.splits.train.provenance["dropped"]),
        }

    def answer(self, examples: Sequence[Example], path: Path) -> Evaluation:
        """What the model says to a split behind the examples; kept at `path`.

        With a target sentinel it is the decoder's alone, as in training: it is taken off the
        answer, and the examples, which are inputs here, have none.
        """
        model = self.checkpoint.model
        queries = with_prompt(examples, prompt_text(self.shots))
        data = scored_examples(
            self.task, queries, self.checkpoint, self.config, self.config.variant
        )
        data = replace(data, ends_of_answer=ends_of_answer(self.task))
        evaluation = decode(
            self.checkpoint,
            torch.zeros(0, model.hidden_size, dtype=torch.float32, device=model.device),
            data,
            max_tokens=self.config.machine.max_tokens_per_micro_batch,
            reporter=self.reporter,
            stop=self.stop,
        )
        write_predictions(path, data, evaluation)
        return evaluation

    def result(self, best: Evaluation, report: Evaluation | None) -> dict[str, Any]:
        """What came out, with the number of examples that were shown."""
        config = self.config
        result = result_of(
            config, self.task, self.splits, best, report.scores if report else None, best_step=STEP
        )
        return {**result, "num_shots": len(self.shots)}

    def record(self, result: dict[str, Any], duration_s: float) -> dict[str, Any]:
        """Everything that fixes the run, which examples were shown, and the result."""
        return record_of(
            self.config,
            self.checkpoint,
            result,
            data={**provenance_of(self.splits), "shots": [each.idx for each in self.shots]},
            num_trainable_parameters=0,
            duration_s=duration_s,
        )

    def closing_lines(self, result: dict[str, Any], duration_s: float) -> list[str]:
        """The run in a line, then what is reported and what it stands beside."""
        name = self.task.name
        return [
            f"{name} on {result['split']}: {scores_line(result['metrics'], result['score'])} "
            f"behind {len(self.shots)} examples, "
            f"unparseable {result['num_unparseable']}/{result['num_examples']}, "
            f"{duration_s:.1f} s  {self.folder.record_path}",
            *reported_lines(self.config, name, result),
        ]
