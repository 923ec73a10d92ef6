"""ptune from Python: the same configs, checks and records as on the command line.

Everything here calls what the commands call; there is no second way of doing things.

    >>> import prompt_tuning as pt
    >>> run = pt.train("task=mini_sst2", "model=ladder_100k", "training.num_steps=2",
    ...                "evaluation.every_steps=1", "output_dir=runs", "tracking=none")
    ... # doctest: +ELLIPSIS
    ptune train  mini_sst2-ladder_100k-lm_adapted-class_label-P20-s0-...
    >>> sorted(run.metrics), run.prompt.weight.shape
    (['accuracy'], (20, 32))
    >>> list(run.history["step"])
    [1, 2]
    >>> prompt = pt.load(run.folder, "rank=labels")
    >>> (answer,) = prompt.predict(["sentence: Ada is glad."])
    >>> answer["prediction"] in ("negative", "positive")
    True
    >>> table = pt.runs("runs")
    >>> list(table["config.task.name"])
    ['mini_sst2']
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from prompt_tuning.errors import UserError
from prompt_tuning.files import json_lines
from prompt_tuning.prompt_files import PromptFile, check_fits, load_prompt, prompt_file, save_peft
from prompt_tuning.run_folder import RunFolder, reported_scores

if TYPE_CHECKING:
    import pandas
    from peft import PeftModel

    from prompt_tuning.config import PredictConfig
    from prompt_tuning.tasks import Task
    from prompt_tuning.use import Predictor

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """A finished run of `ptune train`.

    `folder` is where its files are, `record` what is in record.json: config, result, data, model,
    environment.
    """

    folder: Path
    record: Mapping[str, Any]

    @property
    def metrics(self) -> dict[str, float]:
        """What is reported, in percent: of the split that chose no step, where there is one."""
        return dict(reported_scores(self.record["result"])["metrics"])

    @property
    def history(self) -> pandas.DataFrame:
        """The curves: a row a step, columns as in W&B (step, train/loss, eval/score, ...)."""
        import pandas

        lines, _ = json_lines(RunFolder(self.folder).curves_path)
        return pandas.DataFrame(lines).groupby("step", as_index=False).first()

    @property
    def prompt(self) -> PromptFile:
        """The prompt of the best step: `weight` is float32 [P, H].

        Raises:
            UserError: the run has trained none (model tuning, prompt design).
        """
        return load_prompt(prompt_file(self.folder))


def train(*overrides: str, config_dir: str | Path | None = None) -> Run:
    """One run of `ptune train`; one that is done already is not repeated.

    Args:
        overrides: as on the command line, such as "task=rte", "prompt.length=20".
        config_dir: a folder with files of your own, such as task/topics.yaml.

    Raises:
        UserError: everything that is wrong with them, or what the run itself fails of.
    """
    from prompt_tuning.commands import train as command
    from prompt_tuning.composition import composed

    own_files = None if config_dir is None else Path(config_dir)
    config = command.check(composed("train", overrides, own_files=own_files))
    command.run(config)
    return run(command.folder_of(config).path)


def run(folder: str | Path) -> Run:
    """The finished run in a folder.

    Raises:
        UserError: there is none.
    """
    found = RunFolder(Path(folder))
    record = found.record()
    if record is None:
        state = found.state()
        problem = f"{found.path} has no finished run: {state.name} {state.detail}".rstrip()
        raise UserError(problem, fix="ptune list what=runs shows which there are")
    if (kind := record.get("kind")) != "train":
        raise UserError(f"{found.path} is of ptune {kind}, no run of ptune train")
    return Run(found.path, record)


def runs(folder: str | Path = "runs") -> pandas.DataFrame:
    """Every finished run in a folder: a row each, a column for each value of config and result.

    Columns are dotted: config.task.name, config.seed, result.score, result.report.score, ...

    Raises:
        UserError: there is no such folder.
    """
    import pandas

    if not Path(folder).is_dir():
        raise UserError(f"{folder} is not a folder", fix="give the output_dir of the runs")
    rows = []
    for path in sorted(Path(folder).glob("*/record.json")):
        record = RunFolder(path.parent).record()
        if record is not None:
            told = {key: record.get(key) for key in ("kind", "config", "result", "duration_s")}
            rows.append({"run": path.parent.name, **told})
    return pandas.json_normalize(rows)


@dataclass(frozen=True)
class Prompt:
    """A saved prompt in front of its frozen model, which is loaded when it is first needed."""

    file: PromptFile
    config: PredictConfig

    @cached_property
    def _predictor(self) -> Predictor:
        from prompt_tuning.commands.predict import predictor_of

        return predictor_of(self.config)

    @cached_property
    def task(self) -> Task:
        """The task that it was trained on.

        Raises:
            UserError: the file does not say.
        """
        from prompt_tuning.task_data import task_of, task_of_prompt

        config = task_of_prompt(self.file.metadata)
        if config is None:
            raise UserError("the prompt does not say which task it was trained on")
        return task_of(config)

    def predict(self, rows: Iterable[str | Row] | pandas.DataFrame) -> list[dict[str, Any]]:
        """The answers of `ptune predict`: every field of a row, and prediction or error.

        Args:
            rows: texts as the model reads them, each a row with `inputs` alone, or rows of the
                task's columns.

        Raises:
            UserError: it is a single text or row, or a data frame with a column twice.
        """
        return list(self._predictor.answers(_listed(rows)))

    def score(self, rows: Iterable[Row] | pandas.DataFrame) -> dict[str, float]:
        """The task's metrics, in percent, on rows of its columns with labels.

        Raises:
            UserError: a row is none of the task's, is without a label, or has no answer.
        """
        from prompt_tuning.metrics import score
        from prompt_tuning.rows import row_in

        try:
            flat_rows = [each for row in _listed(rows) for each in self.task.flatten(row_in(row))]
            examples = [made[0] for row in flat_rows if (made := self.task.examples(row))]
        except ValueError as error:
            raise UserError(str(error)) from None
        if not examples:
            raise UserError("there is no row of the task to score")
        answers = self.predict(example.inputs for example in examples)
        for answer in answers:
            if "error" in answer:
                raise UserError(answer["error"])
        scores = score(self.task, examples, [answer["prediction"] for answer in answers])
        if scores.num_examples < len(examples):
            num_unlabelled = len(examples) - scores.num_examples
            raise UserError(f"{num_unlabelled} of {len(examples)} rows have no label")
        return scores.metrics

    def to_peft(self) -> PeftModel:
        """The base model of `transformers`, float32, with this prompt in front, as PEFT has it.

        Raises:
            UserError: the prompt does not say which model it belongs to, or that has other weights.
        """
        from peft import PeftModel

        from prompt_tuning.models.checkpoint_files import located
        from prompt_tuning.models.loading import load_hugging_face, weights_fingerprints

        if "source" not in self.file.metadata:
            raise UserError("the prompt does not say which model it belongs to")
        source, revision = self.file.metadata["source"], self.file.metadata["revision"]
        frozen, _ = load_hugging_face(source, revision=revision)
        width, weights = frozen.config.d_model, dict(frozen.named_parameters())
        path, fingerprints = Path(str(self.config.prompt)), weights_fingerprints(weights)
        check_fits(self.file, path, hidden_size=width, fingerprints=fingerprints)
        with TemporaryDirectory() as folder:
            save_peft(Path(folder), self.file, located(source), num_submodules=1)
            model: PeftModel = PeftModel.from_pretrained(frozen, folder)
        return model.eval()


def _listed(rows: Iterable[Any] | pandas.DataFrame) -> Iterable[Any]:
    """Rows as they are, those of a data frame as dicts.

    Raises:
        UserError: it is a single text or row, or a data frame with a column twice.
    """
    import pandas

    from prompt_tuning.data.official_files import named_twice

    if isinstance(rows, pandas.DataFrame):
        if problem := named_twice([*map(str, rows.columns)]):
            raise UserError(problem)
        return rows.to_dict("records")
    is_row = isinstance(rows, pandas.Series) and rows.index.inferred_type == "string"  # of a frame
    if is_row or isinstance(rows, str | bytes | Mapping):
        problem = f"a {type(rows).__name__} where a list of rows belongs"
        raise UserError(problem, fix="put it into a list: [row]")
    return rows


def load(path: str | Path, *overrides: str) -> Prompt:
    """A prompt that can be used: of a run's folder, a file, or PEFT's folder.

    Args:
        path: where it is.
        overrides: of `ptune predict`, such as "rank=labels", or "model=small" for a prompt that
            does not say which model it belongs to.

    Raises:
        UserError: there is none, or an override is wrong.
    """
    from prompt_tuning.commands.predict import config_of
    from prompt_tuning.composition import composed
    from prompt_tuning.config import quoted

    given = [f"prompt={quoted(str(path))}", "input=-", "output=-", *overrides]
    config = config_of(composed("predict", given))
    return Prompt(load_prompt(prompt_file(Path(path))), config)
