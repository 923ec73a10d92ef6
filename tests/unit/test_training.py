"""From the config to what trains: every setting arrives, and the seed decides what is drawn."""

from dataclasses import asdict, replace
from unittest.mock import Mock

import pytest
import torch
from quick_runs import TOLD, train_config_of

from prompt_tuning.config import OptimizerConfig
from prompt_tuning.errors import UserError
from prompt_tuning.examples import encode_training_examples
from prompt_tuning.loop import TrainingSettings
from prompt_tuning.prompt_files import FINGERPRINT, save_prompt
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import Example
from prompt_tuning.training import outcome
from prompt_tuning.training.first_prompt import make_method
from prompt_tuning.training.walk import training_run

EXAMPLES = [Example("a joy " * i, "positive", idx=i) for i in range(9)]


@pytest.fixture
def run_of(tiny_checkpoint, tmp_path):
    """A run of the mini recipe with these overrides, before its first step."""

    def run(*overrides, **replaced):
        config = replace(train_config_of("data.cache_dir=null", *overrides), **replaced)
        encoded = encode_training_examples(EXAMPLES, tiny_checkpoint, config)
        method = make_method(config, TASKS["mini_sst2"], tiny_checkpoint)
        return training_run(config, method, encoded, RunFolder(tmp_path))

    return run


def test_every_setting_of_the_config_arrives_in_the_loop_and_the_optimiser(run_of):
    """No value is one that these have by themselves."""
    optimizer = OptimizerConfig(
        0.05, 0.7, 2, 9, 0.5, 3.0, 1e-9, 7, multiply_by_parameter_scale=True
    )
    training = ["num_steps=17", "dropout=0.25", "z_loss=0.5", "patience=3"]
    others = ["evaluation.every_steps=5", "machine.max_tokens_per_micro_batch=64", "seed=11"]
    run = run_of(*(f"training.{each}" for each in training), *others, optimizer=optimizer)
    assert run.settings == TrainingSettings(17, 5, 64, 11, 0.25, 0.5, patience=3)
    (group,) = run.optimizer.param_groups
    assert asdict(optimizer).items() <= {**group, "learning_rate": group["lr"]}.items()


@pytest.mark.parametrize("init", ["random_uniform", "sampled_vocab", "class_label"])
def test_a_seed_draws_its_own_first_prompt_and_order_of_examples(run_of, init):
    """Else the spread over seeds would be none."""
    drawn = []
    for seed in (0, 0, 1):
        run = run_of(f"init={init}", f"seed={seed}", "training.batch_size=8")
        drawn.append(
            (run.method.prompt.tolist(), [len(ids) for ids in run.batch_of_step(0).inputs])
        )
    (prompt, order), again, (other_prompt, other_order) = drawn
    assert again == (prompt, order)
    assert prompt != other_prompt and order != other_order


@pytest.mark.parametrize(
    ("init", "other"),
    [
        ("random_uniform", "uniform_range=0.1"),
        ("random_uniform", "uniform_signed=false"),
        ("sampled_vocab", "vocab_sample_size=30"),
        ("class_label", "words=[joy]"),
        ("from_text init.text=joy", "text=watch"),
    ],
)
def test_every_key_of_an_initialisation_changes_the_first_prompt(run_of, init, other):
    given = f"init={init}".split()
    first, second = (run_of(*given, *more).method.prompt for more in ((), (f"init.{other}",)))
    assert first.shape == second.shape and not torch.equal(first, second)


def test_a_prompt_of_other_weights_does_not_start_a_run(run_of, tiny_checkpoint, tmp_path):
    path, weight = tmp_path / "p.safetensors", run_of().method.prompt.detach().numpy()
    given = ["init=from_file", f"init.path={path}", "model.path=x/y", "recipe=mini"]
    save_prompt(path, weight, TOLD | tiny_checkpoint.fingerprints)
    assert run_of(*given).method.prompt.tolist() == weight.tolist()
    save_prompt(path, weight, TOLD | {FINGERPRINT: "another"})
    with pytest.raises(UserError, match="these are other weights"):
        run_of(*given)


def test_targets_begin_with_the_sentinel_where_the_variant_has_one(tiny_checkpoint, run_of):
    """Section 2.2: figure 3(c)'s third arm differs from the second in this alone."""
    for variant in ("span_corruption", "span_corruption_sentinel"):
        (first,) = {int(ids[0]) for ids in run_of(f"variant={variant}").batch_of_step(0).targets}
        assert (first == tiny_checkpoint.sentinel_id) == variant.endswith("sentinel")


@pytest.mark.parametrize(("experiment", "group"), [(None, "mini_sst2"), ("fig1_ladder",) * 2])
def test_a_run_is_grouped_by_its_experiment_and_tagged_by_its_axes(experiment, group):
    run = Mock(config=replace(train_config_of(), experiment=experiment))
    outcome.track(run, 3)
    axes = ["ladder_400k", "lm_adapted", "mini_sst2", "class_label", "P20", "mini"]
    run.track.assert_called_once_with(group=group, axes=axes, step=3)
