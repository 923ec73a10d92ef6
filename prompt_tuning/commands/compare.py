"""`ptune compare`: any runs side by side: what differs in their configs, scores, curves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from omegaconf import DictConfig
from rich.table import Table

from prompt_tuning.config import GONE, CompareConfig, typed
from prompt_tuning.errors import UserError
from prompt_tuning.files import flat, written_whole
from prompt_tuning.run_folder import RunFolder, reported_scores, scores_by_split
from prompt_tuning.tasks import Example
from prompt_tuning.tasks.own import CLASS_METRICS, TEXT_METRICS
from prompt_tuning.tasks.wsc import WSC
from prompt_tuning.terminal import print_table, say

POSITIONAL = "runs"  # what stands on the command line without a key
# No part of what a run is.
UNTOLD = ("tracking", "output_dir", "data.cache_dir", "experiment", "recipe", "rerun", *GONE)
FORMATS = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Compared:
    """A run, finished or not: its letter, config, result and curve."""

    letter: str
    folder: RunFolder
    config: Mapping[str, Any]  # by dotted key, without what is no part of the experiment
    result: Mapping[str, Any]  # of its record; {}: it is not finished

    @property
    def counts_answers(self) -> bool:
        """Whether an `accuracy` is a percentage of answers: a user's metric may be anything."""
        return {*(self.config.get("task.metrics") or ())} <= {*CLASS_METRICS, *TEXT_METRICS}

    def answers(self) -> tuple[list[Any], list[bool]]:
        """The examples of the reported split and whether each is right, as its accuracy counts.

        Both are empty where no answers were kept, or what was kept does not tell.
        """
        metrics = reported_scores(self.result)["metrics"]
        if "accuracy" not in metrics or not self.counts_answers:
            return [], []
        lines = self.folder.reported_predictions(self.result)
        examples = [[line["idx"], line["targets"]] for line in lines]
        if self.config.get("task.name") != WSC.name:
            return examples, [line["prediction"] == line["targets"] for line in lines]
        if any(line.get("label") is None for line in lines):
            say(f"{self.letter}: not compared answer by answer: its labels of WSC were not kept")
            return [], []
        from prompt_tuning.metrics import is_right  # slow to import

        asked = [Example("", line["targets"], line["idx"], line["label"]) for line in lines]
        pairs = zip(asked, lines, strict=True)
        return examples, [is_right(WSC, each, line["prediction"]) for each, line in pairs]


def check(cfg: DictConfig) -> CompareConfig:
    """Which runs, or why they cannot be compared."""
    config = typed(CompareConfig, cfg)
    if not 2 <= len(config.runs) <= len(ascii_uppercase):
        raise UserError(
            f"ptune compare needs the folders of two or more runs, and has {len(config.runs)}",
            allowed=f"2 to {len(ascii_uppercase)}",
            fix="ptune compare runs/<one> runs/<other>",
        )
    if config.picture is not None and Path(config.picture).suffix not in FORMATS:
        problem = f"picture={config.picture} has no format that can be drawn"
        raise UserError(problem, allowed=", ".join(FORMATS))
    return config


def run(config: CompareConfig) -> None:
    """Prints what differs and what came out; draws the curves.

    Raises:
        UserError: a folder is of no run, or of one without scores.
    """
    runs = [_read(letter, name) for letter, name in zip(ascii_uppercase, config.runs, strict=False)]
    for each in runs:
        say(f"{each.letter}  {each.folder.path}")
    say("")
    print_table(_differences(runs))
    say("")
    print_table(_scores(runs))
    for line in _paired(runs):
        say(line)
    say("95 %: Wilson's interval of an accuracy over these examples; it says nothing of seeds")
    curves = {each.letter: curve for each in runs if (curve := each.folder.curve())}
    if config.picture and curves:
        _draw(curves, Path(config.picture))
        say(f"curves: {config.picture}")


def _read(letter: str, name: str) -> Compared:
    folder = RunFolder(Path(name))
    if not folder.config_path.is_file():
        problem = f"{name} is not the folder of a run: it has no {folder.config_path.name}"
        raise UserError(problem, fix="ptune list what=runs shows which there are")
    record = folder.record() or {}
    if record and "score" not in record["result"]:
        raise UserError(f"{name} is a run of ptune {record['kind']}, which has no score to compare")
    config = folder.config()
    if config is None:
        raise UserError(
            f"{folder.config_path} is damaged", fix="start the run again, or leave it out"
        )
    kept = {key: part for key, part in config.items() if key not in UNTOLD}
    told = {key: value for key, value in flat(kept) if key not in UNTOLD}
    return Compared(letter, folder, told, record.get("result", {}))


def _differences(runs: Sequence[Compared]) -> Table:
    """A row for every key in which two of the runs differ."""
    table = Table("config", *(run.letter for run in runs), box=None, pad_edge=False)
    for key in dict.fromkeys(key for run in runs for key in run.config):
        values = [_shown(run.config.get(key)) for run in runs]
        if len({*values}) > 1:
            table.add_row(key, *values)
    if not table.row_count:
        table.add_row("(no difference)")
    return table


def _shown(value: Any) -> str:
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def _scores(runs: Sequence[Compared]) -> Table:
    from prompt_tuning.report.statistics import wilson

    header = ("run", "split", "examples", "score", "metrics", "95 %", "step")
    table = Table(*header, box=None, pad_edge=False)
    for each in runs:
        if not each.result:
            table.add_row(each.letter, each.folder.state().name)
        for scores in scores_by_split(each.result):
            metrics, total = scores["metrics"], scores["num_examples"]
            interval = "-"
            if "accuracy" in metrics and total and each.counts_answers:
                low, high = wilson(round(metrics["accuracy"] / 100 * total), total)
                interval = f"{100 * low:.1f} to {100 * high:.1f}"
            shown = "  ".join(f"{name} {value:.2f}" for name, value in metrics.items())
            score = "-" if scores["score"] is None else f"{scores['score']:.2f}"
            step = str(each.result.get("best_step", "-"))
            row = (scores["split"], str(total), score, shown, interval, step)
            table.add_row(each.letter, *row)
    return table


def _paired(runs: Sequence[Compared]) -> Iterator[str]:
    """For every two runs that answered the same labelled examples: who is right where."""
    from statsmodels.stats.contingency_tables import mcnemar  # slow to import

    found = [(each.letter, *each.answers()) for each in runs if each.result]
    for (first, these, right), (second, those, other) in combinations(found, 2):
        if these and these == those:
            alone = sum(a and not b for a, b in zip(right, other, strict=True))
            beside = sum(b and not a for a, b in zip(right, other, strict=True))
            counts = f"{alone} examples only {first} has right, {beside} only {second}"
            p = mcnemar([[0, alone], [beside, 0]], exact=True).pvalue
            yield f"{first} and {second}: {counts}; McNemar's p = {p:.2g}"


def _draw(curves: Mapping[str, Sequence[tuple[int, float, Any]]], path: Path) -> None:
    """One line a run, labelled where it ends."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="score on the split that chooses the step")
    for letter, curve in curves.items():
        steps, scores, _ = zip(*curve, strict=True)
        axes.plot(steps, scores, marker="o", markersize=3, label=letter)
        axes.annotate(letter, curve[-1][:2], xytext=(5, 0), textcoords="offset points")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished:
        figure.savefig(unfinished, format=path.suffix[1:], dpi=150)
