"""What names a run: two results never have one hash."""

from dataclasses import replace

import pytest
import torch
from quick_runs import train_config_of as train

from prompt_tuning import devices
from prompt_tuning.composition import composed
from prompt_tuning.config import config_hash, typed
from prompt_tuning.pretraining.schema import PretrainConfig, pretrain_name


@pytest.mark.parametrize("has_cuda", [False, True])
def test_the_hash_has_the_dtype_that_auto_means_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, *, has_cuda: bool
) -> None:
    """bfloat16 on a GPU and float32 on a CPU are two results, typed or not: two folders.

    So are float32 on both: a GPU's micro-batches are what fits, and add up in another order.
    """
    monkeypatch.setattr(devices, "has_cuda", lambda: has_cuda)
    named = {
        (device, dtype): config_hash(train(f"machine.device={device}", f"machine.dtype={dtype}"))
        for device in ("cpu", "cuda")
        for dtype in ("float32", "bfloat16")
    }
    assert len({*named.values()}) == 4
    meant = named["cuda", "bfloat16"] if has_cuda else named["cpu", "float32"]
    assert config_hash(train()) == meant
    assert config_hash(train("machine.device=cpu")) == named["cpu", "float32"]
    assert config_hash(train("machine.device=cuda:1")) == named["cuda", "bfloat16"]
    for budget in (2048, 4096):
        typed = (f"machine.max_tokens_per_micro_batch={budget}", "machine.dtype=float32")
        assert config_hash(train(*typed, "machine.device=cpu")) != named["cuda", "float32"]
        assert config_hash(train(*typed, "machine.device=cuda")) == named["cuda", "float32"]


def test_the_order_of_labels_is_part_of_a_task() -> None:
    """The second of two is the one that F1 is of; sorted ones have the hash that they always had.

    As text, 10 stands before 2; as labels of a column of numbers it is the other way round.
    """
    config = train("task=own", "task.inputs='{text}'", "task.label=kind", "task.metrics=[f1]")

    def hashed(*labels: str) -> str:
        task = replace(config.task, labels={label: label for label in labels})
        return config_hash(replace(config, task=task))

    assert hashed("spam", "ham") != hashed("ham", "spam") == "dd592810"
    assert hashed("2", "10") != hashed("10", "2")


def test_a_machine_is_asked_for_a_gpu_as_torch_asks_it() -> None:
    assert devices.has_cuda() == torch.cuda.is_available()


def test_a_pretraining_that_was_stopped_keeps_its_folder() -> None:
    """Its dtype was always typed and hashed as it is written: float32."""
    cfg = composed("pretrain", ["corpus.text=a.txt"])
    config = typed(PretrainConfig, cfg)
    assert config.machine.dtype == "float32"
    assert pretrain_name(config) == "t5-a85bbe9a"
