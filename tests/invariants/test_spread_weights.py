"""A model that is spread over processes gives what the whole one gives: here over one process.

Several processes are in tests/end_to_end/test_several_processes.py.
"""

from dataclasses import replace

import pytest
import torch
from loop_runs import Watch, prompt_of
from torch import distributed
from torch.distributed.tensor import DTensor

from prompt_tuning.interrupts import Interrupted, StopRequests
from prompt_tuning.loop import EncodedExamples, TrainingRun, TrainingSettings, shuffled
from prompt_tuning.models.decoding import greedy_decode
from prompt_tuning.models.frozen_t5 import Rows
from prompt_tuning.models.loading import load_checkpoint
from prompt_tuning.models.methods import PromptTuning
from prompt_tuning.optim import Adafactor
from prompt_tuning.training.first_prompt import make_model_tuning

CPU = torch.device("cpu")
SETTINGS = TrainingSettings(
    num_steps=5, eval_every_steps=5, max_tokens_per_micro_batch=40, seed=3, dropout=0.1, z_loss=1e-4
)


@pytest.fixture
def group():
    """Of this process alone."""
    store = distributed.HashStore()
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield distributed.group.WORLD
    distributed.destroy_process_group()


def ids(*lengths):
    generator = torch.Generator().manual_seed(sum(lengths))
    drawn = [torch.randint(3, 90, (length,), generator=generator) for length in lengths]
    return [torch.cat([each, torch.ones(1).long()]) for each in drawn]


EXAMPLES = EncodedExamples(ids(4, 30, 70, 9, 12, 5), ids(1, 3, 2, 2, 1, 4))


def method_of(checkpoint, kind, group):
    source = checkpoint.source
    loaded = load_checkpoint(source, revision=None, dtype=torch.float32, device=CPU, group=group)
    if kind == "model":
        return make_model_tuning(loaded)
    return PromptTuning(loaded.model, prompt_of(checkpoint))


def run_of(method, folder):
    optimizer = Adafactor(
        method.trained.values(), 0.01, min_dim_size_to_factor=3, multiply_by_parameter_scale=True
    )
    folder.mkdir(exist_ok=True)
    batches = shuffled(EXAMPLES, 3, seed=3)
    return TrainingRun(method, optimizer, batches, SETTINGS, folder / "resume.pt")


def whole(tensor):
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach()


@pytest.mark.parametrize("kind", ["prompt", "model"])
def test_layers_are_spread_and_say_the_same(tiny_checkpoint, group, kind):
    method = method_of(tiny_checkpoint, kind, group)
    model, expected = method.make_model(), tiny_checkpoint.model
    assert model.is_spread and method.is_spread and not expected.is_spread
    layers = [*model.encoder.layers, *model.decoder.layers]
    assert layers and all(isinstance(w, DTensor) for each in layers for w in each.parameters())
    said = []
    for each in (model, expected):
        with torch.no_grad():
            encoded = each.encode(Rows.under(prompt_of(tiny_checkpoint), EXAMPLES.inputs))
            said.append(greedy_decode(each, encoded, 6))
    assert said[0] == said[1]


@pytest.mark.parametrize("kind", ["prompt", "model"])
@pytest.mark.parametrize("goes_on_spread", [True, False])
def test_a_spread_run_that_was_stopped_ends_as_a_whole_one(
    tiny_checkpoint, group, tmp_path, kind, *, goes_on_spread
):
    """With dropout, whose masks are drawn again where a layer is; with factored second moments."""
    expected = run_of(method_of(tiny_checkpoint, kind, None), tmp_path / "whole")
    expected.run(Watch(), StopRequests())

    first = run_of(method_of(tiny_checkpoint, kind, group), tmp_path)
    with pytest.raises(Interrupted):
        first.run(Watch(stop_at=2), StopRequests())
    again = run_of(method_of(tiny_checkpoint, kind, group if goes_on_spread else None), tmp_path)
    assert again.restore()
    again.run(Watch(), StopRequests())

    assert again.best is not None and expected.best is not None
    for name, value in expected.method.trained.items():
        found = whole(again.method.trained[name])
        torch.testing.assert_close(found, value.detach(), rtol=1e-4, atol=2e-5, msg=name)
        assert torch.equal(again.best[name], found), name
    assert replace(again.progress, duration_s=0) == replace(expected.progress, duration_s=0)
