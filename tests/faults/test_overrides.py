"""Overrides from a keyboard: whatever they say gives a config or the user's errors."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from prompt_tuning.composition import points_of
from prompt_tuning.config import TrainConfig
from prompt_tuning.config_checks import train_config
from prompt_tuning.errors import UserError
from prompt_tuning.made_from import flat


def keys_of_train() -> list[str]:
    """Every key of the config, every section and every group."""
    (point,), _ = points_of("train", [])
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


def config_of(overrides: list[str]) -> TrainConfig | list[UserError]:
    """The config of a run, or what is wrong, as the command line has it."""
    points, problems = points_of("train", overrides)
    for point in points:
        try:
            config = train_config(point.config)
        except UserError as error:
            problems += error.parts
    return problems or config


@settings(max_examples=150, deadline=None, suppress_health_check=[*HealthCheck])
@given(overrides=st.lists(OVERRIDE, min_size=1, max_size=3))
def test_any_overrides_give_a_config_or_errors_of_the_users(overrides: list[str]) -> None:
    found = config_of(overrides)
    if not isinstance(found, TrainConfig):
        assert all(isinstance(each, UserError) and each.problem for each in found)
