"""The pre-training loop: resumable, split freely, and what it saves is what it trained."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import T5ForConditionalGeneration

from prompt_tuning.interrupts import Interrupted, StopRequests
from prompt_tuning.models.loading import load_weights, save_checkpoint
from prompt_tuning.optim import Adafactor
from prompt_tuning.pretraining.training import (
    PretrainingRun,
    PretrainingSettings,
    Row,
    inverse_square_root,
    mean_loss,
    summed_cross_entropy,
)

CPU = torch.device("cpu")


def rows_of_step(step: int, *, vocab_size: int) -> Sequence[Row]:
    """Ragged rows that a model can learn: the targets repeat the first tokens of the inputs."""
    rng = np.random.default_rng([step, 0])
    rows = []
    for length in rng.integers(2, 20, size=6):
        inputs = np.append(rng.integers(3, min(vocab_size, 12), size=length), 1).astype(np.int32)
        rows.append((inputs, np.append(inputs[:2], 1).astype(np.int32)))
    return rows


def run_of(tiny_folder: Path, folder: Path, *, num_steps: int = 6) -> PretrainingRun:
    weights, config = load_weights(str(tiny_folder), device=CPU)
    return PretrainingRun(
        weights=weights,
        config=config,
        optimizer=Adafactor(
            [{"params": list(weights.values()), "lr_factor": 1.0}],
            1.0,
            weight_decay=0.0,
            multiply_by_parameter_scale=True,
        ),
        learning_rate=partial(inverse_square_root, warmup_steps=100),
        rows_of_step=partial(rows_of_step, vocab_size=config.vocab_size),
        settings=PretrainingSettings(
            num_steps=num_steps,
            eval_every_steps=2,
            save_at_steps=(3,),
            max_gradient_norm=1.0,
            max_tokens_per_micro_batch=40,
        ),
        resume_path=folder / "resume.pt",
    )


class Watch:
    def __init__(self, stop_at: int | None = None) -> None:
        self.losses: list[float] = []
        self.evaluated: list[int] = []
        self.saved: list[int] = []
        self.stop_at = stop_at

    def on_step(self, step: int, loss: float) -> None:
        self.losses.append(loss)
        if step == self.stop_at:
            raise Interrupted(15)

    def start(self, run: PretrainingRun) -> None:
        run.run(
            StopRequests(),
            on_step=self.on_step,
            on_evaluation=self.evaluated.append,
            on_save=self.saved.append,
        )


@pytest.mark.parametrize("stop_at", [1, 4])
def test_a_stopped_and_resumed_run_ends_in_the_same_weights_bit_for_bit(
    tiny_folder: Path, tmp_path: Path, stop_at: int
) -> None:
    whole, watch = run_of(tiny_folder, tmp_path), Watch()
    watch.start(whole)
    (tmp_path / "resume.pt").unlink()

    first_watch, second_watch = Watch(stop_at), Watch()
    with pytest.raises(Interrupted):
        first_watch.start(run_of(tiny_folder, tmp_path))
    second = run_of(tiny_folder, tmp_path)
    assert second.restore()
    second_watch.start(second)

    for name, weight in whole.weights.items():
        assert torch.equal(weight, second.weights[name]), name
    assert first_watch.losses + second_watch.losses == watch.losses
    assert first_watch.evaluated + second_watch.evaluated == [2, 4, 6]
    assert first_watch.saved + second_watch.saved == watch.saved == [3]
    assert second.progress.num_tokens == whole.progress.num_tokens


def test_every_tensor_is_trained_and_the_loss_falls(tiny_folder: Path, tmp_path: Path) -> None:
    run, watch = run_of(tiny_folder, tmp_path, num_steps=40), Watch()
    before = {name: weight.detach().clone() for name, weight in run.weights.items()}
    first_loss = mean_loss(before, run.config, run.rows_of_step(0), max_tokens=1000)
    watch.start(run)
    assert watch.losses[0] == pytest.approx(first_loss, rel=1e-5)
    for name, weight in run.weights.items():
        assert not torch.equal(weight, before[name]), name
    assert np.mean(watch.losses[-5:]) < 0.7 * np.mean(watch.losses[:5])


def test_micro_batches_change_memory_and_not_the_gradient(tiny_folder: Path) -> None:
    weights, config = load_weights(str(tiny_folder), device=CPU)
    rows = rows_of_step(0, vocab_size=config.vocab_size)
    gradients = []
    for groups in ([list(rows)], [[row] for row in rows]):
        total = sum(summed_cross_entropy(weights, config, group) for group in groups)
        gradients.append(torch.autograd.grad(total, list(weights.values())))
    for together, apart in zip(*gradients, strict=True):
        assert (together - apart).norm() <= 1e-4 * together.norm() + 1e-6


def test_a_saved_checkpoint_has_the_loss_it_was_trained_to_in_transformers(
    tiny_folder: Path, tmp_path: Path
) -> None:
    """The folder is in the hub's layout: transformers loads it, untied head and all."""
    run = run_of(tiny_folder, tmp_path)
    Watch().start(run)
    save_checkpoint(tmp_path / "saved", run.weights, str(tiny_folder), dtype=torch.float32)

    rows = rows_of_step(99, vocab_size=run.config.vocab_size)
    ours = mean_loss(run.weights, run.config, rows, max_tokens=1000)

    model = T5ForConditionalGeneration.from_pretrained(tmp_path / "saved").eval()
    total = 0.0
    for inputs, targets in rows:
        ids, labels = (torch.from_numpy(x).long()[None] for x in (inputs, targets))
        total += model(input_ids=ids, labels=labels).loss.item() * len(targets)
    assert ours == pytest.approx(total / sum(len(t) for _, t in rows), rel=1e-4)


def test_the_schedule_of_t5_is_flat_for_10_000_steps_and_then_falls() -> None:
    assert inverse_square_root(0) == inverse_square_root(10_000) == pytest.approx(0.01)
    assert inverse_square_root(1_000_000) == pytest.approx(0.001)
