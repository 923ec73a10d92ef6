"""From a composed config to a typed object, or to every reason why not."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from quick_runs import TOLD
from quick_runs import train_config_of as train

from prompt_tuning import devices
from prompt_tuning.commands.evaluate import check
from prompt_tuning.composition import composed, points_of
from prompt_tuning.config import (
    IGNORED_KEYS,
    ScoreConfig,
    config_hash,
    run_name,
    typed,
)
from prompt_tuning.config_checks import train_config
from prompt_tuning.devices import check_gpu
from prompt_tuning.errors import UserError
from prompt_tuning.pretraining.schema import PretrainConfig, pretrain_name
from prompt_tuning.prompt_files import save_prompt

HASH_OF_2026_11_24 = "7ccc08b7"
V1_1 = {"model_type": "t5", "feed_forward_proj": "gated-gelu", "d_model": 8}


def evaluate(*overrides):
    return check(composed("evaluate", overrides))


def errors_of(*overrides):
    with pytest.raises(UserError) as caught:
        train(*overrides)
    return [str(error) for error in caught.value.parts]


def error_of(*overrides):
    (error,) = errors_of(*overrides)
    return error


def test_the_default_run_is_a_model_of_the_ladder_on_a_mini_task():
    config = train()
    assert (config.model.name, config.task.name) == ("ladder_400k", "mini_sst2")
    assert (config.recipe, config.variant.lm_adapt_steps) == ("mini", 6000)
    assert (config.init.strategy, config.prompt.length) == ("class_label", 20)


def test_a_model_brings_its_recipe_and_the_command_line_wins():
    """By where its weights are, and nothing else of the run follows from the choice."""
    assert (train("model=base").recipe, train("model=base").prompt.length) == ("paper", 100)
    assert train("model=ladder_3m").recipe == "mini"
    assert train("model=flan_small").recipe == "paper"
    assert train("model=flan_small_int8").recipe == "short"
    assert train("recipe=released", "model=base").recipe == "released"
    assert train("model=base", "recipe=mini", "prompt.length=7").prompt.length == 7
    # Random weights take any checkpoint's shape: this model has that of LM adaptation only.
    assert train("model=flan_small_int8", "variant=random_weights").recipe == "short"
    chosen, default = train("model=base", "recipe=mini"), train()
    assert replace(chosen, model=default.model, variant=default.variant) == default


def test_paper_and_released_differ_in_the_rows_that_the_paper_states():
    """Rows 1 to 3 of the table of differences, and how long an answer may be; the paper is silent
    on that, and the demos' 8 tokens would cut those of a reader of texts."""
    paper, released = train("model=base"), train("model=base", "recipe=released")
    assert (paper.init.uniform_signed, released.init.uniform_signed) == (True, False)
    steps, batch = paper.training.num_steps, paper.training.batch_size
    assert (steps, released.training.num_steps) == (30_000, 50_000)
    assert (batch, released.training.batch_size) == (32, 128)
    tokens = paper.training.max_target_tokens
    assert (tokens, released.training.max_target_tokens) == (62, 8)
    training = replace(
        released.training, num_steps=steps, batch_size=batch, max_target_tokens=tokens
    )
    assert replace(released, recipe="paper", init=paper.init, training=training) == paper


def test_the_papers_optimiser_is_t5x_adafactor_with_its_late_clock():
    """Section 3 of the paper, and the released code where it is silent."""
    own = train("model=base").optimizer
    assert (own.learning_rate, own.decay_rate, own.weight_decay) == (0.3, 0.8, 1e-5)
    assert (own.initial_step, own.step_offset) == (1_100_000, 0)
    assert (own.min_dim_size_to_factor, own.multiply_by_parameter_scale) == (128, False)


@pytest.mark.parametrize(
    ("overrides", "split"),
    [
        (["task=mini_rte"], "test"),
        (["task=mini_rte", "evaluation.report_split=null"], None),
        (["task=rte"], None),
        (["task=rte", "evaluation.report_split=test"], "test"),
        (["task=mini_rte", "recipe=paper"], None),
        (["task=mini_rte", "recipe=released"], None),
    ],
)
def test_the_mini_recipe_reports_the_test_split_where_it_has_labels(overrides, split):
    """The paper reports the split that chose the step, on whatever task."""
    assert train(*overrides).evaluation.report_split == split


def test_all_mistakes_are_reported_at_once():
    errors = errors_of(
        "+prompt.lenght=5", "training.batch_size=0", "training.num_steps=abc", "machine.dtype=int8"
    )
    assert [error.split()[0] for error in errors] == [
        "prompt.lenght",
        "training.num_steps=abc",
        "training.batch_size=0",
        "machine.dtype=int8",
    ]


@pytest.mark.parametrize(
    ("override", "allowed"),
    [
        ("prompt.length=0", "1 or more, at most 16384"),
        ("training.dropout=1.0", "0 or more, less than 1"),
        ("optimizer.learning_rate=0", "more than 0"),
        ("optimizer.learning_rate=inf", "more than 0"),
        ("seed=-1", "0 or more, at most 4294967295"),
        ("data.source=internet", "auto, hub, local, embedded"),
        ("evaluation.split=dev", "train, held_out, validation, test"),
        ("prompt.length=abc", "an integer, or null"),
        ("prompt.length=1.5", "an integer, or null"),
        ("prompt.length=true", "an integer, or null"),
        ("training.dropout=abc", "a number"),
        ("rerun=1", "true or false"),
        ("init.words=yes", "a list of texts: '[a,b]', or null"),
        ("init.words=[1.5]", "a list of texts: '[a,b]', or null"),
        ("data.dir=true", "a text, or null"),
        ("prompt=20", "prompt.length, prompt.num_shots, prompt.template"),
    ],
)
def test_a_value_that_its_key_does_not_take_is_refused_with_what_is_allowed(override, allowed):
    error = error_of(override)
    assert error.startswith(f"{override.split('=')[0]}=")
    assert f"\n  allowed: {allowed}\n  fix:     " in error


def test_an_integer_serves_as_a_number_and_as_a_text():
    """Hydra reads data.cache_dir=2024 as a number, and a folder may be called so."""
    config = train("optimizer.learning_rate=1", "data.cache_dir=2024")
    assert config.optimizer.learning_rate == 1.0
    assert isinstance(config.optimizer.learning_rate, float)
    assert config.data.cache_dir == "2024"


def test_a_missing_value_names_the_choices():
    with pytest.raises(UserError) as caught:
        typed(ScoreConfig, composed("score", []))
    rows, task = sorted(str(error) for error in caught.value.parts)
    assert rows.startswith("rows is missing")
    assert task.startswith("task is missing\n  allowed: boolq, cb, copa,")


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["machine.dtype=float16"], ["overflows inside T5", "#14189", "did you mean bfloat16?"]),
        (["data.dir=${nothing}"], ["data.dir: Interpolation key 'nothing'"]),
        (  # figure 3(d): 10K and 50K are not public
            ["model=base", "variant.lm_adapt_steps=10000"],
            ["only 0 and 100,000 steps were released", "allowed: 0, 100000", "model.path=<folder>"],
        ),
        (["model=as_trained"], ["model=as_trained is for evaluating"]),
        (
            ["model=flan_small_int8", "method=model_tuning"],  # from span corruption, as the paper
            ["is there with LM adaptation only", "add variant=lm_adapted"],
        ),
        (
            ["task=mini_rte", "evaluation.split=test"],
            ["report_split=test is the split that chooses", "evaluation.report_split=null"],
        ),
        (["evaluation.split=held_out"], ["add data.num_held_out=<rows>"]),
        (["data.num_held_out=9"], ["data.num_held_out=9 keeps rows apart", "split=validation"]),
        (["init=from_file"], ["init=from_file needs a file"]),
        (["init=from_text"], ["init=from_text needs a text"]),
        (["init=from_text", "init.text=' '"], ["init.text= is empty"]),
        (["init.words=[happy,' ']"], ["init.words=['happy', ' '] has an empty text"]),
        (["init=from_file", "init.path=none.npy"], ["prompt file none.npy does not exist"]),
        (["prompt.length=null"], ["method=prompt_tuning needs prompt.length"]),
        (["init.strategy=null"], ["method=prompt_tuning needs init"]),
        (
            ["method=prompt_design", "prompt.num_shots=null"],
            ["method=prompt_design needs prompt.num_shots"],
        ),
    ],
)
def test_what_does_not_go_together_is_refused_with_what_to_do(overrides, parts):
    error = error_of(*overrides)
    assert all(part in error for part in parts), error


def test_a_model_folder_must_hold_a_model_of_the_family(tmp_path):
    given, path = f"model.path={tmp_path}", tmp_path / "config.json"
    (tmp_path / "weights.bin").touch()
    assert f"{given} has no config.json (found: weights.bin)" in error_of(given, "recipe=mini")
    for text, problem in (
        ("{", "config.json is unreadable"),
        ("[]", "config.json is unreadable"),
        ('{"model_type": "bert"}', f"{given} holds a bert"),
    ):
        path.write_text(text)
        assert problem in error_of(given, "recipe=mini")
    path.write_text(json.dumps(V1_1))
    config = train(given, "recipe=mini")
    assert run_name(config).startswith(f"mini_sst2-{tmp_path.name}-")  # as the folder is called


def test_a_model_path_is_a_folder_or_a_hub_id():
    """A hub id is owner/name; whether it exists is known when it is loaded."""
    config = train("model.path=google/flan-t5-small", "recipe=paper")
    assert run_name(config).startswith("mini_sst2-flan-t5-small-")
    assert "is not a folder" in error_of("model.path=conf/no_such_folder", "recipe=mini")
    assert "or a hub id" in error_of("model.path=no_such_folder", "recipe=mini")


def test_a_model_of_a_path_gets_no_recipe_that_nobody_chose():
    """The default model's draws words for a prompt from the first 100 pieces of its vocabulary."""
    path = "model.path=google/flan-t5-small"
    with pytest.raises(UserError) as caught:
        points_of("train", [path])
    assert caught.value.problem == f"{path} does not say how it is trained"
    assert train(path, "model=small").recipe == train(path, "recipe=paper").recipe == "paper"
    assert train("model.path=null").recipe == "mini"


def test_a_prompt_file_must_have_the_length_and_width_of_the_run(tmp_path):
    """The width of a model folder is in its config.json."""
    path = tmp_path / "prompt.npy"
    np.save(path, np.zeros((20, 512), np.float32))
    given = ["init=from_file", f"init.path={path}", "prompt.length=20"]
    train("model=small", *given)
    assert "fix:     set prompt.length=20" in error_of("model=small", *given[:2], "prompt.length=5")
    assert "is 512 wide and the model's hidden size is 768" in error_of("model=base", *given)
    (tmp_path / "config.json").write_text(json.dumps(V1_1))
    error = error_of(f"model.path={tmp_path}", "recipe=mini", *given)
    assert "is 512 wide and the model's hidden size is 8" in error


def test_a_prompt_without_metadata_needs_model_and_variant(tmp_path):
    path = tmp_path / "prompt.npy"
    np.save(path, np.zeros((100, 768), np.float32))
    given = [f"prompt={path}", "task=rte"]
    for missing in ([], ["variant=lm_adapted"]):
        with pytest.raises(UserError, match="does not say which model it belongs to"):
            evaluate(*given, *missing)
    with pytest.raises(UserError, match="model=base needs a variant"):
        evaluate(*given, "model=base")
    assert evaluate(*given, "model=base", "variant=lm_adapted").variant is not None


def test_a_prompt_of_ours_needs_nothing_else(tmp_path):
    path = tmp_path / "prompt.safetensors"
    save_prompt(path, np.zeros((5, 8), np.float32), TOLD)
    config = evaluate(f"prompt={path}", "task=rte")
    assert (config.model.source, config.variant) == ("prompt", None)
    assert config_hash(config) != config_hash(evaluate(f"prompt={path}", "task=cb"))
    with pytest.raises(UserError, match=r"is 8 wide .* trained on google/t5-small-lm-adapt"):
        evaluate(f"prompt={path}", "task=rte", "model=small", "variant=lm_adapted")


def test_what_does_not_change_a_result_is_not_in_the_hash():
    """So a run is found again on another machine, under another folder or another figure.

    `Library` finds records by the same keys.
    """
    machine = "device", "max_tokens_per_micro_batch", "num_threads", "compile", "spread_weights"
    others = "tracking", "output_dir", "rerun", "task.report_split", "data.cache_dir", "recipe"
    others = *others, "experiment", "model.recipe"
    assert sorted(IGNORED_KEYS) == sorted([*others, *(f"machine.{key}" for key in machine)])
    assert config_hash(train("tracking=none", "data.dir=/")) == config_hash(train())


@pytest.mark.parametrize("command", [train, partial(evaluate, "prompt=a.safetensors", "task=rte")])
def test_another_order_of_sums_is_another_run_of_the_same_question(command, tmp_path, monkeypatch):
    """Training multiplies a last digit. 2048 is what null means on a CPU, where results began."""
    save_prompt(tmp_path / "a.safetensors", np.zeros((5, 8), np.float32), TOLD)
    monkeypatch.chdir(tmp_path)
    budget = "machine.max_tokens_per_micro_batch"
    on_cpu = config_hash(command("machine.device=cpu"))
    assert config_hash(command("machine.device=cpu", f"{budget}=2048")) == on_cpu
    others = (
        ["machine.device=cpu", f"{budget}=100"],
        ["machine.device=cpu", "machine.compile=default"],
    )
    assert len({on_cpu, *(config_hash(command(*other)) for other in others)}) == 3


def test_what_a_task_offers_to_report_is_in_the_hash_only_if_it_is_reported():
    config = train("task=mini_rte", "evaluation.report_split=null")
    assert config.task.report_split == "test"
    assert config_hash(train("task=mini_rte")) != config_hash(config)
    offered = replace(config, task=replace(config.task, report_split=None))
    assert config_hash(offered) == config_hash(config)


def test_runs_of_earlier_versions_keep_their_hash():
    """It names runs on disk. A key that came later does not make committed results look missing."""
    config = train("task=mini_rte", "model=ladder_100k")
    assert config_hash(config) == HASH_OF_2026_11_24
    name = f"mini_rte-ladder_100k-lm_adapted-class_label-P20-s0-{HASH_OF_2026_11_24}"
    assert run_name(config) == name
    with_shots = replace(config, prompt=replace(config.prompt, num_shots=4))
    assert config_hash(with_shots) != config_hash(config)


@pytest.mark.parametrize("recipe", ["paper", "released", "mini"])
def test_model_tuning_brings_its_own_optimiser_to_any_recipe(recipe):
    """The paper, figure 1 and footnote 3: T5 v1.1 without LM adaptation, learning rate 0.001."""
    own, prompts = train(f"recipe={recipe}", "method=model_tuning"), train(f"recipe={recipe}")
    assert own.training == prompts.training
    assert own.variant.name == "span_corruption"
    assert own.optimizer == replace(
        prompts.optimizer,
        learning_rate=0.001,
        initial_step=0,
        weight_decay=0.0,
        multiply_by_parameter_scale=True,
    )
    assert train("method=model_tuning", "variant=lm_adapted").variant.name == "lm_adapted"
    assert train("model=base", "method=model_tuning").recipe == "paper"


def test_model_tuning_is_named_so_and_has_no_prompt():
    config = train("method=model_tuning", "task=rte", "seed=2")
    assert (config.init.strategy, config.prompt.length) == (None, None)
    expected = f"rte-ladder_400k-span_corruption-model_tuning-s2-{config_hash(config)}"
    assert run_name(config) == expected


@pytest.mark.parametrize(
    ("method", "refused"),
    [
        ("model_tuning", ["init=sampled_vocab", "prompt.length=5", "prompt.num_shots=4"]),
        ("multitask_model_tuning", ["init=sampled_vocab", "prompt.length=5", "prompt.num_shots=4"]),
        ("prompt_design", ["init=sampled_vocab", "prompt.length=5"]),
        ("prompt_tuning", ["prompt.num_shots=4", "prompt.template=flan"]),
    ],
)
def test_settings_of_another_method_are_refused(method, refused):
    """Ignored, they would make a sweep over them look like a finding."""
    errors = errors_of(f"method={method}", *refused)
    assert [error.split()[0] for error in errors] == refused


@pytest.mark.parametrize("recipe", ["paper", "mini"])
def test_multitask_model_tuning_is_model_tuning_on_a_mixture(recipe):
    """The paper, figure 1 and footnote 4; what differs is what is trained on."""
    own = train(f"recipe={recipe}", "method=multitask_model_tuning")
    single = train(f"recipe={recipe}", "method=model_tuning", "task=mini_superglue")
    assert own == replace(single, method="multitask_model_tuning")
    assert train("method=multitask_model_tuning", "task=superglue").task.name == "superglue"
    lm_adapted = train("method=multitask_model_tuning", "variant=lm_adapted")
    assert lm_adapted.variant.name == "lm_adapted"


def test_the_papers_multitask_batch_has_a_million_tokens():
    """2^20, footnote 4, of inputs of 512."""
    points = points_of("train", ["experiment=fig1_multitask"], multirun=True)
    for config in (train_config(point.config) for point in points):
        assert config.training.batch_size * 512 == 2**20
        assert config.task.name == "superglue" and config.recipe == "paper"


def test_prompt_design_asks_the_lm_adapted_model_and_has_no_soft_prompt():
    config = train("method=prompt_design", "model=base", "task=rte")
    assert (config.init.strategy, config.prompt.length) == (None, None)
    assert (config.prompt.num_shots, config.variant.name) == (32, "lm_adapted")
    assert train("method=prompt_design", "machine.compile=default").machine.compile == "default"


def test_a_gpu_may_be_named_by_its_number_and_what_names_no_device_is_refused():
    for device in ("auto", "cpu", "cuda", "cuda:0", "cuda:12"):
        assert train(f"machine.device={device}").machine.device == device
    for device in ("cuda:", "cuda:x", "gpu", "cuda:-1", "cuda:1 "):
        assert "machine.device" in error_of(f"machine.device='{device}'")


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(devices, "has_cuda", lambda: False)
    with pytest.raises(UserError, match="torch finds no GPU here"):
        check_gpu("cuda")
    monkeypatch.setattr(devices, "has_cuda", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    check_gpu("cuda:1")
    with pytest.raises(UserError, match="cuda:2, and torch finds 2 GPUs"):
        check_gpu("cuda:2")


@pytest.mark.parametrize("has_cuda", [False, True])
def test_the_hash_has_the_dtype_that_auto_means_on_this_machine(monkeypatch, *, has_cuda):
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


def test_the_order_of_labels_is_part_of_a_task():
    """The second of two is the one that F1 is of; sorted ones have the hash that they always had.

    As text, 10 stands before 2; as labels of a column of numbers it is the other way round.
    """
    config = train("task=own", "task.inputs='{text}'", "task.label=kind", "task.metrics=[f1]")

    def hashed(*labels):
        task = replace(config.task, labels={label: label for label in labels})
        return config_hash(replace(config, task=task))

    assert hashed("spam", "ham") != hashed("ham", "spam") == "dd592810"
    assert hashed("2", "10") != hashed("10", "2")


def test_a_pretraining_that_was_stopped_keeps_its_folder():
    """Its dtype was always typed and hashed as it is written: float32."""
    cfg = composed("pretrain", ["corpus.text=a.txt"])
    config = typed(PretrainConfig, cfg)
    assert config.machine.dtype == "float32"
    assert pretrain_name(config) == "t5-a85bbe9a"
