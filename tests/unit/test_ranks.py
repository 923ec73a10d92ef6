"""What several processes agree on before they train, and what they refuse."""

import pytest

from prompt_tuning import cli, jobs, ranks
from prompt_tuning.errors import UserError


@pytest.fixture
def first_of_two():
    token = ranks.HERE.set(ranks.Ranks(rank=0, size=2))
    yield
    ranks.HERE.reset(token)


@pytest.mark.usefixtures("first_of_two")
@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("list", "ptune list"),
        ("train -m seed=0,1", "a sweep"),
        ("train method=prompt_design", "method=prompt_design"),
        ("train method=multitask_model_tuning", "method=multitask_model_tuning"),
    ],
)
def test_what_one_process_does_is_refused_under_torchrun(line, what):
    with pytest.raises(UserError, match=f"^{what}.* runs in one process, and torchrun has .* 2"):
        cli.run(line.split())


def test_one_process_meets_nobody(monkeypatch):
    """`torchrun --nproc-per-node=1`, or a machine that sets some of the variables for all."""
    for name in ranks.VARIABLES:
        monkeypatch.setenv(name, "1")
    assert ranks.join() is None
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_PORT")
    assert ranks.join() is None
    assert (ranks.here().size, ranks.here().is_first) == (1, True)


@pytest.mark.usefixtures("first_of_two")
def test_one_gpu_is_not_for_two_processes(monkeypatch):
    monkeypatch.setattr(jobs, "check_gpu", lambda device: None)
    with pytest.raises(UserError, match=r"machine\.device=cuda:1 is one GPU for 2 processes"):
        cli.run(["train", "machine.device=cuda:1"])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "for several processes, and this is one"),
        ("method=prompt_design", "does not go with method=prompt_design"),
        ("machine.compile=default", "with machine.compile has not been tried"),
    ],
)
def test_weights_are_spread_where_that_means_something(line, reason):
    with pytest.raises(UserError, match=reason):
        cli.run(["train", "machine.spread_weights=true", *line.split()])
