"""Tables 1 and 2: what was learnt on one task, asked of another, zero-shot.

Table 1 is on question answering, table 2 on paraphrases; on the ladder, on yes and no.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from statistics import fmean

import pandas as pd

from prompt_tuning.report.artefact import LADDER, PAPER, REAL, Artefact, Panels
from prompt_tuning.report.claims import Claim, Terms, asked_of, by_model
from prompt_tuning.report.grid import Case, fail, score_to_beat
from prompt_tuning.report.paper import NOTHING, Published, published_rows, tolerances
from prompt_tuning.report.statistics import Spread
from prompt_tuning.report.tables import OURS, Table, compared, failed_text, number, with_mark
from prompt_tuning.run_folder import reported_scores

PAPERS_MODEL = "xxl"  # not stated; inferred from its score on SQuAD and its count of runs
ROUTE = ["method", "model", "source", "target"]  # what was trained, on which task, asked which
ANSWERS = [*ROUTE, "seed", "score", "metrics", "floor", "substance"]


@dataclass(frozen=True, eq=False)
class Transfer(Artefact):
    """A table of section 5."""

    series: tuple[str, ...] = ("method",)  # alone: a route's method is its series
    domain: str = "question answering"

    @cached_property
    def answers(self) -> pd.DataFrame:
        """A row a run and task that it answered; none of runs that must not be averaged."""
        lines = []
        for run in self.grid.found.itertuples():
            result = run.record.content["result"]
            own = {**reported_scores(result), "floor": result["floor"]}
            for target, scored in {run.task: own, **result.get("transfer", {})}.items():
                line = [run.method, run.model, run.task, target, run.seed, scored["score"]]
                line += [scored["metrics"], score_to_beat(scored), run.record.substance]
                lines.append(line)
        answers = pd.DataFrame(lines, columns=ANSWERS)
        answers = answers.drop_duplicates([*ROUTE, "seed"], keep="last").sort_values("seed")
        kinds = answers.groupby(ROUTE[:3])["substance"].transform("nunique")
        return answers[kinds == 1].sort_index()

    def on(self, *route: str) -> pd.DataFrame:
        """The answers of a method, a model, what it was trained on, and what it was asked."""
        return self.answers[(self.answers[ROUTE] == [*route]).all(axis="columns")]

    @cached_property
    def table(self) -> Table:
        """The paper's rows beside ours; on other models every direction."""
        tables = {PAPER: self._paper_table, REAL: self._real_table, LADDER: self._ladder_table}
        return tables[self.models]()

    def _paper_table(self) -> Table:
        lines = []
        for row in published_rows("transfer", self.name):
            found = self.on(row["method"], PAPERS_MODEL, row["source"], row["target"])
            paper = Published(float(row["mean"]), float(row["sd"]), 0)
            ours = Spread.of(metrics[row["metric"]] for metrics in found["metrics"])
            names = [row[key] for key in ("source", "target", "method", "metric")]
            lines.append([*names, f"{paper.mean:.1f} ± {row['sd']}", *compared(paper, ours)])
        note = (
            "Zero-shot where both tasks differ: the step is chosen on the dev set of what was "
            f"trained on. The paper does not state the size; {PAPERS_MODEL} is inferred. Its table "
            "1 is F1."
        )
        header = ("trained on", "asked", "method", "metric", "paper", *OURS)
        return Table(header, lines, (note, *self.grid.notes()))

    def _ladder_table(self) -> Table:
        """The table of three scores: in domain, zero-shot, and trained on the target itself."""
        lines = []
        for route, found in self.answers.groupby(ROUTE, sort=False):
            method, model, source, target = route
            if source == target:
                continue
            in_domain, zero_shot, trained = (
                with_mark(Spread.of(self.on(method, model, *asked)["score"]))
                for asked in ((source, source), (source, target), (target, target))
            )
            floor = number(next(iter(found["floor"].dropna()), None), digits=1)
            failed = failed_text(fail(self.grid.runs((method, model), source)))
            lines.append([*route, in_domain, failed, zero_shot, floor, trained])
        note = (
            "Percent on test: mean ± sample standard deviation over seeds (number of seeds). "
            "Floor: the better of majority and best shortcut on the task that is asked. Last "
            "column: the same method trained on that task. No number here compares with one of "
            "the paper."
        )
        header = (
            *("method", "model", "trained on", "asked", "in domain", "fail to learn"),
            *("zero-shot", "floor", "trained on it"),
        )
        return Table(header, lines, (note, *self.grid.notes()))

    def _real_table(self) -> Table:
        """Metric by metric, as in the paper."""
        lines = []
        for route, found in self.answers.groupby(ROUTE, sort=False):
            method, model, source, target = route
            own = self.grid.runs((method, model), source)
            failed = failed_text(fail(own)) if source == target else NOTHING
            for metric in found["metrics"].iloc[0]:
                score = with_mark(Spread.of(each[metric] for each in found["metrics"]))
                lines.append([source, target, method, metric, score, failed])
        note = (
            "Percent: mean ± sample standard deviation over seeds (number of seeds); † has fewer "
            f"than {tolerances().min_seeds}. Zero-shot where both tasks differ: the step is chosen "
            "on held-out rows of what was trained on. No number here has a verdict against the "
            "paper's."
        )
        header = ("trained on", "asked", "method", "metric", "score", "fail to learn")
        return Table(header, lines, (note, *self.grid.notes()))

    @cached_property
    def claims(self) -> list[Claim]:
        """Does a prompt transfer better than a tuned model, as most rows of the tables say?

        Asked where both have learnt what they were trained on.
        """
        if self.models == PAPER:
            return []
        question = f"Do prompts transfer better to another domain than tuned models: {self.domain}?"
        what = "Prompt minus model tuning, zero-shot"
        leads = self._leads(in_domain=False)
        cases = {case: terms for case, terms in leads.items() if self._learnt(case)}
        made = asked_of(question, what, cases, self._papers_lead())
        if leads and not cases:
            made = replace(made, why_not="there is no task that both methods have learnt")
        at_home = by_model("In domain", self._leads(in_domain=True))
        return [replace(made, detail=f"{made.detail} {at_home}".strip())]

    def _leads(self, *, in_domain: bool) -> dict[Case, Terms]:
        """The cells of both methods by model and direction, where both are there."""
        found: dict[Case, dict[str, list[float]]] = {}
        for route, answers in self.answers.groupby(ROUTE, sort=False):
            method, model, source, target = route
            if (source == target) == in_domain:
                case = (model, f"{source} {target}")
                found.setdefault(case, {})[method] = [*answers["score"]]
        return {
            case: [(1, arms["prompt_tuning"]), (-1, arms["model_tuning"])]
            for case, arms in found.items()
            if len(arms) == 2
        }

    def _learnt(self, case: Case) -> bool:
        """Whether of neither method most runs fail to learn what they were trained on."""
        scores = self.grid.scores
        own = scores[(scores["model"] == case[0]) & (scores["task"] == case[1].split()[0])]
        failed = [fail(runs) for _, runs in own.groupby("series")]
        return all(2 * sum(runs) <= len(runs) for runs in failed)

    def _papers_lead(self) -> str:
        """The difference of the means over the published rows of other domains."""
        means: dict[str, list[float]] = {"prompt_tuning": [], "model_tuning": []}
        for row in published_rows("transfer", self.name.partition("_")[0]):
            if row["source"] != row["target"]:
                means[row["method"]].append(float(row["mean"]))
        lead = fmean(means["prompt_tuning"]) - fmean(means["model_tuning"])
        return f"{lead:+.1f} (mean of {len(means['prompt_tuning'])} rows, T5 XXL)"

    @property
    def panels(self) -> Panels:
        """The zero-shot scores."""
        of_runs = [record.content["result"].get("transfer", {}) for record in self.records]
        values = [f"transfer/{name}/score" for name in dict.fromkeys(chain(*of_runs))]
        names = [record.name for record in self.records]
        return Panels(names, (*self.series, "model.name", "task.name"), values)


TABLE1 = Transfer(
    "table1",
    "Table 1: zero-shot transfer of question answering",
    sweeps=(("table1",), ("table1_model_tuning",)),
)
TABLE1_FLAN = Transfer(
    "table1_flan",
    "Table 1 on a real T5 Small: from SQuAD to RACE, DROP and Quoref, zero-shot",
    REAL,
    (("table1_flan",), ("table1_flan_model_tuning",)),
    remark="DROP was among the tasks that FLAN-T5 was tuned on: it is no new domain for these "
    "weights. SQuAD is its dev file, split by article; the files stand in for MRQA's, which has no "
    "Quoref.",
)
TABLE1_LADDER = Transfer(
    "table1_ladder",
    f"{TABLE1.title}, on the ladder",
    LADDER,
    (("table1_ladder",), ("table1_ladder_model_tuning",)),
)
TABLE2 = Transfer(
    "table2",
    "Table 2: zero-shot transfer of paraphrase detection",
    sweeps=(("table2",), ("table2_model_tuning",)),
    domain="paraphrases",
)
TABLE2_FLAN = Transfer(
    "table2_flan",
    "Table 2 on a real T5 Small: between QQP and MRPC, zero-shot",
    REAL,
    (("table2_flan",), ("table2_flan_model_tuning",)),
    remark="QQP and MRPC were among FLAN's tasks: neither is new to these weights. QQP has 20,000 "
    "training rows here.",
    domain="paraphrases",
)
TABLE2_LADDER = Transfer(
    "table2_ladder",
    "Table 2: zero-shot transfer of classification, on the ladder",
    LADDER,
    (("table2_ladder",), ("table2_ladder_model_tuning",)),
    domain="yes and no",
)
