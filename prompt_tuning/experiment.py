"""Where the parts meet: a training run, from its config to its record."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from prompt_tuning.assembly import load_model, make_method, wandb_settings
from prompt_tuning.config import TrainConfig, method_axes
from prompt_tuning.data.sources import Split, load_split
from prompt_tuning.data.tokenization import EncodedSplit, encode_split
from prompt_tuning.errors import UserError
from prompt_tuning.evaluation import (
    Evaluation,
    EvaluationSet,
    evaluate_prompt,
    evaluation_set,
    write_predictions,
)
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.models.loading import Checkpoint, save_checkpoint
from prompt_tuning.models.methods import Method
from prompt_tuning.optim import Adafactor
from prompt_tuning.prompt_files import save_prompt
from prompt_tuning.records import RunFolder
from prompt_tuning.reporting import Reporter, scores_line
from prompt_tuning.run_facts import RunFacts, Splits, summary
from prompt_tuning.task_data import cache_dir, data_spec, task_of
from prompt_tuning.tasks import Task
from prompt_tuning.tracking import Tracker
from prompt_tuning.training import EncodedExamples, TrainingRun, TrainingSettings

LOSSES_PER_EVALUATION = 100  # so many training losses are logged between two evaluations


def train(config: TrainConfig, folder: RunFolder) -> None:
    """Trains a prompt or a model as the config says, from the start or from where a run stopped.

    Args:
        config: the run.
        folder: where it leaves its files, the record last.

    Raises:
        UserError: the data, the model or a prompt file cannot be used.
        Interrupted: Ctrl-C or SIGTERM; the same command goes on from there.
    """
    task = task_of(config.task)
    splits = _load_splits(task, config)  # a broken line stops the run here
    folder.start(asdict(config))
    with ExitStack() as stack:
        reporter = stack.enter_context(Reporter(folder.log_path))
        stop = stack.enter_context(StopRequests())
        checkpoint = load_model(config.model, config.variant, config.machine, folder.cache)
        encoded = _encode_training_split(splits.train, checkpoint, config)
        dev = _evaluation_set(task, splits.evaluation, checkpoint, config)
        run = _training_run(config, task, checkpoint, encoded, folder)
        run.restore()
        facts = RunFacts(config, task, checkpoint, splits, encoded, run)
        reporter.header(f"ptune train  {folder.name}", facts.header())

        tracker = stack.enter_context(_tracker(config, folder, run.progress.step))
        watch = _Watch(checkpoint, dev, folder, run, reporter, tracker, stop)
        run.run(watch, stop)

        run.go_to_best()
        prompt_path = _save(facts, folder)
        report = None
        if splits.report is not None:
            report = watch.report(_evaluation_set(task, splits.report, checkpoint, config))
        result = facts.result(watch.best_evaluation(), report)
        sizes = {"model/num_parameters": checkpoint.num_parameters}
        tracker.summarise({**summary(result), **sizes}, prompt_path)
        folder.finish(facts.record(result))
        for line in facts.closing_lines(result, folder):
            reporter.line(line)


@dataclass
class _Watch:
    """Evaluates, prints and logs while a run goes on, and remembers its best evaluation."""

    checkpoint: Checkpoint
    dev: EvaluationSet
    folder: RunFolder
    run: TrainingRun
    reporter: Reporter
    tracker: Tracker
    stop: StopRequests
    loss: float | None = None  # of the last step since the run started or resumed
    best: Evaluation | None = None  # since the run started or resumed

    def __post_init__(self) -> None:
        settings, step = self.run.settings, self.run.progress.step
        self._log_every = max(1, settings.eval_every_steps // LOSSES_PER_EVALUATION)
        self._bar = self.reporter.bar("training", settings.num_steps, completed=step)

    def on_step(self, step: int, loss: float) -> None:
        """Moves the bar on and logs some of the losses."""
        self.loss = loss
        self._bar.advance(note=f"loss {loss:.3f}")
        if step % self._log_every == 0:
            self.tracker.log(step, {"train/loss": loss})

    def evaluate(self, method: Method, step: int) -> float:
        """Scores what a step has trained; keeps, logs and prints what came out."""
        evaluation = self._decode(self.dev)
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
        loss = "-" if self.loss is None else f"{self.loss:.4f}"
        self.reporter.line(
            f"step {step:>6}  loss {loss:>8}  {scores_line(scores.metrics, scores.score)}  "
            f"unparseable {scores.num_unparseable}/{scores.num_examples}{'  best' * is_best}"
        )
        return scores.score

    def best_evaluation(self) -> Evaluation:
        """That of the best step, once the run has gone to it.

        Decoded again if it was made before the run was resumed.
        """
        if self.best is None:
            self.best = self._decode(self.dev)
        return self.best

    def report(self, data: EvaluationSet) -> Evaluation:
        """That of the best step on a split that chose nothing; keeps what came out."""
        evaluation = self._decode(data)
        write_predictions(self.folder.predictions_path("report"), data, evaluation)
        return evaluation

    @torch.no_grad()
    def _decode(self, data: EvaluationSet) -> Evaluation:
        method = self.run.method
        bar = self.reporter.bar("evaluating", len(data.examples))

        def on_batch(num_rows: int) -> None:
            bar.advance(num_rows)
            self.stop.check()

        try:
            return evaluate_prompt(
                replace(self.checkpoint, model=method.make_model()),
                method.prompt,
                data,
                max_tokens=self.run.settings.max_tokens_per_micro_batch,
                on_batch=on_batch,
            )
        finally:
            bar.remove()


def _load_splits(task: Task, config: TrainConfig) -> Splits:
    """The training split, and two with labels."""
    spec, evaluation = data_spec(config.data), config.evaluation
    splits = Splits(
        load_split(task, "train", spec, limit=config.training.num_train_examples),
        load_split(task, evaluation.split, spec, limit=evaluation.num_examples),
        load_split(task, evaluation.report_split, spec) if evaluation.report_split else None,
    )
    for key, split, instead in (
        ("split", splits.evaluation, "validation"),
        ("report_split", splits.report, "null"),
    ):
        if split is not None and not split.is_labelled:
            raise UserError(
                f"evaluation.{key}={split.provenance['split']} of {task.name} has no labels to "
                "score a prompt by",
                fix=f"evaluation.{key}={instead}",
            )
    return splits


def _encode_training_split(
    split: Split, checkpoint: Checkpoint, config: TrainConfig
) -> EncodedSplit:
    return encode_split(
        split.examples,
        checkpoint.tokenizer,
        max_input_tokens=config.training.max_input_tokens,
        max_target_tokens=config.training.max_target_tokens,
        target_sentinel_id=checkpoint.sentinel_id if config.variant.target_sentinel else None,
        cache_dir=cache_dir(config.data),
    )


def _evaluation_set(
    task: Task, split: Split, checkpoint: Checkpoint, config: TrainConfig
) -> EvaluationSet:
    return evaluation_set(
        task,
        split.examples,
        checkpoint,
        target_sentinel=config.variant.target_sentinel,
        max_target_tokens=config.evaluation.max_target_tokens,
        cache_dir=cache_dir(config.data),
    )


def _training_run(
    config: TrainConfig,
    task: Task,
    checkpoint: Checkpoint,
    encoded: EncodedSplit,
    folder: RunFolder,
) -> TrainingRun:
    """The run before its first step: what it trains, optimiser, data, settings."""
    method, device = make_method(config, task, checkpoint), checkpoint.model.device
    settings = asdict(config.optimizer)
    return TrainingRun(
        method=method,
        optimizer=Adafactor(method.trained.values(), settings.pop("learning_rate"), **settings),
        examples=EncodedExamples(
            inputs=[torch.tensor(ids, device=device) for ids in encoded.inputs],
            targets=[torch.tensor(ids, device=device) for ids in encoded.targets],
        ),
        settings=TrainingSettings(
            num_steps=config.training.num_steps,
            batch_size=config.training.batch_size,
            eval_every_steps=config.evaluation.every_steps,
            dropout=config.training.dropout,
            z_loss=config.training.z_loss,
            seed=config.seed,
            max_tokens_per_micro_batch=config.machine.max_tokens_per_micro_batch,
        ),
        resume_path=folder.resume_path,
    )


def _save(facts: RunFacts, folder: RunFolder) -> Path | None:
    """Saves what was trained; returns the prompt's file, if there is a prompt."""
    method, checkpoint = facts.run.method, facts.checkpoint
    if facts.config.method == "prompt_tuning":
        prompt = method.prompt.detach().cpu().numpy()
        save_prompt(folder.prompt_path, prompt, facts.prompt_metadata())
        return folder.prompt_path
    save_checkpoint(
        folder.model_path,
        method.trained,
        checkpoint.source,
        dtype=torch.float32,
        revision=checkpoint.revision,
    )
    return None


def _tracker(config: TrainConfig, folder: RunFolder, step: int) -> Tracker:
    settings = wandb_settings(
        config.tracking,
        run_name=folder.name,
        job_type="train",
        group=config.experiment or config.task.name,
        axes=[
            config.model.name,
            config.variant.name,
            config.task.name,
            *method_axes(config),
            config.recipe,
        ],
    )
    return Tracker(folder.path, settings, asdict(config), step)
