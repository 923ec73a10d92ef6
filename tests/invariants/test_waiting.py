"""A training step never waits for a GPU, but to read its loss: what is queued there is not stalled.

Seen on a CPU: by the operators that would read from a GPU or send a list to it, and on PyTorch's
`meta` device, whose tensors have no numbers that could be read.
"""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from prompt_tuning.bench.workload import SIZES, VOCAB_SIZE, Place, random_ids, random_t5
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.loop import EncodedExamples, TrainingRun, TrainingSettings, shuffled, summed_loss
from prompt_tuning.models import layers
from prompt_tuning.models.frozen_t5 import FrozenT5, Rows
from prompt_tuning.models.layers import Dropout
from prompt_tuning.models.methods import PromptTuning
from prompt_tuning.optim import Adafactor

INPUT_LENGTHS, TARGET_LENGTHS = [9, 30, 4, 17], [2, 5, 1, 3]
READS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"}


class Waits(TorchDispatchMode):
    """Counts what reads numbers of a tensor, and the lists that become tensors."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, func.name().partition(".")[0]
        indices = args[1] if name in ("aten::index", "aten::index_put_") else ()
        selects = any(each is not None and each.dtype is torch.bool for each in indices)
        repeats = name == "aten::repeat_interleave" and kwargs.get("output_size") is None
        self.counts["read"] += name in READS or selects or repeats
        self.counts["sent"] += name == "aten::lift_fresh"
        return func(*args, **kwargs)


def waits_of_a_step(size, max_tokens, tmp_path):
    """Those of one update, dropout on."""
    frozen = FrozenT5(random_t5(size, 0.0, Place(torch.device("cpu"), torch.float32)))
    method = PromptTuning(frozen, torch.ones(3, frozen.hidden_size, requires_grad=True))
    data = EncodedExamples(random_ids(INPUT_LENGTHS, seed=0), random_ids(TARGET_LENGTHS, seed=1))
    settings = TrainingSettings(
        num_steps=1,
        eval_every_steps=2,
        max_tokens_per_micro_batch=max_tokens,
        seed=0,
        dropout=0.1,
        z_loss=1e-4,
    )
    optimizer = Adafactor(method.trained.values(), 0.3)
    run = TrainingRun(method, optimizer, shuffled(data, 4, seed=0), settings, tmp_path / "resume")
    with Waits() as waits:
        run.step(0, StopRequests())
    assert method.prompt.grad is not None
    return waits.counts


@pytest.mark.parametrize(("max_tokens", "num_micro_batches"), [(1000, 1), (40, 2)])
def test_a_step_reads_its_loss_alone_and_sends_as_much_to_any_number_of_layers(
    max_tokens, num_micro_batches, tmp_path, monkeypatch
):
    monkeypatch.setattr(layers, "SHORT_ROW", 1000)
    assert SIZES["nano"].num_layers < SIZES["tiny"].num_layers
    counts = [waits_of_a_step(size, max_tokens, tmp_path) for size in ("nano", "tiny")]
    assert counts[0] == counts[1]
    assert counts[0]["read"] == 1
    # Of the step: seed and rows of its dropout. Of a micro-batch: those of its rows, and the
    # lengths of inputs and targets.
    assert counts[0]["sent"] == 2 + 4 * num_micro_batches


def test_a_step_up_to_its_loss_can_be_done_without_a_number_of_the_device():
    place = Place(torch.device("meta"), torch.bfloat16)
    model = FrozenT5(random_t5("nano", 0.0, place))
    prompt = torch.empty(3, model.hidden_size, device="meta", requires_grad=True)
    inputs, targets = (
        [ids.to("meta") for ids in random_ids(lengths, seed=0)]
        for lengths in (INPUT_LENGTHS, TARGET_LENGTHS)
    )
    dropout = Dropout(0.1, 0, range(len(inputs)))
    encoded = model.encode(Rows.under(prompt, inputs), dropout)
    logits = model.target_logits(encoded, targets, dropout)
    assert logits.shape == (sum(TARGET_LENGTHS), VOCAB_SIZE)
    loss = summed_loss(logits, torch.cat(targets), 1e-4)
    loss.backward()
    Adafactor([prompt], 0.3).step()
    assert prompt.grad is not None and prompt.grad.dtype is torch.float32
