"""A run of prompt tuning or model tuning on one task: read `train` and know what a run is."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prompt_tuning.config import EvaluationConfig, TrainConfig, config_hash
from prompt_tuning.data.sources import Split
from prompt_tuning.data.tokenization import EncodedSplit
from prompt_tuning.evaluation import Evaluation, EvaluationSet, score_of, write_predictions
from prompt_tuning.examples import encode_training_examples, load_splits, scored_examples
from prompt_tuning.files import file_facts
from prompt_tuning.ladder.baselines import floor_of, next_commands
from prompt_tuning.loop import EncodedExamples, Progress, TrainingRun, TrainingSettings, shuffled
from prompt_tuning.metrics import Scores
from prompt_tuning.model_choice import load_model
from prompt_tuning.models.loading import Checkpoint, save_checkpoint
from prompt_tuning.models.methods import Method
from prompt_tuning.optim import Adafactor
from prompt_tuning.prompt_files import save_prompt
from prompt_tuning.protocol import started
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_data import task_of
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import Task
from prompt_tuning.terminal import scored_line
from prompt_tuning.train import outcome
from prompt_tuning.train.first_prompt import make_method
from prompt_tuning.train.watch import Watch

# What is kept in a run's resume point: scores before training, by split; those of the best step so
# far on the reported split; those of the step that this split would choose, the paper's way.
UNTRAINED, REPORT, REPORT_CHOOSES = "untrained", "report", "report_chooses"


def train(config: TrainConfig, folder: RunFolder) -> None:
    """Trains a prompt or a model as the config says, from the start or from where a run stopped.

    Args:
        config: the run.
        folder: where it leaves its files, the record last; claimed.

    Raises:
        UserError: the data, the model or a prompt file cannot be used.
        Interrupted: Ctrl-C or SIGTERM; the same command goes on from there.
    """
    task, variant = task_of(config.task), config.variant
    splits = load_splits(task, config)  # a broken line stops the run here
    data = splits.provenance()
    if config.init.strategy == "from_file":
        data["init"] = file_facts(Path(str(config.init.path)))
    with started(folder, "train", config) as run:
        stop = run.stop  # from here on: the next look at it is between two steps
        checkpoint = load_model(config.model, variant, config.machine, folder.cache)
        encoded = encode_training_examples(splits.train.examples, checkpoint, config)

        def ready(split: Split) -> EvaluationSet:
            return scored_examples(task, split.examples, checkpoint, config, variant)

        dev = ready(splits.evaluation)
        report = ready(splits.report) if splits.report else None
        method = make_method(config, task, checkpoint)
        init = method.prompt.detach().cpu().numpy().copy()  # restore() overwrites the prompt
        training = training_run(config, method, encoded, folder)
        training.restore()
        run.check_resumed(training.kept, {**data, "model": outcome.model_facts(checkpoint)})
        step = training.progress.step
        about = {
            "trained": _trained_line(config, method, checkpoint),
            "task": outcome.task_line(config, task, splits),
            "training": outcome.training_line(config, step),
        }
        dropped = splits.train.provenance["dropped"]
        run.header(outcome.header_of(config, checkpoint, about, dropped, encoded))
        tracker = outcome.track(run, config, step)

        parts = (training, run.reporter, tracker, run, checkpoint)
        watch = _Watch(*parts, config.evaluation, dev, report)
        watch.before_training()
        training.run(watch, stop)

        training.go_to_best()
        prompt_path = None
        if config.method == "prompt_tuning":
            prompt_path = _save_prompt(config, checkpoint, training, folder, init)
        else:
            save_model(method, checkpoint, folder)
        result = outcome.result_of(
            config,
            task,
            splits,
            watch.best_evaluation().scores,
            watch.best_report(),
            best_step=training.progress.best_step,
        )
        result |= {key: each for key, each in training.kept.items() if key in _IN_RESULT}
        if config.training.patience:
            result["last_step"] = training.progress.step
        if splits.transfer:
            result["transfer"] = _transfer(config, task, splits.transfer, watch)
        sizes = {"model/num_parameters": checkpoint.num_parameters}
        tracker.summarise({**outcome.summary(result), **sizes}, prompt_path)
        run.finish(
            outcome.record_of(
                config,
                checkpoint,
                result,
                data={
                    **data,
                    "truncated_inputs": encoded.truncated_inputs,
                    "truncated_targets": encoded.truncated_targets,
                },
                num_trainable_parameters=outcome.num_trained(method),
                duration_s=training.progress.duration_s,
            )
        )
        run.say(*_closing_lines(config, task, result, training.progress, folder))


_IN_RESULT = (UNTRAINED, REPORT_CHOOSES)


def training_run(
    config: TrainConfig, method: Method, encoded: EncodedSplit, folder: RunFolder
) -> TrainingRun:
    """The training before its first step: what it trains, optimiser, data, settings."""
    device = method.prompt.device
    settings = asdict(config.optimizer)
    examples = EncodedExamples(
        inputs=[torch.tensor(ids, device=device) for ids in encoded.inputs],
        targets=[torch.tensor(ids, device=device) for ids in encoded.targets],
    )
    return TrainingRun(
        method=method,
        optimizer=Adafactor(method.trained.values(), settings.pop("learning_rate"), **settings),
        batch_of_step=shuffled(examples, config.training.batch_size, seed=config.seed),
        settings=TrainingSettings(
            num_steps=config.training.num_steps,
            eval_every_steps=config.evaluation.every_steps,
            dropout=config.training.dropout,
            z_loss=config.training.z_loss,
            seed=config.seed,
            patience=config.training.patience,
            max_tokens_per_micro_batch=config.machine.max_tokens_per_micro_batch,
        ),
        resume_path=folder.resume_path,
    )


def save_model(method: Method, checkpoint: Checkpoint, folder: RunFolder) -> None:
    """Writes the weights that were trained, as a checkpoint for `model.path=`."""
    save_checkpoint(
        folder.model_path,
        method.trained,
        checkpoint.source,
        dtype=torch.float32,
        revision=checkpoint.revision,
    )


@dataclass
class _Watch(Watch):
    """Evaluates a run while it goes on, and remembers its best evaluation."""

    config: EvaluationConfig
    dev: EvaluationSet
    report: EvaluationSet | None
    best: Evaluation | None = None  # since the run started or resumed

    def before_training(self) -> None:
        """Scores what is not trained yet, if the config asks for it; it chooses no step."""
        kept = self.training.kept
        if not self.config.before_training or kept.get(UNTRAINED):
            return
        scored = {self.config.split: self.answer(self.dev, 0)}
        if self.report is not None:
            scored[str(self.config.report_split)] = self.answer(self.report, UNTRAINED)
        kept[UNTRAINED] = {name: asdict(each.scores) for name, each in scored.items()}
        self._show(0, *scored.values(), is_best=False)
        self.training.save()

    def evaluate(self, method: Method, step: int) -> float:
        """Scores what a step has trained; keeps, logs and prints what came out."""
        evaluation, best_score = self.answer(self.dev, step), self.training.progress.best_score
        score = score_of(evaluation)
        is_best = best_score is None or score > best_score
        reported = []
        if self.report is not None and self.config.report_at_every_step:
            reported = [self._report_at(self.report, step, is_best=is_best)]
        if is_best:
            self.best = evaluation
        self._show(step, evaluation, *reported, is_best=is_best)
        return score

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
        if REPORT in self.training.kept:
            return Scores(**self.training.kept[REPORT])
        return self.answer(self.report, REPORT).scores

    def _report_at(self, data: EvaluationSet, step: int, *, is_best: bool) -> Evaluation:
        """What a step makes of the reported split, which chooses nothing; keeps its own best."""
        evaluation, kept = self.decode(data), self.training.kept
        if is_best:
            write_predictions(self.run.folder.predictions_path(REPORT), data, evaluation)
            kept[REPORT] = asdict(evaluation.scores)
        if REPORT_CHOOSES not in kept or score_of(evaluation) > kept[REPORT_CHOOSES]["score"]:
            kept[REPORT_CHOOSES] = {**asdict(evaluation.scores), "best_step": step}
        return evaluation

    def _show(self, step: int, *scored: Evaluation, is_best: bool) -> None:
        """Logs and prints the scores of a step, on the split that chooses and the reported one."""
        prompt = self.training.method.prompt
        measured: dict[str, float] = {}
        for prefix, evaluation in zip(("eval", "report"), scored, strict=False):
            scores = evaluation.scores
            values = {**scores.metrics, "score": score_of(evaluation)}
            measured |= {f"{prefix}/{name}": value for name, value in values.items()}
            measured[f"{prefix}/unparseable"] = scores.num_unparseable
        measured["time/duration_s"] = round(self.training.progress.duration_s, 3)
        if len(prompt):
            measured["prompt/rms"] = prompt.square().mean().sqrt().item()
        self.tracker.log(step, measured)
        dev, *report = [evaluation.scores for evaluation in scored]
        line = scored_line(asdict(dev))
        line += "".join(f"  {self.config.report_split} {each.score:.2f}" for each in report)
        self.say(step, line, is_best=is_best)


def _transfer(
    config: TrainConfig, source: Task, splits: Mapping[str, Split], watch: _Watch
) -> dict[str, Any]:
    """What the best step scores on tasks which it was not trained on."""
    result, names, checkpoint = {}, config.evaluation, watch.checkpoint
    for name, split in splits.items():
        task, variant = TASKS[name], config.variant
        data = scored_examples(task, split.examples, checkpoint, config, variant, source=source)
        result[name] = {
            "split": names.report_split or names.split,
            **asdict(watch.answer(data, "transfer", name).scores),
            "floor": floor_of(task, split),
        }
    return result


def _trained_line(config: TrainConfig, method: Method, checkpoint: Checkpoint) -> str:
    trained = outcome.num_trained(method)
    if config.method == "model_tuning":
        return f"all {trained:,} parameters (model tuning), no prompt"
    length, width = method.prompt.shape
    share = 100 * trained / checkpoint.num_parameters
    size = f"{length} x {width} = {trained:,} parameters ({share:.4f} %)"
    return f"a prompt of {size}, init {config.init.strategy}"


def _save_prompt(
    config: TrainConfig,
    checkpoint: Checkpoint,
    training: TrainingRun,
    folder: RunFolder,
    init: NDArray[np.float32],
) -> Path:
    """Writes the prompt of the best step with what is needed to use it again."""
    metadata = {
        "model": config.model.name,
        "source": checkpoint.source,
        "revision": checkpoint.revision,
        "fingerprint": checkpoint.fingerprint,
        **asdict(config.variant),
        "variant": config.variant.name,
        "task": config.task.name,
        "init": config.init.strategy,
        "recipe": config.recipe,
        "seed": config.seed,
        "config_hash": config_hash(config),
        "step": training.progress.best_step,
        "score": training.progress.best_score,
    }
    prompt = training.method.prompt.detach().cpu().numpy()
    save_prompt(folder.prompt_path, prompt, metadata, init)
    return folder.prompt_path


def _closing_lines(
    config: TrainConfig,
    task: Task,
    result: Mapping[str, Any],
    progress: Progress,
    folder: RunFolder,
) -> list[str]:
    """The run in one line; then what is reported, what it stands beside, what to try next."""
    name = task.name
    how = f" at step {result['best_step']} of {config.training.num_steps}"
    lines = [
        f"{name} on {result['split']}: {outcome.answers_line(result, how)}, "
        f"{progress.duration_s:.1f} s  {folder.record_path}",
        *outcome.reported_lines(config, name, result),
    ]
    for target, scored in result.get("transfer", {}).items():
        shown = {"report": scored, "floor": scored["floor"]}
        lines += outcome.reported_lines(config, f"{target}, never trained on,", shown)
    if task.is_embedded and config.model.path is None:
        lines += [f"next: {line}" for line in next_commands(task, config.model.name)]
    return lines
