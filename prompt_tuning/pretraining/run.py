"""Where the parts of pre-training meet: from a config to checkpoints and their record."""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from prompt_tuning.assembly import machine_of, wandb_settings
from prompt_tuning.config import config_hash
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.models.loading import load_weights
from prompt_tuning.models.random_checkpoint import Shape, write_random_checkpoint
from prompt_tuning.optim import Adafactor
from prompt_tuning.pretraining.corpus import Corpus, hold_out, load_corpus
from prompt_tuning.pretraining.documents import TextSource, hub_text, local_text, world_text
from prompt_tuning.pretraining.objectives import (
    Objective,
    corrupt_spans,
    prefix_lm,
    sentence_lm,
    span_corruption_lengths,
)
from prompt_tuning.pretraining.segments import (
    Segmentation,
    SegmentOrder,
    make_rows,
    prefix_lm_segmentation,
    span_corruption_segmentation,
)
from prompt_tuning.pretraining.settings import (
    CorpusConfig,
    ObjectiveConfig,
    PretrainConfig,
    PretrainingConfig,
)
from prompt_tuning.pretraining.training import (
    PretrainingRun,
    PretrainingSettings,
    Row,
    inverse_square_root,
    mean_loss,
    save_checkpoint,
)
from prompt_tuning.pretraining.vocabulary import sentence_end_ids, write_vocabulary
from prompt_tuning.records import RunFolder, environment, peak_memory_gib
from prompt_tuning.reporting import Reporter
from prompt_tuning.tracking import Tracker

RECORD_FORMAT = 1
LOSSES_PER_EVALUATION = 100


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
    folder.start(asdict(config))
    with ExitStack() as stack:
        reporter = stack.enter_context(Reporter(folder.log_path))
        stop = stack.enter_context(StopRequests())
        source = _text_source(config.corpus, config.seed)
        first = _first_checkpoint(config, source, folder.path / "first")
        tokenizer = AutoTokenizer.from_pretrained(first)
        assert isinstance(tokenizer, PreTrainedTokenizerFast), type(tokenizer)
        corpus, held_out = _corpora(config, source, tokenizer)
        run = _run(config, first, _rows(config, corpus, tokenizer), folder)
        run.restore()
        reporter.header(f"ptune {kind}  {folder.name}", _header(config, run, corpus))
        wandb = wandb_settings(
            config.tracking,
            run_name=folder.name,
            job_type=kind,
            group=kind,
            axes=[config.objective.name],
        )
        tracker = stack.enter_context(
            Tracker(folder.path, wandb, asdict(config), run.progress.step)
        )
        watch = _Watch(config, run, reporter, tracker, _held_out_rows(config, held_out, tokenizer))

        def save(step: int) -> None:
            inside = "" if step == config.pretraining.num_steps else f"step-{step}"
            _save(config, run, first, folder.path / inside)

        run.run(stop, on_step=watch.on_step, on_evaluation=watch.evaluate, on_save=save)
        save(run.progress.step)
        folder.finish(_record(config, kind, run, corpus, watch))
        reporter.line(
            f"{folder.name}: held-out loss {watch.held_out_loss:.4f}, "
            f"{run.progress.num_tokens:,} tokens, {run.progress.duration_s:.0f} s  "
            f"{folder.path}"
        )


@dataclass
class _Watch:
    """Prints and logs while a run goes on."""

    config: PretrainConfig
    run: PretrainingRun
    reporter: Reporter
    tracker: Tracker
    held_out_rows: Sequence[Row]
    loss: float = float("nan")  # of the last step
    held_out_loss: float = float("nan")  # last measured

    def __post_init__(self) -> None:
        num_steps, step = self.config.pretraining.num_steps, self.run.progress.step
        self._log_every = max(1, self.config.evaluation.every_steps // LOSSES_PER_EVALUATION)
        self._bar = self.reporter.bar("pre-training", num_steps, completed=step)

    def on_step(self, step: int, loss: float) -> None:
        self.loss = loss
        self._bar.advance(note=f"loss {loss:.3f}")
        if step % self._log_every == 0:
            self.tracker.log(step, {"train/loss": loss})

    def evaluate(self, step: int) -> None:
        progress = self.run.progress
        self.held_out_loss = mean_loss(
            self.run.weights,
            self.run.config,
            self.held_out_rows,
            max_tokens=self.config.machine.max_tokens_per_micro_batch,
        )
        self.tracker.log(
            step, {"eval/held_out_loss": self.held_out_loss, "train/tokens": progress.num_tokens}
        )
        self.reporter.line(
            f"step {step:>7}  loss {self.loss:7.4f}  held-out loss {self.held_out_loss:7.4f}  "
            f"{progress.num_tokens:,} tokens"
        )


def _text_source(corpus: CorpusConfig, seed: int) -> TextSource:
    if corpus.text is not None:
        return local_text(corpus.text)
    if corpus.world is not None:
        return world_text(corpus.world, corpus.world_documents, seed=seed)
    assert corpus.hub is not None, corpus
    return hub_text(corpus.hub, corpus.hub_config)


def _first_checkpoint(config: PretrainConfig, source: TextSource, folder: Path) -> str:
    """The checkpoint to go on from; with `shape`, one with random weights, written to `folder`."""
    if config.checkpoint is not None:
        return config.checkpoint
    assert config.shape is not None and config.vocabulary is not None, config
    if not (folder / "model.safetensors").exists():
        vocabulary = config.vocabulary
        if vocabulary.path is None:
            texts = list(islice(source.documents(), vocabulary.num_documents))
            words = set(vocabulary.required_words)
            if config.corpus.world is not None:  # its names share no pieces worth finding
                words |= {word for text in texts for word in re.findall("[A-Za-z]+", text)}
            write_vocabulary(folder, texts, num_pieces=vocabulary.num_pieces, required_words=words)
        model_file = Path(vocabulary.path) if vocabulary.path else folder / "spiece.model"
        shape = Shape(**asdict(config.shape))
        write_random_checkpoint(
            folder,
            shape,
            model_file,
            seed=config.seed,
            # As T5X draws it, so that the first loss is log(V); transformers draws with 1.
            lm_head_deviation=shape.d_model**-0.5,
        )
    return str(folder)


def _corpora(
    config: PretrainConfig, source: TextSource, tokenizer: PreTrainedTokenizerFast
) -> tuple[Corpus, Corpus]:
    """The text to train on, and the held-out text."""
    settings = config.corpus
    cache = Path(settings.cache_dir)
    corpus = load_corpus(source, tokenizer, cache_dir=cache, max_tokens=settings.max_tokens)
    if settings.held_out_text is None:
        return hold_out(corpus, settings.held_out_fraction, seed=config.seed)
    return corpus, load_corpus(local_text(settings.held_out_text), tokenizer, cache_dir=cache)


def objective_of(
    config: ObjectiveConfig, tokenizer: PreTrainedTokenizerFast
) -> tuple[Objective, Segmentation]:
    """What a segment becomes, and how long segments are."""
    eos_id = 1
    if config.name == "span_corruption":
        tokens_length, _ = span_corruption_lengths(
            config.inputs_length, config.noise_density, config.mean_span_length
        )
        first_sentinel_id = tokenizer.convert_tokens_to_ids("<extra_id_0>")
        assert isinstance(first_sentinel_id, int), first_sentinel_id
        corrupt = partial(
            corrupt_spans,
            first_sentinel_id=first_sentinel_id,
            eos_id=eos_id,
            noise_density=config.noise_density,
            mean_span_length=config.mean_span_length,
        )
        return corrupt, span_corruption_segmentation(tokens_length)
    segmentation = prefix_lm_segmentation(config.inputs_length)
    limit = config.max_target_tokens
    if config.name == "prefix_lm":
        return partial(prefix_lm, eos_id=eos_id, max_target_tokens=limit), segmentation
    split = partial(
        sentence_lm,
        eos_id=eos_id,
        sentence_end_ids=sentence_end_ids(tokenizer),
        max_target_tokens=limit or config.inputs_length,
    )
    return split, segmentation


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


def _run(
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
        optimizer=_optimizer(settings, list(weights.values())),
        learning_rate=partial(learning_rate, settings),
        rows_of_step=rows_of_step,
        settings=PretrainingSettings(
            num_steps=settings.num_steps,
            eval_every_steps=config.evaluation.every_steps,
            save_at_steps=tuple(settings.save_at_steps),
            max_tokens_per_micro_batch=config.machine.max_tokens_per_micro_batch,
        ),
        resume_path=folder.resume_path,
    )


def _optimizer(settings: PretrainingConfig, parameters: list[Tensor]) -> torch.optim.Optimizer:
    """Adafactor relative to each parameter's scale, as T5 was pre-trained, or AdamW."""
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(
            parameters, settings.learning_rate, weight_decay=settings.weight_decay
        )
    return Adafactor(
        parameters, settings.learning_rate, weight_decay=0.0, multiply_by_parameter_scale=True
    )


def learning_rate(settings: PretrainingConfig, step: int) -> float:
    """Of a step, counted from 0: a linear warm-up, then the schedule.

    T5's is inverse_square_root with 10,000 warm-up steps, at whose constant rate it starts.
    """
    warmup = settings.warmup_steps
    if settings.schedule == "inverse_square_root":
        return settings.learning_rate * inverse_square_root(step, warmup_steps=max(warmup, 1))
    rising = min(1.0, (step + 1) / max(warmup, 1))
    left = 1.0
    if settings.schedule == "linear":
        left = (settings.num_steps - step) / max(settings.num_steps - warmup, 1)
    return settings.learning_rate * min(rising, left)


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


def _record(
    config: PretrainConfig, kind: str, run: PretrainingRun, corpus: Corpus, watch: _Watch
) -> dict[str, Any]:
    return {
        "format": RECORD_FORMAT,
        "kind": kind,
        "result": {
            "held_out_loss": watch.held_out_loss,
            "train_loss": watch.loss,
            "num_tokens": run.progress.num_tokens,
        },
        "config": asdict(config),
        "config_hash": config_hash(config),
        "data": {**corpus.provenance, "num_tokens_trained_on": corpus.num_tokens},
        "num_parameters": sum(weight.numel() for weight in run.weights.values()),
        "duration_s": round(run.progress.duration_s, 3),
        "peak_memory_gib": peak_memory_gib(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **environment(),
    }
