"""Looking at a saved prompt among the vocabulary, from the config to the record and the picture."""

import hashlib
import json
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from prompt_tuning.analysis import figures
from prompt_tuning.analysis.prompt_map import PromptMap, prompt_map_figure
from prompt_tuning.assembly import source_of, variant_of, wandb_settings
from prompt_tuning.config import InspectConfig
from prompt_tuning.data.sources import Split, load_split
from prompt_tuning.errors import UserError
from prompt_tuning.inspection.findings import (
    Question,
    findings,
    map_axes,
    neighbours_by_row,
    on_map,
)
from prompt_tuning.inspection.neighbours import Vocabulary, nearest_neighbours, unit
from prompt_tuning.inspection.report import closing_line, row_lines, summary_lines
from prompt_tuning.models.embeddings import EmbeddingTable, load_embedding_table
from prompt_tuning.prompt_files import PromptFile, check_fits, load_prompt
from prompt_tuning.records import RunFolder
from prompt_tuning.reporting import Reporter
from prompt_tuning.runs.inspection_facts import Inspected, header, member_of, record_of
from prompt_tuning.task_data import data_spec
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import Task
from prompt_tuning.tracking import Tracker


def inspect(config: InspectConfig) -> None:
    """Looks at one prompt, unless the same was done: then its record stands.

    Raises:
        UserError: the prompt, the model or the data cannot be used, or do not belong together.
        InProgress: another process does the same.
    """
    assert config.prompt is not None, config
    path = Path(config.prompt)
    prompt = load_prompt(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    folder = RunFolder(Path(config.output_dir) / _name(config, path, prompt, digest))
    if (done := folder.record()) and not config.rerun:
        print(f"{folder.name}: done before, {closing_line(done['result'])}  {folder.record_path}")
        return
    inspected = _read(config, path, digest, prompt, folder.cache)
    vocabulary = _vocabulary(inspected.table, config)
    with ExitStack() as stack:
        stack.enter_context(folder.claimed())
        folder.start(asdict(config))
        reporter = stack.enter_context(Reporter(folder.log_path))
        reporter.header(f"ptune inspect  {folder.name}", header(inspected, len(vocabulary.pieces)))
        tracker = stack.enter_context(_tracker(inspected, folder))
        question = _question(inspected, vocabulary)
        draws = {"num_draws": config.num_random_draws, "seed": config.seed}
        result = findings(question, prompt.weight, prompt.init, **draws)
        neighbours = nearest_neighbours(vocabulary.cosines(prompt.weight), config.top_k)
        rows = neighbours_by_row(neighbours, vocabulary)
        for line in (*row_lines(rows, config.show_rows), "", *summary_lines(result)):
            reporter.line(line)
        text = json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
        (folder.path / "neighbours.json").write_text(text, encoding="utf-8")
        figures.save(prompt_map_figure(_map(inspected, question)), folder.path, "map")
        measured = {f"inspect/{name}": v for name, v in result["measures"]["prompt"].items()}
        tracker.log(0, measured)
        tracker.summarise(measured)
        folder.finish(record_of(inspected, len(vocabulary.pieces), result))
        reporter.line(f"{closing_line(result)}  {folder.record_path}")


def _read(
    config: InspectConfig, path: Path, digest: str, prompt: PromptFile, cache: Path
) -> Inspected:
    """The prompt with its table, task and texts; raises as `inspect`."""
    table = _table(config, prompt, cache)
    check_fits(prompt, path, hidden_size=table.weight.shape[1], fingerprint=table.fingerprint)
    task = _task(config, prompt)
    return Inspected(
        config, path, digest, prompt, member_of(path, digest), table, task, _texts(config, task)
    )


def _name(config: InspectConfig, path: Path, prompt: PromptFile, prompt_digest: str) -> str:
    """Named after what fixes the result: not where the file lies, nor how its model was named.

    A prompt that names its weights can be looked at on no others.
    """
    task = _task(config, prompt)
    values, settings = asdict(config), ("top_k", "control_tokens", "num_random_draws", "seed")
    asked: dict[str, Any] = {"prompt": prompt_digest, "task": task.name if task else None}
    asked |= {key: values[key] for key in settings}
    if "fingerprint" not in prompt.metadata:
        asked |= {key: values[key] for key in ("model", "variant")}
    if task is None or not task.is_embedded:
        asked["data"] = asdict(replace(config.data, cache_dir=None))
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
    of = path.stem if path.stem != "prompt" else path.resolve().parent.name.rpartition("-")[0]
    return f"inspect-{of or path.stem}-{digest}"


def _table(config: InspectConfig, prompt: PromptFile, cache: Path) -> EmbeddingTable:
    """That of the model which the config names; where it names none, of the prompt's own."""
    model, known = config.model, prompt.metadata
    if model.source == "prompt" and model.path is None:
        return load_embedding_table(known["source"], known["revision"])
    variant = config.variant
    if variant is None and "variant" in known:
        variant = variant_of(None, prompt)
    return load_embedding_table(*source_of(model, variant, cache))


def _task(config: InspectConfig, prompt: PromptFile) -> Task | None:
    name = config.task.name if config.task else prompt.metadata.get("task")
    return TASKS.get(name) if name else None


def _texts(config: InspectConfig, task: Task | None) -> Split | None:
    """The task's training split, if nothing has to be fetched for it."""
    is_here = task is not None and (task.is_embedded or config.data.dir is not None)
    return load_split(task, "train", data_spec(config.data)) if task and is_here else None


def _question(inspected: Inspected, vocabulary: Vocabulary) -> Question:
    words, table = inspected.label_words, inspected.table
    ids = table.encode_texts([*words]) if words else []
    texts = [example.inputs for example in inspected.texts.examples] if inspected.texts else []
    in_texts = {i for of_text in table.encode_texts(texts) for i in of_text} if texts else set()
    return Question(
        vocabulary,
        inspected.config.top_k,
        dict(zip(words, ids, strict=True)),
        frozenset(vocabulary.places(sorted(in_texts))),
        has_label_rows=inspected.prompt.metadata.get("init") == "class_label",
    )


def _tracker(inspected: Inspected, folder: RunFolder) -> Tracker:
    known, task = inspected.prompt.metadata, inspected.task
    settings = wandb_settings(
        inspected.config.tracking,
        run_name=folder.name,
        job_type="inspect",
        group=task.name if task else "inspect",
        axes=[
            *([task.name] if task else []),
            *(str(known[key]) for key in ("model", "variant", "init") if key in known),
            f"P{inspected.prompt.length}",
        ],
    )
    return Tracker(folder.path, settings, asdict(inspected.config), step=0)


def _map(inspected: Inspected, question: Question) -> PromptMap:
    vocabulary, prompt = question.vocabulary, inspected.prompt
    centre, axes = map_axes(vocabulary)
    labels = {}
    for word, ids in question.label_ids.items():
        mean = inspected.table.weight[[*ids]].mean(axis=0, keepdims=True)
        labels[word] = on_map(mean, centre, axes)[0]
    directions = unit(prompt.weight)
    return PromptMap(
        f"{inspected.title}: {prompt.length} rows among {len(vocabulary.pieces):,} pieces",
        on_map(vocabulary.embedding, centre, axes),
        on_map(prompt.weight, centre, axes),
        None if prompt.init is None else on_map(prompt.init, centre, axes),
        labels,
        directions @ directions.T,
    )


def _vocabulary(table: EmbeddingTable, config: InspectConfig) -> Vocabulary:
    """The pieces that may be neighbours.

    Raises:
        UserError: there are fewer than are asked for.
    """
    ids = table.token_ids(with_control_tokens=config.control_tokens)
    if config.top_k > len(ids):
        raise UserError(
            f"top_k={config.top_k}, and the vocabulary has {len(ids)} pieces",
            fix="choose a smaller top_k",
        )
    return Vocabulary(table.weight[ids], table.pieces(ids), ids)
