"""Overrides from a keyboard: whatever they say gives a config or the user's errors, soon."""

import pytest
from forks import python
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from prompt_tuning.composition import points_of
from prompt_tuning.config import TrainConfig
from prompt_tuning.config_checks import train_config
from prompt_tuning.errors import UserError
from prompt_tuning.files import flat


def keys_of_train():
    """Every key of the config, every section and every group."""
    (point,) = points_of("train", [])
    keys = [key for key, _ in flat(OmegaConf.to_container(point.config))]
    sections = {key[:end] for key in keys for end, char in enumerate(key) if char == "."}
    return [*keys, *sorted(sections), "experiment", "hydra/launcher", "hydra.run.dir"]


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
TYPED = st.sampled_from(
    [
        *("", "null", "true", "0", "-1", "1e999", ".nan", "9" * 400, "0x10", "1_0", "é", "a b"),
        *("a,b", "[a,b]", "[", "{", "{a: 1}", "{a: {b: [1]}}", "'", '"', "'a b'", "\\\\", "\\n"),
        *("${seed}", "${no.such}", "${oc.env:HOME}", "${oc.env:NO}", "${oc.decode:[}", "${", "$"),
        *("range(3)", "choice(a,b)", "glob(*)", "glob(", "sort(2,1)", "int(a)", "???", "*", "@a"),
        *("rte", "base", "paper", "../x", "/etc", "a/b", "class_label", "mini_sst2", "x" * 300),
    ]
)
KEY = st.sampled_from(keys_of_train()) | TEXT
SIGN = st.sampled_from(["", "", "", "+", "++", "~"])
OVERRIDE = (
    st.builds("{}{}={}".format, SIGN, KEY, TYPED | TEXT)
    | st.builds("{}{}".format, SIGN, KEY)
    | TEXT
)


def config_of(overrides):
    """The config of a run, or what is wrong, as the command line has it."""
    try:
        (point,) = points_of("train", overrides, check=train_config)
    except UserError as error:
        return [*error.parts]
    return point.checked


@settings(max_examples=40, deadline=None, suppress_health_check=[*HealthCheck])
@given(overrides=st.lists(OVERRIDE, min_size=1, max_size=3))
@example(overrides=["~recipe=true"])
@example(overrides=["~hydra/launcher=a,b"])
def test_any_overrides_give_a_config_or_errors_of_the_users(overrides):
    found = config_of(overrides)
    if not isinstance(found, TrainConfig):
        assert all(isinstance(each, UserError) and each.problem for each in found)


LONG = ",".join(map(str, range(3000)))
WRONG = {
    "unknown key": ["prompt.lenght=3"],
    "unknown file": ["task=rtee"],
    "unknown everything": [f"k{number}=1" for number in range(300)],
    "out of range": ["prompt.length=100000"],
    "no such folder": ["model.path=/nowhere"],
    "open bracket": ["seed=" + "[" * 3000],
    "deep list": ["seed=" + "[" * 150 + "]" * 150],
    "deeper list": ["seed=" + "[" * 1000 + "]" * 1000],
    "deep object": ["+seed=" + "{a:" * 300 + "1" + "}" * 300],
    "a deep list in a sweep": ["-m", "seed=1,2," + "[" * 60 + "]" * 60],
    "deep interpolation": ["seed=" + "${" * 500],
    "a number of 5,000 digits": ["seed=" + "1" * 5000],
    "a range of 5,000 digits": ["-m", f"seed=range({'1' * 5000})"],
    "a billion": ["-m", "seed=range(0,1e9)"],
    "40,000 runs": ["-m", "seed=range(0,200)", "prompt.length=range(1,201)"],
    "10,000 runs and an unknown key": ["-m", "seed=range(0,10000)", "prompt.lenght=3"],
    "10,000 runs and an unknown file": ["-m", "seed=range(0,10000)", "task=rtee"],
    "10,000 runs and a value": ["-m", "seed=range(0,10000)", "training.batch_size=-1"],
    "the first of 10,000": ["-m", "seed=range(-1,9999)"],
    "the last of 10,000": ["-m", "seed=range(4294957297,4294967297)"],
    "one of two on 2,000": ["-m", "seed=range(0,1000)", "training.batch_size=1,-1"],
    "3,000 values": ["-m", f"seed={LONG}", "training.batch_size=-1"],
    "an experiment of 600": ["-m", "experiment=fig3a", "optimizer.learning_rate=-1"],
    "every file of every group": ["-m", "task=glob(*)", "model=glob(*)", "init=glob(*)", "seed=-1"],
}
CPU_SECONDS = 1.0
TIMES_THE_PLAINEST = 3


def seconds_to_refuse(name, folder):
    """Processor time until ptune has said what is wrong: without torch, without a file.

    The interpreter's start and all imports are in it.
    """
    done, imported, used = python("-m", "prompt_tuning", "train", *WRONG[name], folder=folder)
    assert done.returncode == 2 and "ptune: error: " in done.stderr and "torch" not in imported
    assert not [*folder.iterdir()]
    return used


@pytest.mark.faults
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_override_is_told_of_within_a_second_of_cpu(name, tmp_path):
    """Of the CPU, not of the clock; once of three, for others may fill its caches."""
    assert any(seconds_to_refuse(name, tmp_path) < CPU_SECONDS for _ in range(3))


@pytest.mark.parametrize(
    "name",
    ["deep list", "10,000 runs and a value", "the last of 10,000", "every file of every group"],
)
def test_the_slowest_kinds_of_wrong_overrides_take_little_longer_than_the_plainest(name, tmp_path):
    """A second says nothing where the machine's speed changes from day to day; this does."""
    times = []
    for _ in range(3):
        plainest = seconds_to_refuse("unknown key", tmp_path)
        times.append(seconds_to_refuse(name, tmp_path) / plainest)
        if times[-1] < TIMES_THE_PLAINEST:
            return
    pytest.fail(f"{times} times the plainest")
