"""Prompt design: a frozen model is shown solved examples as text, and nothing is trained.

Source: Brown et al. (2020), few-shot; the baseline of figure 1 in Lester et al. (2021).
With evaluation.rank=labels the likelihoods of the classes are compared, as GPT-3's are, and none is
illegal; without it an answer is decoded greedily, as everywhere here.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from prompt_tuning.config import TrainConfig
from prompt_tuning.data.demonstrations import (
    draw,
    ends_of_answer,
    prompt_text,
    those_that_fit,
    with_prompt,
)
from prompt_tuning.evaluation import EvaluationSet, evaluate_prompt, write_predictions
from prompt_tuning.examples import load_splits, scored_examples
from prompt_tuning.metrics import Scores
from prompt_tuning.model_choice import load_model
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.protocol import Run, started
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_data import designed_task
from prompt_tuning.tasks import Example, Task
from prompt_tuning.train import outcome

STEP = 0  # the best one, and the only one


def train(config: TrainConfig, folder: RunFolder) -> None:
    """Scores a frozen model on a task behind examples of it.

    Args:
        config: the run; its seed draws the examples, which are the same for every query.
        folder: where it leaves its files, the record last; claimed.

    Raises:
        UserError: the data or the model cannot be used.
        Interrupted: Ctrl-C or SIGTERM; the same command starts again.
    """
    task = designed_task(config)
    splits = load_splits(task, config)
    with started(folder, "train", config) as run:
        checkpoint = load_model(config.model, config.variant, config.machine, folder.cache)
        shots = _shots(config, splits.train.examples, checkpoint)
        text = prompt_text(shots)
        folder.prompt_text_path.write_text(text + "\n", encoding="utf-8")
        limit = config.training.max_input_tokens
        about = {
            "trained": "nothing (prompt design)",
            "task": outcome.task_line(config, task, splits),
            "prompt": f"{len(shots)} of {config.prompt.num_shots} solved examples, drawn by "
            f"seed {config.seed}: {len(checkpoint.encode_text(text))} tokens"
            + ("" if limit is None else f" of at most {limit}"),
        }
        run.header(outcome.header_of(config, checkpoint, about, splits.train.provenance["dropped"]))
        tracker = outcome.track(run, config, STEP)

        def ready(examples: Sequence[Example]) -> EvaluationSet:
            return designed(task, examples, text, checkpoint, config)

        begun = time.monotonic()
        scored = [_answer(run, config, checkpoint, ready(splits.evaluation.examples), STEP)]
        if splits.report is not None:
            scored.append(_answer(run, config, checkpoint, ready(splits.report.examples), "report"))
        duration_s = time.monotonic() - begun
        best, *reports = scored
        report = reports[0] if reports else None
        result = outcome.result_of(config, task, splits, best, report, best_step=STEP)
        result["num_shots"] = len(shots)
        tracker.log(STEP, {f"eval/{name}": value for name, value in result["metrics"].items()})
        tracker.summarise(outcome.summary(result))
        data = {**splits.provenance(), "shots": [each.idx for each in shots]}
        run.finish(
            outcome.record_of(
                config,
                checkpoint,
                result,
                data=data,
                num_trainable_parameters=0,
                duration_s=duration_s,
            )
        )
        how = f" behind {len(shots)} examples"
        run.say(
            f"{task.name} on {result['split']}: {outcome.answers_line(result, how)}, "
            f"{duration_s:.1f} s  {folder.record_path}",
            *outcome.reported_lines(config, task.name, result),
        )


def designed(
    task: Task,
    examples: Sequence[Example],
    text: str,
    checkpoint: Checkpoint,
    config: TrainConfig,
) -> EvaluationSet:
    """A split behind the text of a prompt.

    A target sentinel is the decoder's alone, as in training: it is taken off the answer, and the
    examples in the text, which are inputs here, have none.
    """
    queries = with_prompt(examples, text)
    data = scored_examples(task, queries, checkpoint, config, config.variant)
    return replace(data, ends_of_answer=ends_of_answer(task))


def _shots(
    config: TrainConfig, examples: Sequence[Example], checkpoint: Checkpoint
) -> list[Example]:
    assert config.prompt.num_shots is not None, config.prompt
    drawn = draw(examples, config.prompt.num_shots, config.seed)
    return those_that_fit(drawn, checkpoint.encode_text, config.training.max_input_tokens)


def _answer(
    run: Run, config: TrainConfig, checkpoint: Checkpoint, data: EvaluationSet, name: int | str
) -> Scores:
    """What the model scores on a split; keeps its predictions under a name."""
    model, max_tokens = checkpoint.model, config.machine.max_tokens_per_micro_batch
    nothing = torch.zeros(0, model.hidden_size, device=model.device)
    with run.counted("evaluating", len(data.examples)) as on_batch:
        evaluation = evaluate_prompt(
            checkpoint, nothing, data, max_tokens=max_tokens, on_batch=on_batch
        )
    write_predictions(run.folder.predictions_path(name), data, evaluation)
    return evaluation.scores
