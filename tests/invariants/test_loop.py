"""What must hold of the training loop, whatever is trained: a prompt, a model, or from text."""

import math
import signal
from contextlib import nullcontext
from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch
from loop_runs import Watch, prompt_of
from torch import Tensor

from prompt_tuning.data.batches import batch_order
from prompt_tuning.errors import UserError
from prompt_tuning.interrupts import Interrupted, Pruned, StopRequests, judged_by
from prompt_tuning.loop import (
    Display,
    EncodedExamples,
    TrainingRun,
    TrainingSettings,
    accumulate_gradient,
    mean_loss,
    shuffled,
    summed_loss,
)
from prompt_tuning.models.frozen_t5 import FrozenT5
from prompt_tuning.models.layers import Dropout
from prompt_tuning.models.loading import load_weights
from prompt_tuning.models.methods import ModelTuning, PromptTuning
from prompt_tuning.optim import Adafactor
from prompt_tuning.ranks import Ranks

SETTINGS = TrainingSettings(
    num_steps=6, eval_every_steps=2, max_tokens_per_micro_batch=60, seed=3, dropout=0.1, z_loss=1e-4
)
FROM_TEXT = replace(
    SETTINGS, dropout=0.0, z_loss=None, max_gradient_norm=1.0, budget_has_targets=True
)


def model_tuning(checkpoint):
    weights, config = load_weights(checkpoint.source, device=torch.device("cpu"))
    return ModelTuning(weights, config, torch.float32)


def prompt_tuning(checkpoint):
    assert isinstance(checkpoint.model, FrozenT5)
    return PromptTuning(checkpoint.model, prompt_of(checkpoint))


KINDS = {
    "prompt": (prompt_tuning, SETTINGS),
    "model": (model_tuning, SETTINGS),
    "text": (model_tuning, FROM_TEXT),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def examples(checkpoint):
    generator = torch.Generator().manual_seed(0)

    def ids(longest):
        length = int(torch.randint(1, longest, (1,), generator=generator))
        drawn = torch.randint(3, checkpoint.model.vocab_size, (length,), generator=generator)
        return torch.cat([drawn, torch.ones(1).long()])

    return EncodedExamples([ids(30) for _ in range(10)], [ids(5) for _ in range(10)])


@pytest.fixture
def run_of(tiny_checkpoint, tmp_path):
    """A run of one of `KINDS` before its first step, its settings changed as asked."""

    def make(kind="prompt", **changes):
        make_method, settings = KINDS[kind]
        method = make_method(tiny_checkpoint)
        groups = [{"params": [*method.trained.values()], "lr_factor": 1.0}]
        return TrainingRun(
            method,
            Adafactor(groups, 0.3, min_dim_size_to_factor=16),
            shuffled(examples(tiny_checkpoint), 4, seed=3),
            replace(settings, **changes),
            tmp_path / "resume.pt",
            learning_rate=(lambda step: 0.1 / (step + 1)) if kind == "text" else None,
        )

    return make


def frozen_tensors(checkpoint):
    """Every tensor that the packed model holds, found by walking it: no name filter."""
    found = {}

    def walk(value):
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


def test_the_prompt_moves_and_no_frozen_tensor_does(tiny_checkpoint, run_of):
    """Section 2 of the paper: the model is frozen, only the P x H prompt is trained.

    Every tensor of the model is compared, so that a new one cannot slip past.
    """
    tensors = frozen_tensors(tiny_checkpoint)
    held = sum(tensor.numel() for tensor in tensors)
    assert held > 0.99 * tiny_checkpoint.num_parameters  # the norm scales are folded into matrices
    before = [t.clone() for t in tensors]
    run = run_of()
    first_prompt = run.method.prompt.detach().clone()

    run.run(Watch(), StopRequests())

    assert (run.method.prompt != first_prompt).all()
    for now, then in zip(tensors, before, strict=True):
        assert torch.equal(now, then)
        assert not now.requires_grad
        assert now.grad is None


@every_kind
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_micro_batches_change_memory_and_not_the_update(tiny_checkpoint, kind, rate):
    """Accumulation gives the gradient of the batch's mean loss, to rounding, with dropout too.

    So one config has one result on every machine, though the budget is no part of its hash.
    """
    data, gradients, losses = examples(tiny_checkpoint), [], []
    make_method, settings = KINDS[kind]
    for max_tokens in (8192, 512, 40, 1):
        method = make_method(tiny_checkpoint)
        split = replace(settings, max_tokens_per_micro_batch=max_tokens)
        dropout = Dropout(rate, 5, range(len(data.inputs)))
        if not rate:
            losses += [mean_loss(method, data, split)]
        losses += [accumulate_gradient(method, data, split, dropout)]
        gradients.append([tensor.grad for tensor in method.trained.values()])
    assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-5)
    for found in gradients[1:]:
        for gradient, whole in zip(found, gradients[0], strict=True):
            assert gradient is not None and whole is not None
            assert (gradient - whole).norm() <= 1e-4 * whole.norm() + 1e-6


@every_kind
@pytest.mark.parametrize("size", [2, 3, 20])
def test_the_shares_of_several_processes_add_up_to_the_update(tiny_checkpoint, kind, size):
    """With dropout: a row draws its own wherever it is. Of 20 processes half have no row."""
    data = examples(tiny_checkpoint)
    make_method, settings = KINDS[kind]
    method, whole, losses = make_method(tiny_checkpoint), make_method(tiny_checkpoint), []
    dropout = Dropout(0.3, 5, range(len(data.inputs)))
    expected = accumulate_gradient(whole, data, settings, dropout)
    for rank in range(size):
        ranks = Ranks(rank, size)
        losses += [accumulate_gradient(method, data, settings, dropout, ranks)]
    assert sum(losses) == pytest.approx(expected, rel=1e-5)
    assert losses.count(0.0) == max(0, size - len(data.inputs))
    for name, tensor in whole.trained.items():
        found, gradient = method.trained[name].grad, tensor.grad
        assert gradient is not None and found is not None
        assert (found - gradient).norm() <= 1e-4 * gradient.norm() + 1e-6


@every_kind
@pytest.mark.parametrize("stop_at", [1, 5])
def test_a_stopped_and_resumed_run_ends_in_the_same_values_bit_for_bit(run_of, kind, stop_at):
    """With dropout on: batches and masks of a step follow from the seed and the step alone."""
    whole, watch = run_of(kind), Watch()
    whole.kept["tasks"] = {"a": {"score": 1 / 3, "report": None}}
    whole.run(watch, StopRequests())
    whole.resume_path.unlink()

    first, first_watch = run_of(kind), Watch(stop_at)
    first.kept |= whole.kept
    with pytest.raises(Interrupted):
        first.run(first_watch, StopRequests())
    second, second_watch = run_of(kind), Watch()
    assert second.restore()
    second.run(second_watch, StopRequests())

    assert second.best is not None and whole.best is not None
    for name, value in whole.method.trained.items():
        assert torch.equal(second.method.trained[name], value), name
        assert torch.equal(second.best[name], whole.best[name]), name
    assert first_watch.losses + second_watch.losses == watch.losses
    assert first_watch.evaluated + second_watch.evaluated == watch.evaluated == [2, 4, 6]
    assert replace(second.progress, duration_s=0) == replace(whole.progress, duration_s=0)
    batches = [whole.batch_of_step(step) for step in range(6)]
    num_tokens = sum(len(ids) for batch in batches for ids in (*batch.inputs, *batch.targets))
    assert second.progress.num_tokens == num_tokens and second.kept == whole.kept


@pytest.mark.parametrize(("step", "ending"), [(4, pytest.raises(Pruned)), (6, nullcontext())])
def test_a_search_stops_a_run_before_its_last_step_alone(run_of, step, ending):
    """There the run has its score: given up, it would never get its record."""
    run = run_of()
    with ending, judged_by(lambda at, _: at == step):
        run.run(Watch(), StopRequests())
    assert run.progress.step == step


def test_no_two_steps_and_seeds_draw_the_same_dropout(run_of):
    losses = set()
    for seed in range(3):
        run = run_of(seed=seed, dropout=0.3)
        batch, run.optimizer = run.batch_of_step(0), torch.optim.SGD([run.method.prompt], 0.0)
        run.batch_of_step = lambda _, batch=batch: batch
        losses |= {run.step(step, StopRequests()) for step in range(3)}
    assert len(losses) == 9


def test_of_a_long_run_a_hundred_losses_an_evaluation_are_logged(run_of):
    run, tracker = run_of(num_steps=2000, eval_every_steps=1000), Mock()
    display = Display(run, Mock(), tracker)
    for step in range(1, 2001):
        display.on_step(step, 0.5)
    assert tracker.log.call_count == 200


def test_a_second_ctrl_c_leaves_the_last_resume_point_as_it_is(run_of):
    """It comes anywhere: here between an update and the count of it."""
    whole = run_of()
    whole.run(Watch(), StopRequests())
    whole.resume_path.unlink()

    stopped, watch = run_of(), Watch()

    def press_twice(*_):
        if len(watch.losses) == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    stopped.optimizer.register_step_post_hook(press_twice)
    with pytest.raises(KeyboardInterrupt) as ended, StopRequests() as stop:
        stopped.run(watch, stop)
    assert not isinstance(ended.value, Interrupted)
    again = run_of()
    assert again.restore() and again.progress.step == 2
    again.run(Watch(), StopRequests())
    assert torch.equal(again.method.prompt, whole.method.prompt)


def test_a_damaged_resume_point_is_named_and_the_run_starts_again(run_of, caplog):
    """One flipped bit in a tensor would load, and train on to another prompt."""
    stopped = run_of()
    with pytest.raises(Interrupted):
        stopped.run(Watch(3), StopRequests())
    content = bytearray(stopped.resume_path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    stopped.resume_path.write_bytes(content)
    again = run_of()
    first = again.method.prompt.detach().clone()
    assert not again.restore()
    assert "resume.pt is damaged" in caplog.text
    assert again.progress.step == 0 and torch.equal(again.method.prompt, first)


@pytest.mark.parametrize("kind", ["prompt", "model"])
def test_the_best_step_is_the_first_of_the_highest_score(run_of, kind):
    """Early stopping as in the paper: the best evaluated step, not the last.

    The last is evaluated even off the interval.
    """
    scores = {2: 10.0, 4: 30.0, 5: 30.0}
    values = {}

    class Scripted(Watch):
        def evaluate(self, method, step):
            values[step] = {name: value.detach().clone() for name, value in method.trained.items()}
            return scores[step]

    run = run_of(kind, num_steps=5)
    run.run(Scripted(), StopRequests())
    run.go_to_best()

    assert (run.progress.best_step, run.progress.best_score, [*values]) == (4, 30.0, [2, 4, 5])
    for name, value in run.method.trained.items():
        assert torch.equal(value, values[4][name]), name
        assert not torch.equal(values[4][name], values[5][name]), name


def test_without_scores_the_last_step_counts(run_of):
    class Unscored(Watch):
        def evaluate(self, method, step):
            self.evaluated.append(step)

    run, watch = run_of("text"), Unscored()
    run.run(watch, StopRequests())
    assert watch.evaluated == [2, 4, 6]
    assert run.best is run.progress.best_score is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_at_its_step_and_nothing_is_best(run_of, bad, monkeypatch):
    def broken(logits, targets, z_loss):
        return summed_loss(logits, targets, z_loss) * (bad if len(watch.losses) == 2 else 1)

    run, watch = run_of(eval_every_steps=6), Watch()
    monkeypatch.setattr("prompt_tuning.loop.summed_loss", broken)
    with pytest.raises(UserError, match=f"diverged at step 3: its loss is {bad}"):
        run.run(watch, StopRequests())
    assert len(watch.losses) == 2 and run.best is None
    assert run.method.prompt.isfinite().all() and not run.resume_path.exists()


def test_values_that_are_not_finite_are_not_scored(run_of):
    """A gradient can overflow behind a finite loss, in the last step even."""

    class Breaking(Watch):
        def on_step(self, step, loss):
            if step == 4:
                run.method.prompt.data[1, 2] = math.inf

    run, watch = run_of(), Breaking()
    with pytest.raises(UserError, match="diverged at step 4: prompt is not finite"):
        run.run(watch, StopRequests())
    assert watch.evaluated == [2] and run.progress.best_step == 2


def test_gradients_are_clipped_and_the_schedule_scales_every_group(run_of):
    """By hand, with plain gradient descent: a step of a norm of 1 times its rate and factor."""
    run = run_of("text", num_steps=1)
    before = {name: weight.detach().clone() for name, weight in run.method.trained.items()}
    groups = [
        {"params": [weight], "lr_factor": 2.0 if name == "lm_head.weight" else 0.5}
        for name, weight in run.method.trained.items()
    ]
    run.optimizer = torch.optim.SGD(groups, lr=9.0)
    run.run(Watch(), StopRequests())
    gradients = [weight.grad for weight in run.method.trained.values()]
    assert torch.cat([g.flatten() for g in gradients if g is not None]).norm() <= 1.0001
    for name, weight in run.method.trained.items():
        rate = 0.1 * (2.0 if name == "lm_head.weight" else 0.5)
        assert weight.grad is not None
        torch.testing.assert_close(weight.detach(), before[name] - rate * weight.grad)


def test_z_loss_adds_the_squared_log_partition_function():
    """Source: t5x/losses.py: cross-entropy + z_loss * log(Z)^2."""
    logits = (torch.randn(7, 11, dtype=torch.float64) * 3).requires_grad_()
    targets = torch.randint(11, (7,))
    cross_entropy = summed_loss(logits, targets, None)
    log_z = logits.exp().sum(-1).log()
    for z_loss, expected in ((0.0, cross_entropy), (0.01, cross_entropy + 0.01 * (log_z**2).sum())):
        loss = summed_loss(logits, targets, z_loss)
        torch.testing.assert_close(loss, expected)
        gradients = [
            torch.autograd.grad(x / 3, logits, retain_graph=True) for x in (loss, expected)
        ]
        torch.testing.assert_close(*gradients)


def test_the_loss_of_a_hopeless_target_is_finite():
    """Its probability is 0 in float32, its logarithm is not."""
    logits = torch.tensor([[0.0, 300.0, 299.0]], requires_grad=True)
    loss = summed_loss(logits, torch.tensor([0]), 0.0)
    loss.backward()
    assert loss.item() == pytest.approx(300.3133)
    expected = torch.tensor([[-1.0, 0.7311, 0.2689]])
    torch.testing.assert_close(logits.grad, expected, atol=1e-4, rtol=0)


def test_every_epoch_sees_every_example_once_and_no_batch_is_cut():
    order = batch_order(num_examples=10, batch_size=4, seed=0)
    seen = [index for step in range(10) for index in order(step)]
    assert all(len(order(step)) == 4 for step in range(10))
    for epoch in range(4):
        assert sorted(seen[10 * epoch : 10 * (epoch + 1)]) == list(range(10))
    assert seen[:10] != seen[10:20]
    assert order(7) == batch_order(10, 4, seed=0)(7)
    assert order(7) != batch_order(10, 4, seed=1)(7)
