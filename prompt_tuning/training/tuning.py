"""A run of prompt tuning or model tuning on one task: read `train` and know what a run is."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prompt_tuning.config import TrainConfig, quoted
from prompt_tuning.data.sources import Split
from prompt_tuning.data.tokenization import decode_ids
from prompt_tuning.evaluation import (
    Evaluation,
    EvaluationSet,
    let_go,
    score_of,
    write_predictions,
)
from prompt_tuning.examples import encode_training_examples, load_splits, scored_examples
from prompt_tuning.files import file_facts
from prompt_tuning.ladder.baselines import floor_of, next_commands
from prompt_tuning.loop import TrainingRun
from prompt_tuning.metrics import Scores
from prompt_tuning.model_choice import load_model
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.models.methods import Method
from prompt_tuning.own_data import as_metadata, check_sayable, label_lines
from prompt_tuning.prompt_files import save_prompt
from prompt_tuning.protocol import started
from prompt_tuning.ranks import here
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_data import task_of
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import Task
from prompt_tuning.terminal import scored_line
from prompt_tuning.training import outcome
from prompt_tuning.training.first_prompt import make_method
from prompt_tuning.training.follower import SharedWork
from prompt_tuning.training.walk import ScoredTask, Walk, Watch, training_run

# What is kept in a run's resume point: scores before training, by split; those of the best step so
# far on the reported split; those of the step that this split would choose, the paper's way.
UNTRAINED, REPORT, REPORT_CHOOSES = "untrained", "report", "report_chooses"


def train(config: TrainConfig, folder: RunFolder) -> None:
    """Trains a prompt or a model as the config says, from the start or from where a run stopped.

    It leaves its files in `folder`, which is claimed, the record last.

    Raises:
        UserError: the data, the model or a prompt file cannot be used.
        Interrupted: Ctrl-C or SIGTERM; the same command goes on from there.
    """
    task = task_of(config.task)
    splits = load_splits(task, config)  # a broken line stops the run here
    data = splits.provenance()
    if config.init.strategy == "from_file":
        data["init"] = file_facts(Path(str(config.init.path)))
    with started(folder, "train", config) as run:
        stop = run.stop  # from here on: the next look at it is between two steps
        group = here().group if config.machine.spread_weights else None
        checkpoint = load_model(config.model, config.variant, config.machine, folder.cache, group)
        encode, tokenizer = checkpoint.encode_text, checkpoint.tokenizer
        check_sayable(task, lambda text: decode_ids(tokenizer, encode(text)))
        encoded = encode_training_examples(splits.train.examples, checkpoint, config)
        # Followers under torchrun, if any, load and encode as this says (`follower.py`).
        here().broadcast(SharedWork(config, checkpoint.source, checkpoint.revision, encoded))
        scored = ScoredTask.of(config, task, splits, checkpoint)
        method = make_method(config, task, checkpoint)
        init = method.prompt.detach().cpu().numpy().copy()  # begin() overwrites a resumed prompt
        training = training_run(config, method, encoded, folder)
        walk = Walk(run, checkpoint, encoded, data, training)
        about = {
            **_parameter_lines(config, training, checkpoint),
            "task": outcome.task_line(config, task, splits),
            **label_lines(task, splits.train.examples),
        }
        tracker = walk.begin(about, splits.train.provenance["dropped"])

        watch = _Watch(training, run.reporter, tracker, run, checkpoint, scored)
        watch.before_training()
        let_go(checkpoint.model)
        training.run(watch, stop)

        training.go_to_best()
        prompt_path = None
        if config.method == "prompt_tuning":
            prompt_path = _save_prompt(walk, init)
        else:
            walk.save_model()
        result = watch.result()
        if config.training.patience:
            result["last_step"] = training.progress.step
        if splits.transfer:
            result["transfer"] = _transfer(watch, splits.transfer)
        let_go(checkpoint.model)
        walk.end(tracker, result, prompt_path)
        run.say(*_closing_lines(walk, task, result))
        if prompt_path is not None:
            run.suggest(*_uses(folder, task))
        if task.is_embedded and config.model.path is None:
            run.suggest(*next_commands(task, config.model.name))


def _uses(folder: RunFolder, task: Task) -> list[str]:
    """Commands that do something with a trained prompt, as one types them."""
    path = str(folder.path)
    if not re.fullmatch(r"[\w./-]+", path, re.ASCII):  # the rest is for Hydra's grammar to read
        path = quoted(path)
    prompt = shlex.quote(f"prompt={path}")
    ranked = " rank=labels probabilities=true" if task.verbalizers else ""
    return [
        f"ptune predict {prompt} input=rows.jsonl output=answers.jsonl{ranked}",
        f"ptune export {prompt} output=exported",
    ]


@dataclass
class _Watch(Watch):
    """Evaluates a run while it goes on, and remembers its best evaluation."""

    scored: ScoredTask
    best: Evaluation | None = None  # since the run started or resumed

    def before_training(self) -> None:
        """Scores what is not trained yet, if the config asks for it; it chooses no step."""
        kept, names, report = self.training.kept, self.scored.config.evaluation, self.scored.report
        if not names.before_training or kept.get(UNTRAINED):
            return
        answers = {names.split: self.answer(self.scored.dev, 0)}
        if report is not None:
            answers[str(names.report_split)] = self.answer(report, UNTRAINED)
        kept[UNTRAINED] = {name: asdict(each.scores) for name, each in answers.items()}
        self._show(0, *answers.values(), is_best=False)
        if not self.training.method.is_spread:  # then all processes save, between two steps
            self.training.save()

    def evaluate(self, method: Method, step: int) -> float:
        """Scores what a step has trained; keeps, logs and prints what came out."""
        evaluation, report = self.answer(self.scored.dev, step), self.scored.report
        score = score_of(evaluation)
        is_best = self.training.is_best(score)
        reported = []
        if report is not None and self.scored.config.evaluation.report_at_every_step:
            reported = [self._report_at(report, step, is_best=is_best)]
        if is_best:
            self.best = evaluation
        let_go(self.checkpoint.model)
        self._show(step, evaluation, *reported, is_best=is_best)
        return score

    def result(self) -> dict[str, Any]:
        """What came out, once the run has gone to its best step.

        A split is decoded again if the best step was before the run was resumed.
        """
        kept, report = self.training.kept, None
        best = self.best or self.decode(self.scored.dev)
        if REPORT in kept:
            report = Scores(**kept[REPORT])
        elif self.scored.report is not None:
            report = self.answer(self.scored.report, REPORT).scores
        best_step = self.training.progress.best_step
        extra = {key: kept[key] for key in (UNTRAINED, REPORT_CHOOSES) if key in kept}
        return self.scored.result(best.scores, report, best_step=best_step) | extra

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
        prompt, scores = self.training.method.prompt, [asdict(each.scores) for each in scored]
        measured = {"time/duration_s": round(self.training.progress.duration_s, 3)}
        for prefix, each in zip(("eval", "report"), scores, strict=False):
            measured |= outcome.flat_scores(prefix, each)
        if len(prompt):
            measured["prompt/rms"] = prompt.square().mean().sqrt().item()
        self.tracker.log(step, measured)
        split = self.scored.config.evaluation.report_split
        line = scored_line(scores[0])
        line += "".join(f"  {split} {each['score']:.2f}" for each in scores[1:])
        self.say(step, line, is_best=is_best)


def _transfer(watch: _Watch, splits: Mapping[str, Split]) -> dict[str, Any]:
    """What the best step scores on tasks which it was not trained on."""
    config, taught, result = watch.scored.config, watch.scored.task, {}
    for name, split in splits.items():
        task, examples = TASKS[name], split.examples
        data = scored_examples(
            task, examples, watch.checkpoint, config, config.variant, taught=taught
        )
        result[name] = {
            "split": config.evaluation.report_split or config.evaluation.split,
            **asdict(watch.answer(data, "transfer", name).scores),
            "floor": floor_of(task, split),
        }
    return result


def _parameter_lines(
    config: TrainConfig, training: TrainingRun, checkpoint: Checkpoint
) -> dict[str, str]:
    """How much of a model that is spread this process holds, and how much of it is trained."""
    total, trained, lines = checkpoint.num_parameters, training.num_trained, {}
    if checkpoint.model.is_spread:
        held = total - checkpoint.model.num_elsewhere
        lines["weights"] = f"{held:,} of {total:,} in each of {here().size} processes"
    if config.method == "model_tuning":
        return lines | {"trained": f"all {trained:,} parameters (model tuning), no prompt"}
    length, width = training.method.prompt.shape
    size = f"{length} x {width} = {trained:,} parameters ({100 * trained / total:.4f} %)"
    return lines | {"trained": f"a prompt of {size}, init {config.init.strategy}"}


def _save_prompt(walk: Walk, init: NDArray[np.float32]) -> Path:
    """Writes the prompt of the best step with what is needed to use it again."""
    config, checkpoint, progress = walk.run.config, walk.checkpoint, walk.training.progress
    metadata = {
        "model": config.model.name,
        "source": checkpoint.source,
        "revision": checkpoint.revision,
        **checkpoint.fingerprints,
        **asdict(config.variant),
        "variant": config.variant.name,
        "task": config.task.name,
        **({"own_task": as_metadata(config.task)} if config.task.is_own else {}),
        "init": config.init.strategy,
        **({"init_words": config.init.words} if config.init.words else {}),
        "recipe": config.recipe,
        "seed": config.seed,
        "config_hash": walk.run.config_hash,
        "step": progress.best_step,
        "score": progress.best_score,
    }
    path, prompt = walk.run.folder.prompt_path, walk.training.method.prompt
    save_prompt(path, prompt.detach().cpu().numpy(), metadata, init)
    return path


def _closing_lines(walk: Walk, task: Task, result: Mapping[str, Any]) -> list[str]:
    """The run in one line; then what is reported, and what it stands beside."""
    config = walk.run.config
    how = f" at step {result['best_step']} of {config.training.num_steps}"
    duration_s = walk.training.progress.duration_s
    lines = outcome.closing_lines(walk.run, task.name, result, how, duration_s)
    for target, scored in result.get("transfer", {}).items():
        shown = {"report": scored, "floor": scored["floor"]}
        lines += outcome.reported_lines(config, f"{target}, never trained on,", shown)
    return lines
