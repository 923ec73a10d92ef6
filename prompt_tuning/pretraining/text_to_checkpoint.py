"""The walk of `ptune pretrain` and `ptune adapt`: from text to checkpoints and their record."""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from pathlib import Path
from shutil import rmtree
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from prompt_tuning.files import file_facts
from prompt_tuning.ladder.world import LADDER_WORLD, World
from prompt_tuning.loop import EncodedExamples, TrainingRun, TrainingSettings
from prompt_tuning.model_choice import machine_of
from prompt_tuning.models.checkpoint_files import check_file
from prompt_tuning.models.loading import (
    load_description,
    load_weights,
    save_checkpoint,
    weights_fingerprints,
)
from prompt_tuning.models.methods import ModelTuning
from prompt_tuning.models.random_checkpoint import write_random_checkpoint
from prompt_tuning.pretraining.corpus import Corpus, hold_out, load_corpus
from prompt_tuning.pretraining.documents import TextSource, local_text, text_source
from prompt_tuning.pretraining.held_out import HeldOutWatch, WorldProbes
from prompt_tuning.pretraining.objectives import make_objective
from prompt_tuning.pretraining.schedule import learning_rate, make_optimizer
from prompt_tuning.pretraining.schema import PretrainConfig
from prompt_tuning.pretraining.segments import SegmentOrder, make_rows, segmentation_of
from prompt_tuning.pretraining.vocabulary import write_vocabulary
from prompt_tuning.protocol import started
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.shapes import Shape

NUM_PROBES = 200  # of each kind


def pretrain(config: PretrainConfig, folder: RunFolder, kind: str) -> None:
    """Trains the weights of a T5 v1.1 on text; leaves checkpoints in the hub's layout.

    The folder becomes the last checkpoint; those of `save_at_steps` are folders inside. `kind` is
    the command, pretrain or adapt.

    Raises:
        UserError: the text or the checkpoint cannot be used, or training diverges.
        Interrupted: Ctrl-C or SIGTERM; the same command goes on from there.
    """
    with started(folder, kind, config) as run:
        source = text_source(config.corpus)
        if not folder.resume_path.exists():
            rmtree(folder.path / "first", ignore_errors=True)  # of a run on other text
        first = first_checkpoint(config, source, folder.path / "first")
        _, tokenizer = load_description(first)
        corpus, held_out = corpora(config, source, tokenizer)
        rows = rows_of_step(config, corpus, tokenizer, config.pretraining.batch_size, config.seed)
        training = _training(config, first, rows, folder)
        weights = training.method.trained
        made_from = {
            "model": {"source": first, **weights_fingerprints(weights)},  # before the first step
            "data": _data_facts(config, corpus, held_out),
        }
        has_begun = training.restore()
        run.check_resumed(training.kept, made_from)
        progress = training.progress
        run.header(_header(config, corpus, training))
        resumed_at = progress.step if has_begun else None
        tracker = run.track(group=kind, axes=[config.objective.name], step=resumed_at)
        num_segments = config.evaluation.num_segments
        held_out_rows = rows_of_step(config, held_out, tokenizer, num_segments, seed=0)(0)
        probes = None
        if config.corpus.world is not None:
            masks_spans = config.objective.name == "span_corruption"
            probes = WorldProbes(tokenizer, masks_spans=masks_spans, num_probes=NUM_PROBES)

        storage_dtype = getattr(torch, config.pretraining.storage_dtype)
        save = partial(save_checkpoint, weights=weights, like=first, dtype=storage_dtype)
        at_steps = {n: folder.path / f"step-{n}" for n in config.pretraining.save_at_steps}
        at_steps.pop(config.pretraining.num_steps, None)  # the last checkpoint is the folder itself
        watch = HeldOutWatch(training, run.reporter, tracker, held_out_rows, probes, save, at_steps)
        training.run(watch, run.stop)
        save(folder.path)
        measured = watch.measured or watch.measure()  # or: resumed behind the last evaluation
        tokens_per_s = round(progress.num_tokens / progress.duration_s, 1)
        counts = {"num_tokens": progress.num_tokens, "tokens_per_s": tokens_per_s}
        run.finish(
            {
                "result": {**measured, **counts},
                "num_parameters": training.num_trained,
                "duration_s": round(progress.duration_s, 3),
                **made_from,
            }
        )
        run.say(
            f"{folder.name}: held-out loss {measured['held_out_loss']:.4f}, "
            f"{progress.num_tokens:,} tokens, {progress.duration_s:.0f} s  {folder.path}"
        )


def first_checkpoint(config: PretrainConfig, source: TextSource, folder: Path) -> str:
    """The checkpoint to go on from; with `shape`, one with random weights, written to `folder`."""
    if config.checkpoint is not None:
        return config.checkpoint
    assert config.shape is not None and config.vocabulary is not None, config
    if not (folder / "model.safetensors").exists():
        vocabulary = config.vocabulary
        if vocabulary.path is None:
            words = set(vocabulary.required_words)
            if config.corpus.world is not None:  # its names share no pieces worth finding
                source = text_source(replace(config.corpus, world="full"))  # of all stages alike
                words |= World(LADDER_WORLD).all_words()
            texts = list(islice(source.documents(), vocabulary.num_documents))
            write_vocabulary(folder, texts, num_pieces=vocabulary.num_pieces, required_words=words)
        model_file = Path(vocabulary.path) if vocabulary.path else folder / "spiece.model"
        check_file(model_file, is_vocabulary=True)
        shape, seed = Shape(**asdict(config.shape)), config.seed
        # As T5X draws the head, so that the first loss is log(V); transformers draws with 1.
        deviation = shape.d_model**-0.5
        write_random_checkpoint(folder, shape, model_file, seed=seed, lm_head_deviation=deviation)
    return str(folder)


def corpora(
    config: PretrainConfig, source: TextSource, tokenizer: PreTrainedTokenizerFast
) -> tuple[Corpus, Corpus]:
    """The text to train on, and the held-out text."""
    settings = config.corpus
    cache = Path(settings.cache_dir)
    corpus = load_corpus(source, tokenizer, cache_dir=cache, max_tokens=settings.max_tokens)
    if settings.held_out_text is None:
        return hold_out(corpus, settings.held_out_fraction, seed=config.seed)
    return corpus, load_corpus(local_text(settings.held_out_text), tokenizer, cache_dir=cache)


def _data_facts(config: PretrainConfig, corpus: Corpus, held_out: Corpus) -> dict[str, Any]:
    """What a record says of the corpus, already read and hashed, under the names of `texts_now`."""
    facts = {**corpus.provenance, "num_tokens_trained_on": corpus.num_tokens}
    if config.corpus.held_out_text is not None:
        facts["held_out"] = held_out.provenance
    if config.vocabulary is not None and config.vocabulary.path is not None:
        facts["vocabulary"] = file_facts(Path(config.vocabulary.path))
    return facts


def rows_of_step(
    config: PretrainConfig,
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerFast,
    batch_size: int,
    seed: int,
) -> Callable[[int], EncodedExamples]:
    """The rows of every step, counted from 0, as the config's objective makes them of a corpus."""
    device, _ = machine_of(config.machine)
    objective = make_objective(config.objective, tokenizer)
    order = SegmentOrder(corpus, segmentation_of(config.objective), batch_size, seed=seed)

    def rows(step: int) -> EncodedExamples:
        sides = zip(*make_rows(order, step, objective, seed=seed), strict=True)
        tensors = ([torch.from_numpy(ids).long().to(device) for ids in side] for side in sides)
        return EncodedExamples(*tensors)

    return rows


def _training(
    config: PretrainConfig, first: str, rows: Callable[[int], EncodedExamples], folder: RunFolder
) -> TrainingRun:
    """The training before its first step. Source: T5 v1.1 is pre-trained without dropout."""
    device, dtype = machine_of(config.machine)
    assert dtype is torch.float32, "pre-training keeps float32 weights"
    weights, t5_config = load_weights(first, device=device)
    settings = config.pretraining
    return TrainingRun(
        method=ModelTuning(weights, t5_config, dtype),
        optimizer=make_optimizer(settings, weights),
        batch_of_step=rows,
        settings=TrainingSettings(
            num_steps=settings.num_steps,
            eval_every_steps=config.evaluation.every_steps,
            max_tokens_per_micro_batch=config.machine.max_tokens_per_micro_batch,
            seed=config.seed,
            max_gradient_norm=settings.max_gradient_norm,
            budget_has_targets=True,
        ),
        resume_path=folder.resume_path,
        learning_rate=partial(learning_rate, settings),
    )


def _header(config: PretrainConfig, corpus: Corpus, training: TrainingRun) -> dict[str, str]:
    settings, step = config.pretraining, training.progress.step
    first = config.checkpoint or "random weights"
    return {
        "model": f"{training.num_trained:,} parameters, from {first}",
        "corpus": f"{len(corpus):,} documents, {corpus.num_tokens:,} tokens",
        "objective": f"{config.objective.name}, inputs of {config.objective.inputs_length} tokens",
        "training": f"{settings.num_steps} steps of {settings.batch_size} segments, "
        f"{settings.optimizer}, {settings.schedule}, seed {config.seed}"
        + (f", resumed at step {step}" if step else ""),
    }
