"""Where the parts of pre-training meet: from a config to checkpoints and their record."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from prompt_tuning.model_choice import machine_of
from prompt_tuning.models.loading import load_weights, save_checkpoint, weights_fingerprint
from prompt_tuning.pretraining.corpus import Corpus
from prompt_tuning.pretraining.parts import (
    corpora,
    first_checkpoint,
    learning_rate,
    make_optimizer,
    objective_of,
    text_source,
)
from prompt_tuning.pretraining.probes import WorldProbes
from prompt_tuning.pretraining.segments import SegmentOrder, make_rows
from prompt_tuning.pretraining.settings import PretrainConfig
from prompt_tuning.pretraining.training import (
    PretrainingRun,
    PretrainingSettings,
    Row,
    mean_loss,
)
from prompt_tuning.protocol import Run, started
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.tracking import Tracker

LOSSES_PER_EVALUATION = 100
NUM_PROBES = 200  # of each kind


def pretrain(config: PretrainConfig, folder: RunFolder, kind: str) -> None:
    """Trains the weights of a T5 v1.1 on text; leaves checkpoints in the hub's layout.

    Args:
        config: the run.
        folder: becomes the last checkpoint; those of `save_at_steps` are folders inside.
        kind: the command, pretrain or adapt, for the record.

    Raises:
        UserError: the text or the checkpoint cannot be used.
        Interrupted: Ctrl-C or SIGTERM; the same command goes on from there.
    """
    with started(folder, kind, config) as run:
        source = text_source(config.corpus)
        first = first_checkpoint(config, source, folder.path / "first")
        tokenizer = AutoTokenizer.from_pretrained(first)
        assert isinstance(tokenizer, PreTrainedTokenizerFast), type(tokenizer)
        corpus, held_out = corpora(config, source, tokenizer)
        training = _training(config, first, _rows(config, corpus, tokenizer), folder)
        weights = training.weights
        fingerprint = weights_fingerprint(weights["shared.weight"], weights["lm_head.weight"])
        training.restore()
        run.header(_header(config, training, corpus))
        step = training.progress.step
        watch = _Watch(
            config,
            training,
            run,
            run.track(group=kind, axes=[config.objective.name], step=step),
            _held_out_rows(config, held_out, tokenizer),
            _probes(config, tokenizer),
        )

        def save(step: int) -> None:
            inside = "" if step == config.pretraining.num_steps else f"step-{step}"
            _save(config, training, first, folder.path / inside)

        training.run(run.stop, on_step=watch.on_step, on_evaluation=watch.evaluate, on_save=save)
        save(training.progress.step)
        measured, progress = watch.last_measured(), training.progress
        run.finish(
            {
                "result": {
                    **asdict(measured),
                    "num_tokens": progress.num_tokens,
                    "tokens_per_s": round(progress.num_tokens / progress.duration_s, 1),
                },
                "model": {"source": first, "fingerprint": fingerprint},  # before the first step
                "data": {**corpus.provenance, "num_tokens_trained_on": corpus.num_tokens},
                "num_parameters": sum(weight.numel() for weight in weights.values()),
                "duration_s": round(progress.duration_s, 3),
            }
        )
        run.say(
            f"{folder.name}: held-out loss {measured.held_out_loss:.4f}, "
            f"{progress.num_tokens:,} tokens, {progress.duration_s:.0f} s  {folder.path}"
        )


@dataclass(frozen=True)
class _Measured:
    """What an evaluation found."""

    held_out_loss: float
    probes: dict[str, float]  # zero-shot; empty if the run has none


@dataclass
class _Watch:
    """Prints and logs while a run goes on."""

    config: PretrainConfig
    training: PretrainingRun
    run: Run
    tracker: Tracker
    held_out_rows: Sequence[Row]
    probes: WorldProbes | None  # of a run on the mini world
    loss: float | None = None  # of the last step since the run started or resumed
    measured: _Measured | None = None  # by the last evaluation since then

    def __post_init__(self) -> None:
        num_steps, step = self.config.pretraining.num_steps, self.training.progress.step
        self._log_every = max(1, self.config.evaluation.every_steps // LOSSES_PER_EVALUATION)
        self._bar = self.run.reporter.bar("pre-training", num_steps, completed=step)
        self._since = (time.monotonic(), self.training.progress.num_tokens)

    def on_step(self, step: int, loss: float) -> None:
        """Moves the bar on and logs some of the losses."""
        self.loss = loss
        self._bar.advance(note=f"loss {loss:.3f}")
        if step % self._log_every == 0:
            self.tracker.log(step, {"train/loss": loss})

    def evaluate(self, step: int) -> None:
        """Measures, prints and logs held-out loss and probes."""
        num_tokens = self.training.progress.num_tokens
        then, num_tokens_then = self._since
        tokens_per_s = (num_tokens - num_tokens_then) / (time.monotonic() - then)
        self.measured = measured = self._measure()
        values = {
            "eval/held_out_loss": measured.held_out_loss,
            "train/tokens": num_tokens,
            "train/tokens_per_s": tokens_per_s,
        }
        values |= {f"probe/{kind}": share for kind, share in measured.probes.items()}
        self.tracker.log(step, values)
        loss = "-" if self.loss is None else f"{self.loss:.4f}"
        self.run.say(
            f"step {step:>7}  loss {loss:>7}  held-out loss {measured.held_out_loss:7.4f}  "
            f"{num_tokens:,} tokens, {tokens_per_s:,.0f}/s"
            + "".join(f"  {kind} {share:.2f}" for kind, share in measured.probes.items())
        )
        self._since = (time.monotonic(), num_tokens)

    def last_measured(self) -> _Measured:
        """Of the last step; measured again if the run was resumed behind it."""
        return self.measured or self._measure()

    def _measure(self) -> _Measured:
        weights, config = self.training.weights, self.training.config
        max_tokens = self.config.machine.max_tokens_per_micro_batch
        loss = mean_loss(weights, config, self.held_out_rows, max_tokens=max_tokens)
        return _Measured(loss, self.probes.measure(weights, config) if self.probes else {})


def _probes(config: PretrainConfig, tokenizer: PreTrainedTokenizerFast) -> WorldProbes | None:
    if config.corpus.world is None:
        return None
    masks_spans = config.objective.name == "span_corruption"
    return WorldProbes(tokenizer, masks_spans=masks_spans, num_probes=NUM_PROBES)


def _rows(
    config: PretrainConfig, corpus: Corpus, tokenizer: PreTrainedTokenizerFast
) -> Callable[[int], Sequence[Row]]:
    objective, segmentation = objective_of(config.objective, tokenizer)
    batch_size = config.pretraining.batch_size
    order = SegmentOrder(corpus, segmentation, batch_size, seed=config.seed)
    return lambda step: make_rows(order, step, objective, seed=config.seed)


def _held_out_rows(
    config: PretrainConfig, corpus: Corpus, tokenizer: PreTrainedTokenizerFast
) -> list[Row]:
    """The same rows at every evaluation."""
    objective, segmentation = objective_of(config.objective, tokenizer)
    order = SegmentOrder(corpus, segmentation, config.evaluation.num_segments, seed=0)
    return make_rows(order, 0, objective, seed=0)


def _training(
    config: PretrainConfig,
    first: str,
    rows_of_step: Callable[[int], Sequence[Row]],
    folder: RunFolder,
) -> PretrainingRun:
    """The run before its first step."""
    device, dtype = machine_of(config.machine)
    assert dtype is torch.float32, "pre-training keeps float32 weights"
    weights, t5_config = load_weights(first, device=device)
    settings = config.pretraining
    return PretrainingRun(
        weights=weights,
        config=t5_config,
        optimizer=make_optimizer(settings, weights),
        learning_rate=partial(learning_rate, settings),
        rows_of_step=rows_of_step,
        settings=PretrainingSettings(
            num_steps=settings.num_steps,
            eval_every_steps=config.evaluation.every_steps,
            save_at_steps=tuple(settings.save_at_steps),
            max_gradient_norm=settings.max_gradient_norm,
            max_tokens_per_micro_batch=config.machine.max_tokens_per_micro_batch,
        ),
        resume_path=folder.resume_path,
    )


def _save(config: PretrainConfig, run: PretrainingRun, first: str, folder: Path) -> None:
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    storage_dtype = dtype[config.pretraining.storage_dtype]
    save_checkpoint(folder, run.weights, first, dtype=storage_dtype)


def _header(config: PretrainConfig, run: PretrainingRun, corpus: Corpus) -> dict[str, str]:
    settings = config.pretraining
    return {
        "model": f"{sum(weight.numel() for weight in run.weights.values()):,} parameters, from "
        f"{config.checkpoint or 'random weights'}",
        "corpus": f"{len(corpus):,} documents, {corpus.num_tokens:,} tokens",
        "objective": f"{config.objective.name}, inputs of {config.objective.inputs_length} tokens",
        "training": f"{settings.num_steps} steps of {settings.batch_size} segments, "
        f"{settings.optimizer}, {settings.schedule}, seed {config.seed}"
        + (f", resumed at step {run.progress.step}" if run.progress.step else ""),
    }
