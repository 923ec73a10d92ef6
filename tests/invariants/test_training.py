"""What must hold of every training run, whatever is trained."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from prompt_tuning.checkpoints import load_state, save_state
from prompt_tuning.data.batches import BatchOrder
from prompt_tuning.interrupts import Interrupted, StopRequests
from prompt_tuning.models.frozen_t5 import FrozenT5
from prompt_tuning.models.layers import Dropout
from prompt_tuning.models.loading import Checkpoint, load_weights
from prompt_tuning.models.methods import Method, ModelTuning, PromptTuning
from prompt_tuning.optim import Adafactor
from prompt_tuning.training import (
    EncodedExamples,
    TrainingRun,
    TrainingSettings,
    accumulate_gradient,
    summed_loss,
)

SETTINGS = TrainingSettings(
    num_steps=6,
    batch_size=4,
    eval_every_steps=2,
    dropout=0.1,
    z_loss=1e-4,
    seed=3,
    max_tokens_per_micro_batch=60,
)


class Watch:
    """Scores by the first trained number; stops the run at a step if asked to."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.losses: list[float] = []
        self.evaluated: list[int] = []
        self.stop_at = stop_at

    def on_step(self, step: int, loss: float) -> None:
        self.losses.append(loss)
        if step == self.stop_at:
            raise Interrupted(15)

    def evaluate(self, method: Method, step: int) -> float:
        self.evaluated.append(step)
        return first_tensor(method).flatten()[0].item()


def first_tensor(method: Method) -> Tensor:
    return next(iter(method.trained.values())).detach()


def prompt_tuning(checkpoint: Checkpoint) -> PromptTuning:
    """A random prompt of three positions."""
    assert isinstance(checkpoint.model, FrozenT5)
    init = torch.randn(3, checkpoint.model.hidden_size, generator=torch.Generator().manual_seed(1))
    return PromptTuning(checkpoint.model, init.requires_grad_())


def model_tuning(checkpoint: Checkpoint) -> ModelTuning:
    weights, config = load_weights(checkpoint.source, device=torch.device("cpu"))
    return ModelTuning(weights, config, torch.float32)


METHODS = [prompt_tuning, model_tuning]


def examples(checkpoint: Checkpoint) -> EncodedExamples:
    generator = torch.Generator().manual_seed(0)

    def ids(longest: int) -> Tensor:
        length = int(torch.randint(1, longest, (1,), generator=generator))
        high = checkpoint.model.vocab_size
        return torch.cat(
            [torch.randint(3, high, (length,), generator=generator), torch.ones(1).long()]
        )

    return EncodedExamples([ids(30) for _ in range(10)], [ids(5) for _ in range(10)])


def run_of(
    checkpoint: Checkpoint,
    folder: Path,
    settings: TrainingSettings = SETTINGS,
    make_method: Callable[[Checkpoint], Method] = prompt_tuning,
) -> TrainingRun:
    method = make_method(checkpoint)
    optimizer = Adafactor(method.trained.values(), 0.3)
    data = examples(checkpoint)
    return TrainingRun(method, optimizer, data, settings, resume_path=folder / "resume.pt")


def frozen_tensors(checkpoint: Checkpoint) -> list[Tensor]:
    """Every tensor that the packed model holds, found by walking it: no name filter."""
    found: dict[int, Tensor] = {}

    def walk(value: object) -> None:
        if isinstance(value, Tensor):
            found[id(value)] = value
        elif isinstance(value, list | tuple):
            for item in value:
                walk(item)
        elif hasattr(value, "__dict__"):
            for item in vars(value).values():
                walk(item)

    walk(checkpoint.model)
    return list(found.values())


def test_the_prompt_moves_and_no_frozen_tensor_does(
    tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Section 2 of the paper: the model is frozen, only the P x H prompt is trained.

    Every tensor of the model is compared, so that a new one cannot slip past.
    """
    tensors = frozen_tensors(tiny_checkpoint)
    held = sum(tensor.numel() for tensor in tensors)
    assert held > 0.99 * tiny_checkpoint.num_parameters  # the norm scales are folded into matrices
    before = [t.clone() for t in tensors]
    run = run_of(tiny_checkpoint, tmp_path)
    first_prompt = run.method.prompt.detach().clone()

    run.run(Watch(), StopRequests())

    assert (run.method.prompt != first_prompt).all()
    for now, then in zip(tensors, before, strict=True):
        assert torch.equal(now, then)
        assert not now.requires_grad
        assert now.grad is None


@pytest.mark.parametrize("make_method", METHODS)
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_micro_batches_change_memory_and_not_the_update(
    tiny_checkpoint: Checkpoint, make_method: Callable[[Checkpoint], Method], rate: float
) -> None:
    """Accumulation gives the gradient of the batch's mean loss, to rounding, with dropout too.

    So one config has one result on every machine, though the budget is no part of its hash.
    """
    data = examples(tiny_checkpoint)
    gradients = []
    for max_tokens in (8192, 512, 64, 1):
        method = make_method(tiny_checkpoint)
        settings = replace(SETTINGS, max_tokens_per_micro_batch=max_tokens)
        dropout = Dropout(rate, 5, range(len(data.inputs))) if rate else None
        accumulate_gradient(method, data.inputs, data.targets, settings, dropout)
        gradients.append([tensor.grad for tensor in method.trained.values()])
    for split in gradients[1:]:
        for gradient, whole in zip(split, gradients[0], strict=True):
            assert gradient is not None and whole is not None
            assert (gradient - whole).norm() <= 1e-5 * whole.norm()


@pytest.mark.parametrize("make_method", METHODS)
@pytest.mark.parametrize("stop_at", [1, 2, 5])
def test_a_stopped_and_resumed_run_ends_in_the_same_values_bit_for_bit(
    tiny_checkpoint: Checkpoint,
    tmp_path: Path,
    stop_at: int,
    make_method: Callable[[Checkpoint], Method],
) -> None:
    """With dropout on: batches and masks of a step follow from the seed and the step alone."""
    whole, watch = run_of(tiny_checkpoint, tmp_path, SETTINGS, make_method), Watch()
    whole.run(watch, StopRequests())
    (tmp_path / "resume.pt").unlink()

    first = run_of(tiny_checkpoint, tmp_path, SETTINGS, make_method)
    first_watch = Watch(stop_at)
    with pytest.raises(Interrupted):
        first.run(first_watch, StopRequests())
    second, second_watch = run_of(tiny_checkpoint, tmp_path, SETTINGS, make_method), Watch()
    assert second.restore()
    second.run(second_watch, StopRequests())

    assert second.best is not None and whole.best is not None
    for name, value in whole.method.trained.items():
        assert torch.equal(second.method.trained[name], value), name
        assert torch.equal(second.best[name], whole.best[name]), name
    assert first_watch.losses + second_watch.losses == watch.losses
    assert first_watch.evaluated + second_watch.evaluated == watch.evaluated == [2, 4, 6]
    assert second.progress.best_step == whole.progress.best_step


def test_what_a_watcher_keeps_is_in_the_resume_point(
    tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """And a resume point of an earlier version, which knew nothing of it, still serves."""
    run = run_of(tiny_checkpoint, tmp_path)
    run.kept["tasks"] = {"a": {"score": 1 / 3, "report": None}}
    run.save()
    again = run_of(tiny_checkpoint, tmp_path)
    assert again.restore()
    assert again.kept == run.kept

    state = load_state(run.resume_path)
    assert state is not None
    del state["kept"]
    save_state(run.resume_path, state)
    old = run_of(tiny_checkpoint, tmp_path)
    assert old.restore() and old.kept == {}


@pytest.mark.parametrize("make_method", METHODS)
def test_the_best_step_is_the_first_of_the_highest_score(
    tiny_checkpoint: Checkpoint, tmp_path: Path, make_method: Callable[[Checkpoint], Method]
) -> None:
    """Early stopping as in the paper: the best evaluated step, not the last."""
    scores = {2: 10.0, 4: 30.0, 6: 30.0}
    values = {}

    class Scripted(Watch):
        def evaluate(self, method: Method, step: int) -> float:
            values[step] = {name: value.detach().clone() for name, value in method.trained.items()}
            return scores[step]

    run = run_of(tiny_checkpoint, tmp_path, SETTINGS, make_method)
    run.run(Scripted(), StopRequests())
    run.go_to_best()

    assert (run.progress.best_step, run.progress.best_score) == (4, 30.0)
    for name, value in run.method.trained.items():
        assert torch.equal(value, values[4][name]), name
        assert not torch.equal(values[4][name], values[6][name]), name


def test_the_last_step_is_evaluated_even_off_the_interval(
    tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    watch = Watch()
    settings = replace(SETTINGS, num_steps=5)
    run_of(tiny_checkpoint, tmp_path, settings).run(watch, StopRequests())
    assert watch.evaluated == [2, 4, 5]


def test_z_loss_adds_the_squared_log_partition_function() -> None:
    """Source: t5x/losses.py: cross-entropy + z_loss * log(Z)^2."""
    logits = (torch.randn(7, 11, dtype=torch.float64) * 3).requires_grad_()
    targets = torch.randint(11, (7,))
    cross_entropy = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    log_z = logits.exp().sum(-1).log()
    expected = cross_entropy + 0.01 * (log_z**2).sum()
    loss = summed_loss(logits, targets, 0.01)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(loss / 3, logits), torch.autograd.grad(expected / 3, logits)
    )


def test_the_loss_of_a_hopeless_target_is_finite() -> None:
    """Its probability is 0 in float32, its logarithm is not."""
    logits = torch.tensor([[0.0, 300.0, 299.0]], requires_grad=True)
    loss = summed_loss(logits, torch.tensor([0]), 0.0)
    loss.backward()
    assert loss.item() == pytest.approx(300.3133)
    torch.testing.assert_close(
        logits.grad, torch.tensor([[-1.0, 0.7311, 0.2689]]), atol=1e-4, rtol=0
    )


def test_every_epoch_sees_every_example_once_and_no_batch_is_cut() -> None:
    order = BatchOrder(num_examples=10, batch_size=4, seed=0)
    seen = [index for step in range(10) for index in order[step]]
    assert all(len(order[step]) == 4 for step in range(10))
    for epoch in range(4):
        assert sorted(seen[10 * epoch : 10 * (epoch + 1)]) == list(range(10))
    assert seen[:10] != seen[10:20]
    assert order[7] == BatchOrder(10, 4, seed=0)[7]
    assert order[7] != BatchOrder(10, 4, seed=1)[7]
