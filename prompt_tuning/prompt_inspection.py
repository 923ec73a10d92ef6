"""Looking at a saved prompt among the vocabulary, from the config to the record and the picture."""

import hashlib
import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prompt_tuning.analysis import figures
from prompt_tuning.analysis.prompt_map import PromptMap, prompt_map_figure
from prompt_tuning.assembly import source_of, variant_of, wandb_settings
from prompt_tuning.config import InspectConfig, config_hash
from prompt_tuning.config_reading import hidden_sizes
from prompt_tuning.data.mini_tasks import MINI_SPLITS
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
from prompt_tuning.records import RunFolder, environment, peak_memory_gib
from prompt_tuning.reporting import Reporter
from prompt_tuning.run_facts import RECORD_FORMAT
from prompt_tuning.task_data import data_spec
from prompt_tuning.tasks import TASKS, Task
from prompt_tuning.tracking import Tracker


@dataclass(frozen=True)
class Inspected:
    """A prompt with all that is known about it."""

    config: InspectConfig
    path: Path
    digest: str  # of the file
    prompt: PromptFile
    member: dict[str, Any] | None  # the training run that the file is of; None: not beside it
    table: EmbeddingTable
    task: Task | None  # None: not known
    texts: Split | None  # that the prompt was trained on; None: not at hand

    @property
    def label_words(self) -> tuple[str, ...]:
        """The class labels, in the order in which they were put into rows if they were."""
        given = self.member and self.member["config"]["init"]["words"]
        if given:
            return tuple(given)
        return (self.task.init_words or self.task.verbalizers) if self.task else ()


def inspect(config: InspectConfig) -> None:
    """Looks at one prompt, unless the same was done: then its record stands.

    Raises:
        UserError: the prompt, the model or the data cannot be used, or do not belong together.
    """
    assert config.prompt is not None, config
    path = Path(config.prompt)
    prompt = load_prompt(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    folder = RunFolder(Path(config.output_dir) / _name(config, path, digest))
    if (done := folder.record()) and not config.rerun:
        print(f"{folder.name}: done before, {closing_line(done['result'])}  {folder.record_path}")
        return
    table = _table(config, prompt, folder)
    check_fits(prompt, path, hidden_size=table.weight.shape[1], fingerprint=table.fingerprint)
    task = _task(config, prompt)
    inspected = Inspected(
        config, path, digest, prompt, _member(path, digest), table, task, _texts(config, task)
    )
    vocabulary = vocabulary_of(table, with_control_tokens=config.control_tokens)
    if config.top_k > len(vocabulary.pieces):
        raise UserError(
            f"top_k={config.top_k}, and the vocabulary has {len(vocabulary.pieces)} pieces",
            fix="choose a smaller top_k",
        )
    folder.start(asdict(config))
    with ExitStack() as stack:
        reporter = stack.enter_context(Reporter(folder.log_path))
        reporter.header(f"ptune inspect  {folder.name}", _header(inspected, vocabulary))
        tracker = stack.enter_context(_tracker(inspected, folder))
        question = _question(inspected, vocabulary)
        result = findings(
            question,
            prompt.weight,
            prompt.init,
            num_draws=config.num_random_draws,
            seed=config.seed,
        )
        cosines = vocabulary.cosines(prompt.weight)
        rows = neighbours_by_row(nearest_neighbours(cosines, config.top_k), vocabulary)
        for line in (*row_lines(rows, config.show_rows), "", *summary_lines(result)):
            reporter.line(line)
        (folder.path / "neighbours.json").write_text(
            json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
        figures.save(prompt_map_figure(_map(inspected, question)), folder.path, "map")
        measured = {f"inspect/{name}": v for name, v in result["measures"]["prompt"].items()}
        tracker.log(0, measured)
        tracker.summarise(measured)
        folder.finish(_record(inspected, vocabulary, result))
        reporter.line(f"{closing_line(result)}  {folder.record_path}")


def vocabulary_of(table: EmbeddingTable, *, with_control_tokens: bool) -> Vocabulary:
    """The pieces of a table that may be neighbours."""
    ids = table.token_ids(with_control_tokens=with_control_tokens)
    return Vocabulary(table.weight[ids], table.pieces(ids), ids)


def _name(config: InspectConfig, path: Path, prompt_digest: str) -> str:
    """Named after the prompt's content, not after where it lies."""
    asked = config_hash(replace(config, prompt=None))
    digest = hashlib.sha256(f"{asked} {prompt_digest}".encode()).hexdigest()[:8]
    of = path.stem if path.stem != "prompt" else path.resolve().parent.name.rpartition("-")[0]
    return f"inspect-{of or path.stem}-{digest}"


def _table(config: InspectConfig, prompt: PromptFile, folder: RunFolder) -> EmbeddingTable:
    """That of the model which the config names; where it names none, of the prompt's own."""
    model, known = config.model, prompt.metadata
    if model.source == "prompt" and model.path is None:
        return load_embedding_table(known["source"], known["revision"])
    variant = config.variant
    if variant is None and "variant" in known:
        variant = variant_of(None, prompt)
    return load_embedding_table(*source_of(model, variant, folder.cache))


def _task(config: InspectConfig, prompt: PromptFile) -> Task | None:
    name = config.task.name if config.task else prompt.metadata.get("task")
    return TASKS.get(name) if name else None


def _texts(config: InspectConfig, task: Task | None) -> Split | None:
    """The task's training split, if nothing has to be fetched for it."""
    is_here = task is not None and (task.name in MINI_SPLITS or config.data.dir is not None)
    return load_split(task, "train", data_spec(config.data)) if task and is_here else None


def _member(path: Path, digest: str) -> dict[str, Any] | None:
    """The training run whose folder the file is in."""
    run = RunFolder(path.resolve().parent)
    record = run.record()
    if record is None or record["kind"] != "train" or path.resolve() != run.prompt_path:
        return None
    return {
        "name": run.name,
        "seed": record["config"]["seed"],
        "sha256": digest,
        "config_hash": record["config_hash"],
        "config": record["config"],
    }


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


def _header(inspected: Inspected, vocabulary: Vocabulary) -> dict[str, str]:
    """The prompt, and plainly which model it is for."""
    prompt, table, known = inspected.prompt, inspected.table, inspected.prompt.metadata
    if "fingerprint" in known:
        belongs = f"{known['source']}, weights {known['fingerprint']}: the ones that are used here"
    else:
        of_width = [n for n, width in hidden_sizes().items() if width == prompt.hidden_size]
        belongs = (
            f"the file does not say; {prompt.hidden_size} is the width of "
            f"{', '.join(of_width) or 'no model in conf/'}. Neighbours in the table of another "
            "model mean nothing."
        )
    task = inspected.task.name if inspected.task else "not known: add task="
    words = ", ".join(inspected.label_words) or "not known"
    texts = inspected.texts
    return {
        "prompt": f"{inspected.path}: {prompt.length} x {prompt.hidden_size}, init "
        f"{known.get('init', 'not known')}"
        + ("" if prompt.init is not None else " (its values are not in the file: no drift)"),
        "trained on": belongs,
        "table": f"{table.source}: {len(vocabulary.pieces):,} of {len(table.weight):,} rows",
        "task": f"{task}; labels: {words}; "
        + (f"{len(texts.examples):,} training texts" if texts else "no texts: add data.dir="),
    }


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
        f"{inspected.path.name}: {prompt.length} rows among {len(vocabulary.pieces):,} pieces",
        on_map(vocabulary.embedding, centre, axes),
        on_map(prompt.weight, centre, axes),
        None if prompt.init is None else on_map(prompt.init, centre, axes),
        labels,
        directions @ directions.T,
    )


def _record(inspected: Inspected, vocabulary: Vocabulary, result: dict[str, Any]) -> dict[str, Any]:
    config, prompt, table = inspected.config, inspected.prompt, inspected.table
    return {
        "format": RECORD_FORMAT,
        "kind": "inspect",
        "members": [inspected.member] if inspected.member else [],
        "result": result,
        "config": asdict(config),
        "config_hash": config_hash(config),
        "prompt": {
            "path": config.prompt,
            "sha256": inspected.digest,
            "length": prompt.length,
            "has_init": prompt.init is not None,
            "metadata": dict(prompt.metadata),
        },
        "model": {
            "source": table.source,
            "revision": table.revision,
            "fingerprint": table.fingerprint,
            "hidden_size": prompt.hidden_size,
            "num_pieces": len(vocabulary.pieces),
        },
        "data": {"train": inspected.texts.provenance} if inspected.texts else {},
        "peak_memory_gib": peak_memory_gib(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **environment(),
    }
