"""Scoring a saved prompt on any task and split, from the config to the record."""

import hashlib
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from prompt_tuning.assembly import load_for_prompt, variant_of, wandb_settings
from prompt_tuning.config import EvaluateConfig, config_hash
from prompt_tuning.data.sources import Split, load_split
from prompt_tuning.evaluation import (
    Evaluation,
    evaluate_prompt,
    write_predictions,
)
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.prompt_files import check_fits, load_prompt
from prompt_tuning.records import RunFolder, environment, peak_memory_gib
from prompt_tuning.reporting import Reporter, scores_line
from prompt_tuning.runs.facts import RECORD_FORMAT, model_facts, rank_text
from prompt_tuning.runs.parts import scored_examples
from prompt_tuning.task_data import data_spec, task_of
from prompt_tuning.tracking import Tracker


def evaluate(config: EvaluateConfig) -> None:
    """Decodes a split under a saved prompt, unless the same was done: then its record stands.

    A split without labels gives predictions and no score.

    Raises:
        UserError: the prompt, the data or the model cannot be used, or do not belong together.
        InProgress: another process does the same.
    """
    path = Path(config.prompt)
    prompt = load_prompt(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    folder = RunFolder(Path(config.output_dir) / _name(config, digest))
    if (done := folder.record()) and not config.rerun:
        print(f"{folder.name}: done before, {_scores_line(done['result'])}  {folder.record_path}")
        return

    task = task_of(config.task)
    limit = config.evaluation.num_examples
    split = load_split(task, config.split, data_spec(config.data), limit=limit)
    with ExitStack() as stack:
        stack.enter_context(folder.claimed())
        folder.start(asdict(config))
        reporter = stack.enter_context(Reporter(folder.log_path))
        variant = variant_of(config.variant, prompt)
        checkpoint = load_for_prompt(config.model, variant, prompt, config.machine, folder.cache)
        check_fits(
            prompt,
            path,
            hidden_size=checkpoint.model.hidden_size,
            fingerprint=checkpoint.fingerprint,
        )
        reporter.header(
            f"ptune evaluate  {folder.name}",
            {
                "prompt": f"{path}: {prompt.length} x {prompt.hidden_size}, "
                f"trained on {prompt.metadata.get('task', 'an unknown task')}",
                "model": f"{checkpoint.source}: {checkpoint.num_parameters:,} parameters",
                "task": f"{task.name}: {len(split.examples)} examples of {config.split}"
                + rank_text(config.evaluation),
            },
        )
        settings = wandb_settings(
            config.tracking,
            run_name=folder.name,
            job_type="evaluate",
            group=task.name,
            axes=[task.name, config.split, f"P{prompt.length}"],
        )
        tracker = stack.enter_context(Tracker(folder.path, settings, asdict(config), step=0))
        data = scored_examples(task, split.examples, checkpoint, config, variant)
        bar = reporter.bar("evaluating", len(split.examples))
        evaluation = evaluate_prompt(
            checkpoint,
            torch.from_numpy(prompt.weight).to(checkpoint.model.device),
            data,
            max_tokens=config.machine.max_tokens_per_micro_batch,
            on_batch=bar.advance,
        )
        write_predictions(folder.predictions_path(), data, evaluation)
        result = _result(config, evaluation)
        tracker.log(0, {f"eval/{name}": value for name, value in result["metrics"].items()})
        tracker.summarise({"eval/score": result["score"]})
        folder.finish(_record(config, digest, checkpoint, split, result))
        reporter.line(f"{task.name}: {_scores_line(result)}  {folder.record_path}")


def _name(config: EvaluateConfig, prompt_digest: str) -> str:
    """Named after the prompt's content too: another prompt at the same path is another run."""
    digest = hashlib.sha256(f"{config_hash(config)} {prompt_digest}".encode()).hexdigest()[:8]
    return f"evaluate-{config.task.name}-{config.split}-{digest}"


def _result(config: EvaluateConfig, evaluation: Evaluation) -> dict[str, Any]:
    return {"split": config.split, **asdict(evaluation.scores)}


def _record(
    config: EvaluateConfig,
    prompt_digest: str,
    checkpoint: Checkpoint,
    split: Split,
    result: dict[str, Any],
) -> dict[str, Any]:
    return {
        "format": RECORD_FORMAT,
        "kind": "evaluate",
        "result": result,
        "config": asdict(config),
        "config_hash": config_hash(config),
        "prompt": {"path": config.prompt, "sha256": prompt_digest},
        "model": model_facts(checkpoint),
        "data": {config.split: split.provenance},
        "peak_memory_gib": peak_memory_gib(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **environment(),
    }


def _scores_line(result: dict[str, Any]) -> str:
    if result["score"] is None:
        return "no labels, predictions only"
    return (
        f"{scores_line(result['metrics'], result['score'])}  "
        f"unparseable {result['num_unparseable']}/{result['num_examples']}"
    )
