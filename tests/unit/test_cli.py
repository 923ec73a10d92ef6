"""Commands without a subprocess: finding one, sweeping, failing, completing."""

import io
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prompt_tuning import __version__, cli
from prompt_tuning.commands import COMMANDS
from prompt_tuning.config import TrainConfig
from prompt_tuning.errors import UserError
from prompt_tuning.interrupts import Interrupted
from prompt_tuning.train import tuning

Run = Callable[..., int]


@pytest.fixture
def ptune(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`ptune(*arguments)`: the exit status, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["ptune", *arguments])
        return cli.main()

    return run


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[TrainConfig]:
    """What was trained: seed 1 is refused, seed 2 fails, seed 3 is stopped by SIGTERM."""
    trained: list[TrainConfig] = []
    endings = {1: UserError("no seed 1"), 2: ValueError("broken"), 3: Interrupted(15)}

    def train(config: TrainConfig, _: object) -> None:
        trained.append(config)
        if config.seed in endings:
            raise endings[config.seed]

    monkeypatch.setattr(tuning, "train", train)
    return trained


def test_help_names_every_command(ptune: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert ptune() == 0
    bare = capsys.readouterr().out
    assert ptune("--help") == 0
    assert capsys.readouterr().out == bare
    assert all(f"\n  {name} " in bare for name in COMMANDS)


def test_the_version_is_the_packages(ptune: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert ptune("--version") == 0
    assert capsys.readouterr().out == f"ptune {__version__}\n"


def test_an_unknown_command_is_refused_with_the_closest(
    ptune: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ptune("trian") == 2
    assert "did you mean train?" in capsys.readouterr().err


def test_a_sweep_runs_every_combination_and_flags_may_stand_anywhere(
    ptune: Run, runs: list[TrainConfig]
) -> None:
    assert ptune("train", "seed=5,6", "-m", "prompt.length=1,5") == 0
    assert [(c.seed, c.prompt.length) for c in runs] == [(5, 1), (5, 5), (6, 1), (6, 5)]


def test_hydra_leaves_no_folder_and_no_log_of_its_own(
    ptune: Run, runs: list[TrainConfig], tmp_path: Path
) -> None:
    assert ptune("train") == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [run / "lock"]


def test_hydra_does_not_silence_the_packages_log(ptune: Run, runs: list[TrainConfig]) -> None:
    """Its `disabled` logging would switch off every logger that exists, from the second run on."""
    logger = logging.getLogger("prompt_tuning.tracking")
    assert ptune("train", "-m", "seed=0,4") == 0
    assert not logger.disabled


def test_an_experiment_starts_with_m_alone_and_can_be_narrowed(
    ptune: Run, runs: list[TrainConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without -m it says how many runs there would be, and what the file says of their cost."""
    assert ptune("train", "experiment=fig3a_ladder", "seed=0") == 2
    said = capsys.readouterr().err
    assert "experiment=fig3a_ladder would start 60 runs\n  in full: 180 runs: 4 sizes" in said
    assert "Cost: 2 hours" in said
    assert said.endswith(
        "fix:     add -m to start them: ptune train -m experiment=fig3a_ladder seed=0\n"
    )
    assert not runs
    narrowed = ["experiment=fig3a", "model=small", "task=rte", "seed=0"]
    assert ptune("train", "-m", *narrowed) == 0
    assert [c.prompt.length for c in runs] == [1, 5, 20, 100, 150]
    assert {(c.model.name, c.recipe, c.experiment) for c in runs} == {("small", "paper", "fig3a")}


def test_a_failing_run_does_not_stop_the_others_and_is_named_again_at_the_end(
    ptune: Run, runs: list[TrainConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    """Hydra would print the first failure only (hydra issue 1407)."""
    assert ptune("train", "-m", "seed=0,1,2,4") == 1
    assert [c.seed for c in runs] == [0, 1, 2, 4]
    errors = capsys.readouterr().err
    assert "Traceback" in errors
    assert "ptune: 2 of 4 runs failed:\n  seed=1: no seed 1\n  seed=2: ValueError" in errors


def test_a_sweep_in_which_only_the_user_was_wrong_exits_with_2(
    ptune: Run, runs: list[TrainConfig]
) -> None:
    assert ptune("train", "-m", "seed=1,0") == 2
    assert len(runs) == 2


def test_being_stopped_ends_the_sweep(ptune: Run, runs: list[TrainConfig]) -> None:
    assert ptune("train", "-m", "seed=3,0") == 128 + 15
    assert len(runs) == 1


def test_a_fault_of_the_programs_keeps_its_traceback(ptune: Run, runs: list[TrainConfig]) -> None:
    with pytest.raises(ValueError, match="broken"):
        ptune("train", "seed=2")


def test_every_point_of_a_sweep_is_checked_before_the_first_runs(
    ptune: Run, runs: list[TrainConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ptune("train", "-m", "prompt.length=5,0", "task=rte,cbb") == 2
    errors = capsys.readouterr().err
    assert "prompt.length=0 is out of range" in errors
    assert "task=cbb: there is no such task" in errors
    assert errors.count("ptune: error:") == 2
    assert not runs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prompt.lenght=5"], "did you mean prompt.length?"),
        (["lenght=5"], "did you mean prompt.length?"),
        (["task=rtee"], "did you mean rte?"),
        (["init=null"], "there is no such init"),
        (["rte"], "write key=rte"),
        (["data.dir=a(b"], "quote a value"),
        (["task=rte,cb"], "add -m to sweep over them"),
        (["--task=rte"], "write keys without dashes"),
        (["-m", "--cfg", "job"], "leave out -m"),
        (["-m", "seed=interval(0,1)"], "names no values to try"),
        (["-m", "task=glob(zz*)"], "names no values to try"),
        (["+model=base"], "Multiple values for model"),
        (["task.name=boolqq"], "did you mean boolq?"),
        (["task=squad"], "its answers are free text"),
        (["task=rte", "data.source=embedded"], "does not have task rte"),
    ],
)
def test_a_command_line_that_cannot_be_is_refused_with_what_to_do(
    ptune: Run,
    runs: list[TrainConfig],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert ptune("train", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not runs


def test_a_record_sees_the_command_as_it_was_typed(
    ptune: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(tuning, "train", lambda *_: seen.append(sys.argv))
    ptune("train", "seed=5")
    assert seen == [["ptune", "train", "seed=5"]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ptune ", [*COMMANDS]),
        ("ptune tr", ["train"]),
        ("ptune train task=rt", ["task=rte"]),
        ("ptune train -m task=rte prompt.le", ["prompt.length="]),
        ("ptune score ta", ["task="]),
        ("ptune nothing ta", []),
    ],
)
def test_tab_completes_commands_groups_and_keys(
    ptune: Run,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    words: list[str],
) -> None:
    """Hydra's shell function calls `ptune -sc query=bash` with the whole line in COMP_LINE."""
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    assert ptune("-sc", "query=bash") == 0
    assert capsys.readouterr().out.split() == words


def test_list_prints_a_line_for_every_choice(
    ptune: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ptune("list") == 0
    lines = capsys.readouterr().out.splitlines()
    groups = [line for line in lines if not line.startswith(" ")]
    expected = ["model", "variant", "task", "init", "method", "recipe", "experiment", "tracking"]
    assert groups == [f"{group}=" for group in expected]
    (rte,) = [line for line in lines if line.startswith("  rte ")]
    assert "RTE: does the premise entail the hypothesis?" in rte
    assert not any("@package" in line for line in lines)


def test_report_needs_no_run_for_counts_and_writes_table_figure_and_page(
    ptune: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """fig4 and table4 are no files of conf/experiment: nothing is trained for them."""
    assert ptune("report", "experiment=fig4", "output_dir=out") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["fig4", "no", "runs", "needed", "30", "match"]
    written = {str(path.relative_to("out")) for path in Path("out").rglob("*.*")}
    figures = {"figures/fig4.png", "figures/fig4.svg"}
    assert written == {"fig4.html", "tables/fig4.md", "tables/fig4.csv", *figures}


def test_report_of_an_experiment_without_runs_says_what_is_missing(
    ptune: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ptune("report", "experiment=control_ladder_model_tuning", "output_dir=out") == 0
    assert "0 of 48 runs" in capsys.readouterr().out
    assert "Missing: 48 of 48 runs." in Path("out/tables/control_ladder.md").read_text()


def test_report_refuses_what_it_has_no_artefact_for(
    ptune: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ptune("report", "experiment=fig3x") == 2
    assert "did you mean fig3" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


RTE = {"premise": "A dog ran home.", "hypothesis": "A dog ran.", "label": 0, "idx": 7}


def write_lines(path: Path, *lines: Any) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.mark.parametrize(("text_format", "prefix"), [("taskless", ""), ("t5", "rte ")])
def test_show_prints_what_the_model_sees(
    ptune: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text_format: str,
    prefix: str,
) -> None:
    rows = write_lines(tmp_path / "rows.jsonl", RTE)
    assert ptune("show", "task=rte", f"rows={rows}", f"format={text_format}") == 0
    assert json.loads(capsys.readouterr().out) == {
        "inputs": f"{prefix}hypothesis: A dog ran. premise: A dog ran home.",
        "targets": "entailment",
        "idx": 7,
        "label": 0,
        "answers": None,
    }


def test_show_reads_standard_input(
    ptune: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = f"{json.dumps(RTE)}\n\n{json.dumps(RTE)}".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert ptune("show", "task=rte", "rows=-") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_broken_row_is_named_by_file_and_line(
    ptune: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write_lines(tmp_path / "rows.jsonl", RTE, {"premise": "no more"})
    assert ptune("show", "task=rte", f"rows={rows}") == 2
    assert f"{rows}:2: missing field 'hypothesis'" in capsys.readouterr().err
    (tmp_path / "rows.jsonl").write_text("\n[1]\n")
    assert ptune("show", "task=rte", f"rows={rows}") == 2
    assert f"{rows}:2: a list where an object belongs" in capsys.readouterr().err
    (tmp_path / "rows.jsonl").write_bytes(b'{"a": "\xff"}\n')
    assert ptune("show", "task=rte", f"rows={rows}") == 2
    assert f"{rows}:1: not UTF-8" in capsys.readouterr().err


def test_score_prints_one_object_of_metrics(
    ptune: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two right, one wrong, one that is no answer: 50 %."""
    predictions = ["entailment", "entailment", "not_entailment", "perhaps"]
    lines = [{"row": RTE, "prediction": prediction} for prediction in predictions]
    assert ptune("score", "task=rte", f"rows={write_lines(tmp_path / 'p.jsonl', *lines)}") == 0
    assert json.loads(capsys.readouterr().out) == {
        "accuracy": 50.0,
        "score": 50.0,
        "num_examples": 4,
        "num_unparseable": 1,
    }


def test_one_prediction_for_several_examples_is_refused(
    ptune: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An official MultiRC record holds a passage with all its questions and answers."""
    answers = [{"text": "red", "label": 1, "idx": 0}, {"text": "blue", "label": 0, "idx": 1}]
    question = {"question": "What colour?", "answers": answers, "idx": 0}
    record = {"passage": {"text": "The cat is red.", "questions": [question]}, "idx": 0}
    rows = write_lines(tmp_path / "p.jsonl", {"row": record, "prediction": "True"})
    assert ptune("score", "task=multirc", f"rows={rows}") == 2
    assert f"{rows}:1: one prediction for a record that holds 2 rows" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", [{"prediction": "True"}, {"row": RTE}, {"row": RTE, "prediction": 1}]
)
def test_a_line_without_row_and_prediction_is_refused(
    ptune: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: dict[str, Any]
) -> None:
    rows = write_lines(tmp_path / "p.jsonl", line)
    assert ptune("score", "task=rte", f"rows={rows}") == 2
    assert f"{rows}:1: not " in capsys.readouterr().err


def test_doctor_says_what_is_missing_and_how_to_fix_it(
    ptune: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", "/dev/null")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "CB").mkdir()
    write_lines(tmp_path / "CB" / "val.jsonl", {})
    assert ptune("doctor", f"data.dir={tmp_path}") == 0
    output = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert "missing W&B key runs are kept offline" in lines
    assert "ok task=cb validation" in lines
    assert any(line.startswith("missing task=rte") for line in lines)
    assert any(line.startswith("missing Hugging Face hub") for line in lines)
    assert sum(line.startswith("ok torch ") for line in lines) == 1
