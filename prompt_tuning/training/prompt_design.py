"""Prompt design: a frozen model is shown solved examples as text, and nothing is trained.

Source: Brown et al. (2020), few-shot; the baseline of figure 1 in Lester et al. (2021).
With evaluation.rank=labels the likelihoods of the classes are compared, as GPT-3's are, and none is
illegal; without it an answer is decoded greedily, as everywhere here.
"""

import time
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
from prompt_tuning.data.sources import Split
from prompt_tuning.evaluation import EvaluationSet, answered, write_predictions
from prompt_tuning.examples import load_splits, scored_examples
from prompt_tuning.model_choice import load_model
from prompt_tuning.protocol import started
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_data import task_of_run
from prompt_tuning.training import outcome
from prompt_tuning.training.walk import ScoredTask

STEP = 0  # the best one, and the only one


def train(config: TrainConfig, folder: RunFolder) -> None:
    """Scores a frozen model on a task behind examples of it, the same for every query.

    It leaves its files in `folder`, which is claimed, the record last.

    Raises:
        UserError: the data or the model cannot be used.
        Interrupted: Ctrl-C or SIGTERM; the same command starts again.
    """
    task = task_of_run(config)
    splits = load_splits(task, config)
    with started(folder, "train", config) as run:
        checkpoint = load_model(config.model, config.variant, config.machine, folder.cache)
        assert config.prompt.num_shots is not None, config.prompt
        drawn = draw(splits.train.examples, config.prompt.num_shots, config.seed)
        limit = config.training.max_input_tokens
        shots = those_that_fit(drawn, checkpoint.encode_text, limit)
        text = prompt_text(shots)
        folder.prompt_text_path.write_text(text + "\n", encoding="utf-8")
        about = {
            "trained": "nothing (prompt design)",
            "task": outcome.task_line(config, task, splits),
            "prompt": f"{len(shots)} of {config.prompt.num_shots} solved examples, drawn by "
            f"seed {config.seed}: {len(checkpoint.encode_text(text))} tokens"
            + ("" if limit is None else f" of at most {limit}"),
        }
        run.header(outcome.header_of(config, checkpoint, about, splits.train.provenance["dropped"]))
        tracker = outcome.track(run, None)

        nothing = torch.zeros(0, checkpoint.model.hidden_size, device=checkpoint.model.device)
        max_tokens = config.machine.max_tokens_per_micro_batch
        begun = time.monotonic()

        def ready(split: Split) -> EvaluationSet:
            """A split behind the text.

            A target sentinel is the decoder's alone, as in training: it is taken off the answer,
            and the examples in the text, which are inputs here, have none.
            """
            queries = with_prompt(split.examples, text)
            data = scored_examples(task, queries, checkpoint, config, config.variant)
            return replace(data, ends_of_answer=ends_of_answer(task))

        report = ready(splits.report) if splits.report else None
        scored, scores = ScoredTask(config, task, splits, ready(splits.evaluation), report), {}
        for name, data in (STEP, scored.dev), ("report", scored.report):
            if data is not None:
                evaluation = answered(run, checkpoint, nothing, data, max_tokens)
                write_predictions(folder.predictions_path(name), data, evaluation)
                scores[name] = evaluation.scores
        duration_s = time.monotonic() - begun
        result = scored.result(scores[STEP], scores.get("report"), best_step=STEP)
        result["num_shots"] = len(shots)
        tracker.log(STEP, outcome.flat_scores("eval", result))
        tracker.summarise(outcome.summary(result))
        made_from = {**splits.provenance(), "shots": [each.idx for each in shots]}
        run.finish(
            outcome.record_of(checkpoint, result, made_from, num_trained=0, duration_s=duration_s)
        )
        how = f" behind {len(shots)} examples"
        run.say(*outcome.closing_lines(run, task.name, result, how, duration_s))
