"""Model tuning against a plain Hugging Face model with autograd on every weight."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import T5ForConditionalGeneration

from prompt_tuning.data.batches import BatchOrder
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.loop import EncodedExamples, TrainingRun, TrainingSettings, shuffled
from prompt_tuning.models.methods import Method, ModelTuning
from prompt_tuning.optim import Adafactor

SETTINGS = TrainingSettings(
    num_steps=3,
    eval_every_steps=3,
    dropout=0.0,
    z_loss=1e-4,
    seed=0,
    max_tokens_per_micro_batch=30,  # two micro-batches or more
)


class Unwatched:
    def evaluate(self, method: Method, step: int) -> float:
        return 0.0

    def on_step(self, step: int, loss: float) -> None:
        pass


def ragged_examples(vocab_size: int) -> EncodedExamples:
    generator = torch.Generator().manual_seed(2)

    def rows(lengths: list[int]) -> list[Tensor]:
        found = [torch.randint(3, vocab_size, (n,), generator=generator) for n in lengths]
        return [torch.cat([row, torch.ones(1).long()]) for row in found]

    return EncodedExamples(rows([6, 22, 1, 11, 11, 3]), rows([1, 4, 1, 2, 8, 2]))


def adafactor(weights: list[Tensor]) -> Adafactor:
    return Adafactor(weights, 1e-3, weight_decay=0.0, multiply_by_parameter_scale=True)


def hf_step(
    model: T5ForConditionalGeneration, inputs: list[Tensor], targets: list[Tensor]
) -> Tensor:
    """The mean loss per target token of a padded batch."""
    labels = pad_sequence(targets, batch_first=True, padding_value=-100)
    mask = pad_sequence([torch.ones(len(ids)) for ids in inputs], batch_first=True)
    ids = pad_sequence(inputs, batch_first=True)
    logits = model(input_ids=ids, attention_mask=mask, labels=labels).logits
    real = labels != -100
    z_loss = SETTINGS.z_loss * logits[real].logsumexp(-1).square().mean()
    return F.cross_entropy(logits[real], labels[real]) + z_loss


def test_model_tuning_moves_every_weight_as_the_hugging_face_model_would(
    hf_model_64: T5ForConditionalGeneration, tmp_path: Path
) -> None:
    """Three updates in float64: fused weights and micro-batches change no gradient."""
    weights = {
        name: weight.detach().clone().requires_grad_()
        for name, weight in hf_model_64.state_dict().items()
        if not name.endswith("embed_tokens.weight")
    }
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    examples = ragged_examples(hf_model_64.config.vocab_size)
    method = ModelTuning(weights, hf_model_64.config, torch.float64)
    optimizer = adafactor(list(weights.values()))
    batches = shuffled(examples, 4, seed=0)
    TrainingRun(method, optimizer, batches, SETTINGS, tmp_path / "resume.pt").run(
        Unwatched(), StopRequests()
    )

    hf_model_64.requires_grad_(True)
    optimizer = adafactor(list(hf_model_64.parameters()))
    order = BatchOrder(len(examples.inputs), 4, seed=0)
    for step in range(SETTINGS.num_steps):
        optimizer.zero_grad()
        inputs, targets = ([rows[i] for i in order[step]] for rows in vars(examples).values())
        hf_step(hf_model_64, inputs, targets).backward()
        optimizer.step()

    expected = dict(hf_model_64.named_parameters())
    assert weights.keys() == expected.keys()
    for name, weight in weights.items():
        moved, should_move = weight - before[name], expected[name] - before[name]
        assert should_move.norm() > 0, name
        torch.testing.assert_close(moved, should_move, rtol=1e-5, atol=1e-9, msg=name)


def test_gradients_reach_float32_weights_through_a_bfloat16_forward_pass(
    hf_model: T5ForConditionalGeneration,
) -> None:
    """On a GPU the forward pass is bfloat16; an update of 0.001 would be lost in such weights."""
    weights = {name: weight.requires_grad_() for name, weight in hf_model.state_dict().items()}
    model = ModelTuning(weights, hf_model.config, torch.bfloat16).make_model()
    assert model.dtype is torch.bfloat16
    model.embedding.sum().backward()
    grad = weights["shared.weight"].grad
    assert grad is not None and grad.dtype is torch.float32
