"""Commands without a subprocess: finding one, sweeping, failing, completing."""

import io
import json
import logging
import shutil
import sys
from pathlib import Path

import pytest
from quick_runs import EXAMPLE, write_lines

from prompt_tuning import __version__
from prompt_tuning.commands import COMMANDS
from prompt_tuning.errors import UserError
from prompt_tuning.interrupts import Interrupted
from prompt_tuning.training import tuning


@pytest.fixture
def runs(monkeypatch):
    """What was trained: seed 1 is refused, seed 2 fails, seed 3 is stopped by SIGTERM, seed 7 by
    Ctrl-C twice, and nobody reads on what seed 8 says."""
    trained = []
    endings = {1: UserError("no seed 1"), 2: ValueError("broken"), 3: Interrupted(15)}
    endings |= {7: KeyboardInterrupt(), 8: BrokenPipeError()}

    def train(config, _):
        trained.append(config)
        if config.seed in endings:
            raise endings[config.seed]

    monkeypatch.setattr(tuning, "train", train)
    return trained


def test_help_names_every_command(ptune):
    bare = ptune()
    assert ptune("--help") == bare
    assert all(f"\n  {name} " in bare.out for name in COMMANDS)
    assert ptune("--version").out == f"ptune {__version__}\n"


def test_help_of_a_command_says_what_each_key_means_and_may_be(ptune, monkeypatch):
    """With the values that the run would have, from the same lines that check them."""
    monkeypatch.setenv("COLUMNS", "160")
    lines = ptune("train", "model=base", "--help").out.splitlines()
    shown = "\n".join(" ".join(line.split()) for line in (*lines, ""))
    for line in (
        "training.num_steps=30000 an integer, 1 or more updates\n",
        "optimizer.learning_rate=0.3 a number, more than 0 constant\n",
        "prompt.length=100 an integer, 1 or more, at most 16384, or null P, positions",
        "machine.device=auto auto, cpu, cuda ",
        "recipe mini, paper, released",
    ):
        assert f"\n{line}" in shown
    shown = " ".join(ptune("ensemble", "--help").out.split())
    assert "task=null ptune list what=task, or null" in shown
    shown = " ".join(ptune("adapt", "--help").out.split())
    assert "checkpoint=??? a text" in shown and "shape=null a section, or null of" in shown


@pytest.mark.parametrize("command", ["ensemble", "inspect", "list", "report"])
def test_the_config_shows_an_experiment_as_it_was_typed(ptune, command):
    assert "experiment: null\n" in ptune(command, "--cfg", "job").out
    shown = ptune(command, "experiment=fig3a", "--cfg", "job").out
    assert "experiment:\n  name: fig3a\n" in shown


def test_a_sweep_runs_every_combination_and_flags_may_stand_anywhere(ptune, runs):
    ptune("train", "seed=5,6", "-m", "prompt.length=1,5")
    assert [(c.seed, c.prompt.length) for c in runs] == [(5, 1), (5, 5), (6, 1), (6, 5)]


def test_hydra_leaves_no_folder_and_no_log_of_its_own_and_keeps_ours(ptune, runs, tmp_path):
    """Its `disabled` logging would switch off every logger that exists, from the second run on."""
    logger = logging.getLogger("prompt_tuning.tracking")
    ptune("train")
    (run,) = (tmp_path / "runs").iterdir()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [run / "lock"]
    ptune("train", "-m", "seed=0,4")
    assert not logger.disabled


def test_an_experiment_starts_with_m_alone_and_can_be_narrowed(ptune, runs, monkeypatch):
    """Without -m it says how many runs there would be, and what the file says of their cost."""
    said = ptune("train", "experiment=fig3a_ladder", "seed=0", status=2).err
    assert "experiment=fig3a_ladder would start 60 runs\n  in full: 180 runs: 4 sizes" in said
    assert "Cost: 2 hours" in said
    assert said.endswith(": ptune train -m experiment=fig3a_ladder seed=0\n")
    said = ptune("train", "experiment=table2", status=2).err
    assert said.count("error:") == 1  # mini_sst2, train's default task, is none of its runs'
    assert not runs
    monkeypatch.setattr("prompt_tuning.commands.train.check_hub", lambda *_: None)  # the network
    narrowed = ["experiment=fig3a", "model=small", "task=rte", "seed=0"]
    ptune("train", "-m", *narrowed)
    assert [c.prompt.length for c in runs] == [1, 5, 20, 100, 150]
    assert {(c.model.name, c.recipe, c.experiment) for c in runs} == {("small", "paper", "fig3a")}


def test_an_experiment_of_the_users_own_starts_with_m_too(ptune, runs, tmp_path):
    """Its file need not say what it costs."""
    path = tmp_path / "own" / "experiment" / "mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("# @package _global_\nhydra:\n  sweeper:\n    params:\n      seed: 5,6\n")
    own = ["--config-dir", "own", "experiment=mine"]
    said = ptune("train", *own, status=2).err
    fix = "  fix:     add -m to start them: ptune train -m --config-dir own experiment=mine\n"
    assert said == f"ptune: error: experiment=mine would start 2 runs\n{fix}"
    ptune("train", "-m", *own)
    assert [config.seed for config in runs] == [5, 6]


def test_files_of_the_users_own_are_watched_listed_and_in_the_help(ptune, tmp_path):
    """The sweep, too: of the same folder."""
    shutil.copytree(EXAMPLE, tmp_path / "own")
    path = tmp_path / "own" / "experiment" / "mine.yaml"
    path.parent.mkdir()
    path.write_text("# @package _global_\nhydra:\n  sweeper:\n    params:\n      seed: 5,6\n")
    own = ["--config-dir", "own"]
    _, counts, first, *_ = ptune("list", *own, "what=runs", "experiment=mine").out.splitlines()
    assert counts.split() == ["mine", "0", "0", "0", "0", "2", "2"]
    assert first.startswith("  missing ") and "-s5-" in first
    assert ptune("list", *own, "what=runs").out.endswith(", mine\n")
    listed = [" ".join(line.split()) for line in ptune("list", *own).out.splitlines()]
    assert "mine" in listed
    assert "topics headlines of three kinds: of the sea, of money, of music" in listed
    assert "mine" not in ptune("list", "what=experiment").out.split()
    assert "task.name=topics" in ptune("train", *own, "task=topics", "--help").out


@pytest.mark.parametrize("flags", [[], ["-m"]])
def test_experiments_are_started_one_after_the_other(ptune, runs, flags):
    """Hydra would take the axes of none of them."""
    said = ptune("train", *flags, "experiment=fig3a_ladder,table3_ladder", "seed=0", status=2).err
    assert "experiment=fig3a_ladder,table3_ladder names experiments" in said
    assert "one after the other: ptune train -m experiment=fig3a_ladder seed=0\n" in said
    assert not runs


def test_a_failing_run_does_not_stop_the_others_and_is_named_again_at_the_end(ptune, runs):
    """Hydra would print the first failure only (hydra issue 1407)."""
    said = ptune("train", "-m", "seed=0,1,2,4", status=1).err
    assert [c.seed for c in runs] == [0, 1, 2, 4]
    assert "Traceback" in said
    assert "ptune: 2 of 4 runs failed:\n  seed=1: no seed 1\n  seed=2: ValueError" in said


@pytest.mark.parametrize(("seeds", "status", "num_runs"), [("1,0", 2, 2), ("3,0", 128 + 15, 1)])
def test_a_users_mistake_ends_a_run_and_a_stop_from_outside_the_sweep(
    ptune, runs, seeds, status, num_runs
):
    ptune("train", "-m", f"seed={seeds}", status=status)
    assert len(runs) == num_runs


def test_a_sweep_that_could_not_begin_is_not_to_be_started_again(ptune, runs):
    """Its runs are missing, as are those of a launcher that broke; here none has been tried."""
    said = ptune("train", "-m", "output_dir=/proc/x", "seed=0,1", status=2).err
    assert "No such file or directory: /proc/x" in said
    assert "start the sweep again" not in said
    assert not runs


@pytest.mark.parametrize(("seed", "status"), [(7, 130), (8, 0)])
def test_a_second_ctrl_c_and_a_closed_pipe_have_a_status_of_their_own(
    ptune, runs, seed, status, monkeypatch
):
    monkeypatch.setattr("prompt_tuning.cli.silence_stdout", lambda: None)  # it closes pytest's
    ptune("train", f"seed={seed}", status=status)


def test_a_fault_of_the_programs_keeps_its_traceback(ptune, runs):
    with pytest.raises(ValueError, match="broken"):
        ptune("train", "seed=2")


def test_every_point_of_a_sweep_is_checked_before_the_first_runs(ptune, runs):
    said = ptune("train", "-m", "prompt.length=5,0", "task=rte,cbb", status=2).err
    assert "prompt.length=0 is out of range" in said
    assert "task=cbb: there is no such task" in said
    assert said.count("ptune: error:") == 2
    assert not runs


@pytest.mark.parametrize(
    "axis", ["seed=1,1", "optimizer.learning_rate=0.3,0.30", "tracking.tags=[a],[b]"]
)
def test_a_sweep_that_names_one_run_twice_is_refused(ptune, runs, axis):
    """One run would count as two seeds, with a deviation of 0."""
    assert "this sweep names one run 2 times" in ptune("train", "-m", axis, status=2).err
    assert not runs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenght=5"], "did you mean prompt.length?"),
        (["init=null"], "there is no such init"),
        (["rte"], "write key=rte"),
        (["data.dir=a(b"], "quote a value"),
        (["task=rte,cb"], "add -m to sweep over them"),
        (["--task=rte"], "write keys without dashes"),
        (["-m", "--cfg", "job"], "leave out -m"),
        (["-m", "seed=interval(0,1)"], "names no values to try"),
        (["-m", "task=glob(zz*)"], "names no values to try"),
        (["-m", "seed=0,1", "hydra.launcher.n_jobs=0"], "n_jobs=0 is no number of jobs"),
        (["+model=base"], "Multiple values for model"),
        (["task.name=boolqq"], "did you mean boolq?"),
        (["task=squad"], "its answers are free text"),
        (["task=rte", "data.source=embedded"], "does not have task rte"),
        (["task=quoref"], "data.source=hub does not have task quoref"),
        (["task=quoref", f"data.dir={EXAMPLE}"], "task quoref has no train split"),
        (["task=rte", "data.source=local"], "data.dir=<folder of the official files>"),
        (["data.dir=.", "data.train_file=a.csv"], "data.train_file=a.csv is not read"),
    ],
)
def test_a_command_line_that_cannot_be_is_refused_with_what_to_do(ptune, runs, arguments, message):
    assert message in ptune("train", *arguments, status=2).err
    assert not runs


@pytest.mark.parametrize(
    "line", ["show task=topics", "train task=own task.inputs={a} task.label=b"]
)
def test_a_key_that_is_given_and_wrong_is_not_missing_too(ptune, line):
    assert ptune(*line.split(), status=2).err.count("error:") == 1


def test_a_place_may_have_any_letters(ptune, tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / "café")
    shown = ptune("show", "--config-dir", "café", "task=topics", 'data.dir="café"').out
    assert "train       150 examples" in shown
    assert "café" in ptune("compare", "café", "café", status=2).err


def test_a_letter_that_the_terminal_lacks_is_shown_by_its_number(ptune, tmp_path, monkeypatch):
    row = {"passage": "日本 a", "question": "is it", "label": 1, "idx": 0}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr("sys.stdout", out)
    ptune("show", "task=boolq", "rows=rows.jsonl")
    assert rb"\u65e5\u672c a" in out.buffer.getvalue()


def test_a_record_sees_the_command_as_it_was_typed(ptune, monkeypatch):
    seen = []
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
def test_tab_completes_commands_groups_and_keys(ptune, monkeypatch, line, words):
    """Hydra's shell function calls `ptune -sc query=bash` with the whole line in COMP_LINE."""
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    assert ptune("-sc", "query=bash").out.split() == words


def test_list_prints_a_line_for_every_choice(ptune):
    lines = ptune("list").out.splitlines()
    groups = [line for line in lines if not line.startswith(" ")]
    expected = ["model", "variant", "task", "init", "method", "recipe", "experiment", "tracking"]
    assert groups == [f"{group}=" for group in expected]
    (rte,) = [line for line in lines if line.startswith("  rte ")]
    assert "RTE: does the premise entail the hypothesis?" in rte
    assert not any("@package" in line for line in lines)


def test_report_needs_no_run_for_counts_and_writes_table_figure_and_page(ptune):
    """fig4 and table4 are no files of conf/experiment: nothing is trained for them."""
    line, *_ = ptune("report", "experiment=fig4", "output_dir=out").out.splitlines()
    said = "fig4 no runs needed 15 fitted to its plot, 15 match"
    assert line.split() == said.split()
    written = {str(path.relative_to("out")) for path in Path("out").rglob("*.*")}
    figures = {"figures/fig4.png", "figures/fig4.svg"}
    assert written == {"fig4.html", "tables/fig4.md", "tables/fig4.csv", *figures}


def test_report_writes_nothing_where_nothing_has_changed(ptune):
    """Neither records, code nor published numbers, nor what it wrote: a file that is gone is."""
    asked = ("report", "experiment=table4", "output_dir=out")
    assert ptune(*asked).out.startswith("table4")
    table = Path("out/tables/table4.md")
    written = table.stat().st_mtime_ns
    assert ptune(*asked).out == "nothing has changed since this was written: out/table4.html\n"
    assert table.stat().st_mtime_ns == written
    table.unlink()
    assert ptune(*asked).out.startswith("table4")
    assert table.exists()
    assert ptune(*asked, 'train=["seed=0"]').out.startswith("table4")


def test_report_finds_the_committed_records_wherever_it_writes(ptune):
    assert "48 of 48 runs" in ptune("report", "experiment=table5_ladder", "output_dir=out").out


def test_report_of_an_experiment_without_runs_says_what_is_missing(ptune):
    """No run of a single step is committed."""
    asked = ("experiment=control_ladder_model_tuning", 'train=["training.num_steps=1"]')
    assert "0 of 48 runs" in ptune("report", *asked, "output_dir=out").out
    assert "Missing: 48 of 48 runs." in Path("out/tables/control_ladder.md").read_text()


def test_report_refuses_what_it_has_no_artefact_for(ptune, tmp_path):
    assert "did you mean fig3" in ptune("report", "experiment=fig3x", status=2).err
    assert not list(tmp_path.iterdir())


RTE = {"premise": "A dog ran home.", "hypothesis": "A dog ran.", "label": 0, "idx": 7}


@pytest.mark.parametrize(("text_format", "prefix"), [("taskless", ""), ("t5", "rte ")])
def test_show_prints_what_the_model_sees(ptune, tmp_path, text_format, prefix):
    rows = f"rows={write_lines(tmp_path / 'rows.jsonl', RTE)}"
    assert json.loads(ptune("show", "task=rte", rows, f"format={text_format}").out) == {
        "inputs": f"{prefix}hypothesis: A dog ran. premise: A dog ran home.",
        "targets": "entailment",
        "idx": 7,
        "label": 0,
        "answers": None,
    }


def test_show_reads_standard_input(ptune, monkeypatch):
    lines = f"{json.dumps(RTE)}\n\n{json.dumps(RTE)}".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert len(ptune("show", "task=rte", "rows=-").out.splitlines()) == 2


def test_show_says_nothing_of_the_targets_of_a_split_without_labels(ptune, tmp_path):
    (tmp_path / "RTE").mkdir()
    write_lines(tmp_path / "RTE" / "val.jsonl", RTE)
    write_lines(tmp_path / "RTE" / "test.jsonl", {**RTE, "label": -1})
    _, labelled, unlabelled = ptune("show", "task=rte", f"data.dir={tmp_path}").out.split("\n\n")
    assert "targets at most " in labelled and "  targets   entailment" in labelled
    assert "inputs" in unlabelled and "targets" not in unlabelled


# An official MultiRC record holds a passage with all its questions and answers.
ANSWERS = [{"text": "red", "label": 1, "idx": 0}, {"text": "blue", "label": 0, "idx": 1}]
QUESTION = {"question": "What colour?", "answers": ANSWERS, "idx": 0}
RECORD = {"passage": {"text": "The cat is red.", "questions": [QUESTION]}, "idx": 0}


@pytest.mark.parametrize(
    ("command", "content", "problem"),
    [
        (
            "show task=rte",
            f'{json.dumps(RTE)}\n{{"premise": "no more"}}',
            "2: missing field 'hypothesis'",
        ),
        ("show task=rte", "\n1\n", "2: a int where an object belongs"),
        ("show task=rte", json.dumps([RTE, RTE]), "1: a JSON array where an object belongs"),
        ("show task=rte", json.dumps([RTE], indent=1), "1: a JSON array where an object belongs"),
        ("score task=rte", "[]", "1: a JSON array where an object belongs"),
        ("show task=rte", "{\n", "1: not JSON"),
        ("show task=rte", b'{"a": "\xff"}\n', "1: not UTF-8"),
        ("score task=rte", '{"prediction": "True"}', "1: not {"),
        ("score task=rte", json.dumps({"row": RTE}), "1: not {"),
        ("score task=rte", json.dumps({"row": RTE, "prediction": 1}), "1: not {"),
        (
            "score task=multirc",
            json.dumps({"row": RECORD, "prediction": "True"}),
            "1: one prediction for a record that holds 2 rows",
        ),
    ],
)
def test_a_broken_line_is_named_by_file_and_number(ptune, tmp_path, command, content, problem):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert f"{path}:{problem}" in ptune(*command.split(), f"rows={path}", status=2).err


def test_score_prints_one_object_of_metrics(ptune, tmp_path):
    """Two right, one wrong, one that is no answer: 50 %."""
    predictions = ["entailment", "entailment", "not_entailment", "perhaps"]
    lines = [{"row": RTE, "prediction": prediction} for prediction in predictions]
    said = ptune("score", "task=rte", f"rows={write_lines(tmp_path / 'p.jsonl', *lines)}")
    counts = {"num_examples": 4, "num_unparseable": 1}
    assert json.loads(said.out) == {"accuracy": 50.0, "score": 50.0, **counts}


def test_doctor_says_what_is_missing_and_how_to_fix_it(ptune, tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", "/dev/null")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    write_lines(tmp_path / "CB" / "val.jsonl", {})
    said = ptune("doctor", f"data.dir={tmp_path}")
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert "missing W&B key runs are kept offline" in lines
    assert "ok task=cb validation" in lines
    assert any(line.startswith("missing task=rte") for line in lines)
    assert any(line.startswith("missing Hugging Face hub") for line in lines)
    assert sum(line.startswith("ok torch ") for line in lines) == 1
