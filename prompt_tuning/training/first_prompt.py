"""What a run trains, before its first update: a prompt, or all weights of a model."""

from pathlib import Path

import torch
from torch import Tensor

from prompt_tuning.config import InitConfig, TrainConfig
from prompt_tuning.models import initializers
from prompt_tuning.models.frozen_t5 import FrozenT5, num_layers
from prompt_tuning.models.layer_weights import spread_trained
from prompt_tuning.models.loading import Checkpoint, load_weights
from prompt_tuning.models.methods import Method, ModelTuning, PromptTuning
from prompt_tuning.prompt_files import check_fits, load_prompt
from prompt_tuning.tasks import Task


def make_method(config: TrainConfig, task: Task | None, checkpoint: Checkpoint) -> Method:
    """What a run on one task trains; raises as `first_prompt`.

    A prompt of zeros where there is no task: its values come from the first process.
    """
    if config.method == "model_tuning":
        return make_model_tuning(checkpoint)
    model, length = checkpoint.model, config.prompt.length
    assert isinstance(model, FrozenT5) and length is not None, (model, length)
    init = torch.zeros(length, model.hidden_size)
    if task is not None:
        init = first_prompt(config.init, length, task, checkpoint, seed=config.seed)
    return PromptTuning(model, init.to(model.device).requires_grad_())


def make_model_tuning(checkpoint: Checkpoint) -> ModelTuning:
    """All weights of the checkpoint, trained on its device and spread over its processes."""
    model, revision, group = checkpoint.model, checkpoint.revision, checkpoint.model.group
    device = model.device if group is None else torch.device("cpu")
    weights, t5_config = load_weights(checkpoint.source, device=device, revision=revision)
    if group is None:
        return ModelTuning(weights, t5_config, model.dtype)
    trained, stacks = spread_trained(
        weights, num_layers(t5_config), t5_config.num_heads, group, model.device, model.dtype
    )
    return ModelTuning(trained, t5_config, model.dtype, stacks)


def first_prompt(
    init: InitConfig, length: int, task: Task, checkpoint: Checkpoint, *, seed: int
) -> Tensor:
    """The prompt before its first update, float32 [length, H].

    Raises:
        UserError: the strategy lacks what it needs, or the file belongs to another model.
    """
    embedding, width = checkpoint.model.embedding, checkpoint.model.hidden_size
    generator = torch.Generator().manual_seed(seed)
    if init.strategy == "random_uniform":
        bound, signed = init.uniform_range, init.uniform_signed
        return initializers.random_uniform(
            length, width, bound=bound, signed=signed, generator=generator
        )
    if init.strategy == "from_file":
        assert init.path is not None, init
        return _prompt_from_file(Path(init.path), length, checkpoint)
    sampled = initializers.sampled_vocab(
        length, embedding, sample_size=init.vocab_sample_size, generator=generator
    )
    encode = checkpoint.encode_text
    if init.strategy == "class_label":
        words = init.words or task.init_words
        assert words, task.name
        return initializers.class_label(sampled, embedding, words=words, encode=encode)
    if init.strategy == "from_text":
        assert init.text is not None, init
        return initializers.from_text(sampled, embedding, text=init.text, encode=encode)
    assert init.strategy == "sampled_vocab", init.strategy
    return sampled


def _prompt_from_file(path: Path, length: int, checkpoint: Checkpoint) -> Tensor:
    prompt = load_prompt(path)
    width, fingerprints = checkpoint.model.hidden_size, checkpoint.fingerprints
    check_fits(prompt, path, hidden_size=width, fingerprints=fingerprints)
    assert prompt.length == length, (path, prompt.length, length)  # `config_checks` has seen it
    return torch.from_numpy(prompt.weight)
