"""What W&B receives: the real client sends to a server on this machine."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import forks
import pytest
import yaml
from quick_runs import lines_of, record_in

from prompt_tuning.report.dashboard import PARAMETERS

SWEEP_FILE = Path(__file__).parents[2] / "scripts" / "wandb_sweep.yaml"
RESULTS = Path(__file__).parents[2] / "results"
SERVER = Path(__file__).parents[1] / "wandb_server.py"
RUN = [
    *("train", "model=ladder_100k", "task=mini_rte", "training.batch_size=4"),
    *("training.num_steps=4", "evaluation.every_steps=2", "evaluation.num_examples=8"),
    "evaluation.report_split=null",
]
NAMED = ["tracking.group=lengths", "tracking.tags=[mine]"]
SWEEP = [*RUN, "-m", "prompt.length=1,2", "seed=0", *NAMED]


def start(*arguments, url, folder, **environment):
    """The output of a Python module's command line, as a user of W&B starts it."""
    module, *given = arguments
    account = {"WANDB_BASE_URL": url, "WANDB_API_KEY": 40 * "a"}
    return forks.run(*given, folder=folder, module=module, **account, **environment)


@contextmanager
def serving(*arguments):
    """The address of a server: what an interpreter with these arguments says the port of."""
    command = [sys.executable, *arguments]
    process = subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True)
    with process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Its address and its log."""
    log = tmp_path_factory.mktemp("server") / "log.jsonl"
    log.touch()
    with serving(SERVER, log) as url:
        yield url, log


@pytest.fixture(scope="module")
def sweep(server, tmp_path_factory):
    """The folder of a sweep of two runs that was online."""
    folder = tmp_path_factory.mktemp("sweep")
    assert "W&B" not in start("prompt_tuning.cli", *SWEEP, url=server[0], folder=folder)
    return folder


def mutations(requests, name):
    """The variables of every GraphQL mutation of a name."""
    queries = [each["sent"] for each in requests if each["path"] == "/graphql"]
    return [
        sent["variables"] for sent in queries if sent["query"].split()[1].partition("(")[0] == name
    ]


def history_of(requests, run_id, name="wandb-history.jsonl"):
    """The curves that the client streamed, or the lines of another file."""
    streams = [r["sent"] for r in requests if r["path"].endswith(f"/{run_id}/file_stream")]
    files = [sent["files"].get(name, {}) for sent in streams if "files" in sent]
    return [json.loads(line) for file in files for line in file.get("content", [])]


def test_a_sweep_arrives_with_group_tags_config_curves_summary_and_prompts(server, sweep):
    requests = lines_of(server[1])
    begun = [sent for sent in mutations(requests, "UpsertBucket") if sent["displayName"]]
    runs = {path.parent.name: path.parent for path in sweep.glob("runs/*/record.json")}
    assert {sent["displayName"] for sent in begun} == {*runs} and len(runs) == 2
    for sent in begun:
        folder, run_id = runs[sent["displayName"]], sent["name"]
        record = record_in(folder)
        assert run_id == f"train-{record['config_hash'][:8]}"
        about = [sent[key] for key in ("project", "groupName", "jobType")]
        assert about == ["ptune", "lengths", "train"]
        length, seed = record["config"]["prompt"]["length"], record["config"]["seed"]
        tags = {"mini_rte", "ladder_100k", "lm_adapted", "class_label", f"P{length}", "mine"}
        assert tags <= {*sent["tags"]}
        config = json.loads(sent["config"])
        axes = (config["task"]["value"]["name"], config["prompt"]["value"]["length"])
        assert (*axes, config["seed"]["value"]) == ("mini_rte", length, seed)

        measured = {}
        for line in lines_of(folder / "metrics.jsonl"):
            measured.setdefault(line.pop("step"), {}).update(line)
        sent_curves = {line["_step"]: line for line in history_of(requests, run_id)}
        assert {*sent_curves} == {*measured} == {1, 2, 3, 4}
        assert all(measured[step].items() <= sent_curves[step].items() for step in measured)

        artifacts = [each["input"] for each in mutations(requests, "CreateArtifact")]
        (artifact,) = [a for a in artifacts if a["artifactCollectionName"] == f"prompt-{run_id}"]
        best, result = json.loads(artifact["metadata"]), record["result"]
        assert best["best/score"] == result["score"] and best["best/step"] == result["best_step"]
    summaries = [each["sent"] for each in requests if each["path"].endswith("wandb-summary.json")]
    assert len(summaries) == 2
    assert all({"best/score", PARAMETERS} <= {*summary} for summary in summaries)
    prompts = [r["sent"]["bytes"] for r in requests if r["path"].endswith("prompt.safetensors")]
    sizes = [(folder / "prompt.safetensors").stat().st_size for folder in runs.values()]
    assert sorted(prompts) == sorted(sizes)


STARTS = """
import sys
from pathlib import Path
from prompt_tuning.tracking import Tracker

settings = {"project": "ptune", "entity": None, "id": "again", "name": "again"}
for first, last in ((None, 3), (2, 4), (None, 2)):
    with Tracker(Path(sys.argv[1]), settings, {}, step=first) as tracker:
        for step in range((first or 0) + 1, last + 1):
            tracker.log(step, {"train/loss": last})
        tracker.summarise({"train/loss": first or 0})
"""


def test_a_run_that_resumes_goes_on_with_its_curves_and_one_that_is_done_again_has_its_own(
    server, tmp_path
):
    """Of a run that resumes the client drops each step that the server has already.

    A summary counts although the step that was logged last has the same name.
    """
    url, log = server
    account = {"WANDB_BASE_URL": url, "WANDB_API_KEY": 40 * "a", "WANDB_MODE": "online"}
    env = os.environ | forks.QUIET | account
    subprocess.run([sys.executable, "-c", STARTS, tmp_path], env=env, check=True, timeout=100)
    requests = lines_of(log)
    curves = [(line["_step"], line["train/loss"]) for line in history_of(requests, "again")]
    assert curves == [(1, 3), (2, 3), (3, 3), (4, 4), (1, 2), (2, 2)]
    summaries = history_of(requests, "again", "wandb-summary.json")
    assert summaries[-1]["train/loss"] == 0, summaries


def test_a_sweep_without_a_server_asks_once_and_arrives_later_by_wandb_sync(server, tmp_path):
    """Somebody listens at the address and never says a word."""
    silent = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()"  # noqa: E501
    with serving("-c", silent) as url:
        arguments = ("prompt_tuning.cli", *RUN, "-m", "prompt.length=3", "seed=0,1")
        said = start(*arguments, url=url, folder=tmp_path)
    assert said.count("cannot be reached") == 2  # each run says why it is offline
    folders = [line.split("wandb sync ")[1].strip() for line in said.splitlines() if "sync" in line]
    assert len(folders) == 2

    url, log = server
    num_before = len(lines_of(log))
    start("wandb", "sync", *folders, url=url, folder=tmp_path)
    requests = lines_of(log)[num_before:]
    runs = {sent["name"] for sent in mutations(requests, "UpsertBucket")}
    assert len(runs) == 2 and all(any(run in folder for folder in folders) for run in runs)
    for run in runs:
        assert {line["_step"] for line in history_of(requests, run)} == {1, 2, 3, 4}


def test_the_dashboard_has_the_panels_of_a_figure(server, tmp_path):
    """As the client sends it; how W&B itself draws it has not been seen."""
    url, log = server
    num_before = len(lines_of(log))
    places = [f"runs={RESULTS / 'runs'}", f"output_dir={tmp_path}"]
    report = ["report", "experiment=control_ladder", "wandb=true", "wandb_entity=me", *places]
    start("prompt_tuning.cli", *report, url=url, folder=tmp_path)
    (view,) = mutations(lines_of(log)[num_before:], "upsertView")
    blocks = json.loads(view["spec"])["blocks"]
    (grid,) = (block["metadata"] for block in blocks if block["type"] == "panel-grid")
    panels = grid["panelBankSectionConfig"]["panels"]
    assert [panel["viewType"] for panel in panels] == ["Scatter Plot", "Bar Chart"]
    assert panels[0]["config"]["xAxis"] == f"summary:{PARAMETERS}"
    assert panels[0]["config"]["yAxis"] == "summary:report/score"
    assert panels[1]["config"]["metrics"] == ["report/score"]
    (runs,) = grid["runSets"]
    axes = ["method.value", "variant.value.name", "model.value.name"]
    assert [key["name"] for key in runs["grouping"]] == axes
    assert "mini_wic-ladder_400k-random_weights-class_label-P20-s2" in json.dumps(runs["filters"])
    assert "control" in json.dumps(blocks).lower()


def test_an_agent_of_a_sweep_that_wandb_leads_calls_ptune_train(tmp_path):
    """The real agent reads scripts/wandb_sweep.yaml and gets one run from the server."""
    log, run = tmp_path / "log.jsonl", tmp_path / "run.json"
    # What a server would propose within the sweep's file, and settings that make it quick.
    proposed = {
        key: each["value"] if "value" in each else each.get("values", [each.get("min")])[0]
        for key, each in yaml.safe_load(SWEEP_FILE.read_text())["parameters"].items()
    }
    quick = {"model": "ladder_100k", "training.num_steps": 4, "evaluation.every_steps": 2}
    given = proposed | quick | {"evaluation.num_examples": 8}
    run.write_text(json.dumps({key: {"value": value} for key, value in given.items()}))
    folder, path = tmp_path / "work", f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with serving(SERVER, log, SWEEP_FILE, run) as url:
        start("wandb", "agent", "me/ptune/w", url=url, folder=folder, PATH=path)
    (begun,) = [s for s in mutations(lines_of(log), "UpsertBucket") if s["displayName"]]
    assert (begun["name"], begun["sweep"]) == ("trial", "w")
    assert {line["_step"] for line in history_of(lines_of(log), "trial")} == {1, 2, 3, 4}
    assert record_in(folder)["config"]["prompt"]["length"] == given["prompt.length"]
