"""The packed forward pass against Hugging Face's model, which is the loader and the oracle."""

from functools import partial

import pytest
import torch
import torch._inductor.config
import torch.nn.functional as F
from torch._dynamo.utils import counters
from torch.nn.utils.rnn import pad_sequence

from prompt_tuning.loop import EncodedExamples, TrainingSettings, accumulate_gradient
from prompt_tuning.models.decoding import greedy_decode, score_labels
from prompt_tuning.models.frozen_t5 import FrozenT5, Rows
from prompt_tuning.models.layers import NO_DROPOUT
from prompt_tuning.models.methods import ModelTuning, PromptTuning

INPUT_LENGTHS = [7, 23, 1, 12, 12]
TARGET_LENGTHS = [2, 5, 1, 3, 9]
IGNORED = -100


def random_ids(lengths, *, vocab_size, seed):
    """Token ids of ragged rows, each ending in EOS."""
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(3, vocab_size, (n,), generator=generator) for n in lengths]
    for row in rows:
        row[-1] = 1
    return rows


def hf_batch(model, prompts, inputs):
    """Inputs under their prompts, padded to the longest, for Hugging Face."""
    rows = [
        torch.cat([prompt, model.shared(ids)]) for prompt, ids in zip(prompts, inputs, strict=True)
    ]
    mask = pad_sequence([torch.ones(len(row)) for row in rows], batch_first=True)
    return {"inputs_embeds": pad_sequence(rows, batch_first=True), "attention_mask": mask}


def hf_loss(model, prompt, inputs, targets):
    labels = pad_sequence(targets, batch_first=True, padding_value=IGNORED)
    batch = hf_batch(model, [prompt] * len(inputs), inputs)
    return model(**batch, labels=labels).loss


def settings(max_tokens):
    return TrainingSettings(
        num_steps=1, eval_every_steps=1, max_tokens_per_micro_batch=max_tokens, seed=0, z_loss=0.0
    )


def ragged_batch(model):
    size = model.config.vocab_size
    generator = torch.Generator().manual_seed(2)
    prompt = torch.randn(6, model.config.d_model, generator=generator).to(model.dtype)
    inputs = random_ids(INPUT_LENGTHS, vocab_size=size, seed=3)
    return prompt.requires_grad_(), inputs, random_ids(TARGET_LENGTHS, vocab_size=size, seed=4)


@pytest.mark.parametrize("max_tokens", [10_000, 30, 1], ids=["one", "several", "row by row"])
@pytest.mark.parametrize(
    ("fixture", "tolerance"),
    [("hf_model_64", 1e-9), ("hf_model", 1e-4)],
    ids=["float64", "float32"],
)
def test_loss_and_gradients_equal_hugging_face(hf_model, fixture, tolerance, max_tokens, request):
    """Exact algebra: packing, absorbed cross-attention, fused weights and micro-batches.

    Of the prompt in front of a frozen model, and of every weight where all of them are trained:
    fused anew for every micro-batch, which frees the graph.
    """
    model = request.getfixturevalue(fixture).requires_grad_()
    assert model is hf_model  # in another precision or as it is
    prompt, inputs, targets = ragged_batch(model)
    no_prompt = prompt.new_zeros(0, prompt.shape[1])
    weights = {name: w.detach().clone().requires_grad_() for name, w in model.named_parameters()}
    batch = EncodedExamples(inputs, targets)
    frozen, tuning = FrozenT5(model), ModelTuning(weights, model.config, model.dtype)
    for method, own_prompt, expected in (
        (PromptTuning(frozen, prompt), prompt, {"prompt": prompt}),
        (tuning, no_prompt, dict(model.named_parameters())),
    ):
        loss = hf_loss(model, own_prompt, inputs, targets)
        gradients = torch.autograd.grad(loss, list(expected.values()))
        found = accumulate_gradient(method, batch, settings(max_tokens), NO_DROPOUT)
        assert found == pytest.approx(loss.item(), rel=tolerance)
        assert [*method.trained] == [*expected]
        for (name, tensor), gradient in zip(method.trained.items(), gradients, strict=True):
            assert tensor.grad is not None and gradient.norm() > 0, name
            assert (tensor.grad - gradient).norm() <= tolerance * gradient.norm() + 1e-14, name


@pytest.mark.parametrize(
    "backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.faults)]
)
@pytest.mark.parametrize("family_folder", ["t5"], indirect=True)
def test_the_compiled_model_has_the_loss_and_gradient_of_the_eager_one(
    hf_model, backend, monkeypatch, tmp_path
):
    """On a CPU; of GPUs nothing is known. CUDA graphs are what this mode adds there.

    aot_eager captures the same graphs, and runs them without making C++ of them first.
    """
    monkeypatch.setattr("torch.compile", partial(torch.compile, backend=backend))
    counters.clear()
    # Compiled here and now: a pool of compilers outlives the test, a cache may be of another one.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    prompt, *rows = ragged_batch(hf_model)
    losses, gradients, batch = [], [], EncodedExamples(*rows)
    for mode in (None, "reduce-overhead"):
        model = FrozenT5(hf_model)
        if mode is not None:
            model.compile(mode)
        prompt.grad = None
        method = PromptTuning(model, prompt)
        with torch._inductor.config.patch(compile_threads=1):  # for micro-batches of 3 and 2 rows:
            losses.append(accumulate_gradient(method, batch, settings(47), NO_DROPOUT))
        gradients.append(prompt.grad)
    assert counters["stats"]["unique_graphs"] > 1
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-5)


def test_logits_and_label_scores_under_any_prompt_equal_hugging_face(hf_model_64):
    """A row names its prompt, of any length: the mechanism of ensembles and mixed-task inference.

    The encoder runs once for all labels, which are scored in one pass, of whatever lengths.
    """
    size, width = hf_model_64.config.vocab_size, hf_model_64.config.d_model
    prompts = [torch.randn(length, width, dtype=torch.float64) for length in (1, 8, 3)]
    prompt_of_row = [2, 0, 1, 2, 0]
    inputs, targets, labels = (
        random_ids(lengths, vocab_size=size, seed=seed)
        for seed, lengths in enumerate((INPUT_LENGTHS, TARGET_LENGTHS, [2, 5, 1]))
    )
    model = FrozenT5(hf_model_64)

    encoded = model.encode(Rows(prompts, inputs, prompt_of_row))
    logits = model.target_logits(encoded, targets).split(TARGET_LENGTHS)
    scores = score_labels(model, encoded, labels)

    assert scores.shape == (len(inputs), len(labels))
    close = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-10)
    for row, k in enumerate(prompt_of_row):
        batch = hf_batch(hf_model_64, [prompts[k]], [inputs[row]])
        close(logits[row], hf_model_64(**batch, labels=targets[row][None]).logits[0])
        for label, score in zip(labels, scores[row], strict=True):
            expected = hf_model_64(**batch, labels=label[None]).logits[0]
            close(score, -F.cross_entropy(expected, label, reduction="sum"))


@pytest.mark.parametrize("max_tokens", [4, 15])
def test_greedy_decoding_says_the_tokens_of_generate(hf_model, max_tokens):
    """On ragged rows, whether or not a row ends before the limit."""
    inputs = random_ids([5, 19, 2, 9, 30, 11, 3, 8], vocab_size=hf_model.config.vocab_size, seed=5)
    prompt = torch.randn(4, hf_model.config.d_model, generator=torch.Generator().manual_seed(6))
    # EOS takes the place of a token that one row says second: some rows end early, some do not.
    model = FrozenT5(hf_model)
    said = greedy_decode(model, model.encode(Rows.under(prompt, inputs)), 2)
    hf_model.lm_head.weight[1] = 1.01 * hf_model.lm_head.weight[said[0][1]]
    batch = hf_batch(hf_model, [prompt] * len(inputs), inputs)
    generated = hf_model.generate(**batch, max_new_tokens=max_tokens, do_sample=False, num_beams=1)
    rows = generated[:, 1:].tolist()  # without the start token
    expected = [row[: row.index(1)] if 1 in row else row for row in rows]

    model = FrozenT5(hf_model)
    decoded = greedy_decode(model, model.encode(Rows.under(prompt, inputs)), max_tokens)

    assert decoded == expected
    assert len({len(row) for row in expected}) > 1, "every row ended at the same step"


@pytest.mark.parametrize("family_folder", ["t5"], indirect=True)
def test_decoding_stops_when_every_row_has_ended(hf_model, monkeypatch):
    model = FrozenT5(hf_model)
    steps = []

    def step(ids, encoded, cache):
        steps.append(ids)
        says = torch.zeros(len(ids), 9)
        says[0, 1] = 1.0  # the first row ends at once, the others at the third step
        says[1:, 1 if len(steps) == 3 else 5] = 1.0
        return says, []

    monkeypatch.setattr(model, "step", step)
    encoded = model.encode(Rows.under(torch.ones(1, model.hidden_size), [torch.ones(2).long()] * 3))
    assert greedy_decode(model, encoded, max_target_tokens=50) == [[], [5, 5], [5, 5]]
    assert len(steps) == 3


def test_a_model_that_is_tuned_in_bfloat16_keeps_its_weights_in_float32(hf_model):
    """An update of 0.001 is lost in bfloat16."""
    weights = {n: w.detach().float().requires_grad_() for n, w in hf_model.named_parameters()}
    tuned = ModelTuning(weights, hf_model.config, torch.bfloat16).make_model()
    assert tuned.dtype is torch.bfloat16
    tuned.embedding.sum().backward()
    assert weights["shared.weight"].grad is not None
