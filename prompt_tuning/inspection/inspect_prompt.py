"""A saved prompt among the vocabulary, from the config to the record and the picture."""

import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from prompt_tuning.config import InspectConfig, models_of_width
from prompt_tuning.data.sources import Split, load_split
from prompt_tuning.data.tokenization import encode_texts
from prompt_tuning.errors import UserError, printable
from prompt_tuning.inspection.inspection_text import closing_line, row_lines, summary_lines
from prompt_tuning.inspection.neighbours import Neighbours, Vocabulary
from prompt_tuning.inspection.prompt_map import prompt_map_figure
from prompt_tuning.inspection.prompt_statistics import Question, statistics_of
from prompt_tuning.model_choice import source_of, variant_of
from prompt_tuning.models.embeddings import EmbeddingTable, load_embedding_table
from prompt_tuning.prompt_files import PromptFile, check_fits
from prompt_tuning.protocol import started
from prompt_tuning.report import figures
from prompt_tuning.run_folder import RunFolder, reported_scores
from prompt_tuning.task_data import data_spec, is_at_hand
from prompt_tuning.tasks import Task


@dataclass(frozen=True)
class Inspected:
    """A prompt with all that is known about it."""

    config: InspectConfig
    path: Path
    sha256: str  # of the file
    prompt: PromptFile
    member: dict[str, Any] | None  # the training run that the file is of; None: not beside it
    table: EmbeddingTable
    task: Task | None  # None: not known
    texts: Split | None  # that the prompt was trained on; None: not at hand

    @property
    def label_words(self) -> tuple[str, ...]:
        """The class labels, in the order in which they were put into rows if they were."""
        if given := self.prompt.metadata.get("init_words"):
            return tuple(printable(str(word)) for word in given)
        return (self.task.init_words or self.task.verbalizers) if self.task else ()


def inspect(
    config: InspectConfig, folder: RunFolder, task: Task | None, prompt: PromptFile, sha256: str
) -> None:
    """Looks at `config.prompt`, trained on `task` (None: not known), into a claimed folder.

    Raises:
        UserError: the model or the data cannot be used, or do not belong to the prompt.
        Interrupted: Ctrl-C or SIGTERM.
    """
    path = Path(str(config.prompt))
    table = _table(config, prompt, folder.cache)
    check_fits(prompt, path, hidden_size=table.weight.shape[1], fingerprints=table.fingerprints)
    texts = None
    if task and is_at_hand(task, config.data):
        texts = load_split(task, "train", data_spec(config.data))
    member = member_of(path, sha256)
    inspected = Inspected(config, path, sha256, prompt, member, table, task, texts)
    question = _question(inspected)
    vocabulary = question.vocabulary
    with started(folder, "inspect", config) as run:
        run.header(_header(inspected, len(vocabulary.pieces)))
        named = [str(prompt.metadata.get(key, "")) for key in ("model", "variant", "init")]
        axes = [task.name if task else "", *named, f"P{prompt.length}"]
        group = task.name if task else "inspect"
        tracker = run.track(group=group, axes=[*filter(None, axes)])
        draws = {"num_draws": config.num_random_draws, "seed": config.seed}
        result, neighbours = statistics_of(question, prompt.weight, prompt.init, **draws)
        rows = _rows(neighbours, vocabulary)
        run.say(*row_lines(rows, config.show_rows), "", *summary_lines(result))
        text = json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
        (folder.path / "neighbours.json").write_text(text, encoding="utf-8")
        name = member["name"] if member else path.stem
        title = f"{name}: {prompt.length} rows among {len(vocabulary.pieces):,} pieces"
        drawn = prompt_map_figure(title, prompt, table.weight, question)
        figures.save(drawn, folder.path, "map")
        measured = {f"inspect/{name}": v for name, v in result["measures"]["prompt"].items()}
        tracker.log(0, measured)
        tracker.summarise(measured)
        run.finish(_facts(inspected, len(vocabulary.pieces), result))
        run.say(f"{closing_line(result)}  {folder.record_path}")
        run.say(f"picture: {folder.path / 'map.png'}; rows: {folder.path / 'neighbours.json'}")


def member_of(path: Path, sha256: str) -> dict[str, Any] | None:
    """The training run whose folder a prompt's file is in."""
    run = RunFolder(path.resolve().parent)
    record = run.record()
    if record is None or record["kind"] != "train" or path.resolve() != run.prompt_path:
        return None
    return {
        "name": run.name,
        "score": reported_scores(record["result"])["score"],
        "seed": record["config"]["seed"],
        "sha256": sha256,
        "config_hash": record["config_hash"],
        "config": record["config"],
    }


def _table(config: InspectConfig, prompt: PromptFile, cache: Path) -> EmbeddingTable:
    """That of the model which the config names; where it names none, of the prompt's own."""
    model, variant, known = config.model, config.variant, prompt.metadata
    if model.source == "prompt" and model.path is None:
        return load_embedding_table(known["source"], known["revision"])
    if variant is None and "variant" in known:
        variant = variant_of(None, prompt)
    return load_embedding_table(*source_of(model, variant, cache))


def _question(inspected: Inspected) -> Question:
    """What is asked, and among which pieces.

    Raises:
        UserError: there are fewer pieces than neighbours are asked for.
    """
    config, table = inspected.config, inspected.table
    ids = table.token_ids(with_control_tokens=config.control_tokens)
    if config.top_k > len(ids):
        raise UserError(
            f"top_k={config.top_k}, and the vocabulary has {len(ids)} pieces",
            fix="choose a smaller top_k",
        )
    vocabulary = Vocabulary(table.weight[ids], table.tokenizer.convert_ids_to_tokens(ids), ids)
    words, texts = [*inspected.label_words], inspected.texts
    inputs = [example.inputs for example in texts.examples] if texts else []
    domain = {*chain(*(encode_texts(inputs, table.tokenizer) if inputs else ()))}
    return Question(
        vocabulary,
        config.top_k,
        dict(zip(words, encode_texts(words, table.tokenizer) if words else [], strict=True)),
        frozenset(vocabulary.places(sorted(domain))),
        has_label_rows=inspected.prompt.metadata.get("init") == "class_label",
    )


def _rows(neighbours: Neighbours, vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Every row of the prompt with its neighbours, for JSON."""
    rows = zip(neighbours.places.tolist(), neighbours.cosines.tolist(), strict=True)
    return [
        {
            "row": row,
            "neighbours": [
                {"piece": vocabulary.pieces[place], "cosine": round(cosine, 4)}
                for place, cosine in zip(places, cosines, strict=True)
            ],
        }
        for row, (places, cosines) in enumerate(rows)
    ]


def _header(inspected: Inspected, num_pieces: int) -> dict[str, str]:
    """The prompt, and plainly which model it is for."""
    prompt, table, known = inspected.prompt, inspected.table, inspected.prompt.metadata
    if "fingerprint" in known:
        belongs = f"{known['source']}, weights {known['fingerprint']}: the ones that are used here"
    else:
        fitting = models_of_width(prompt.hidden_size)
        belongs = (
            f"the file does not say; {prompt.hidden_size} is the width of "
            f"{', '.join(fitting) or 'no model in conf/'}. Neighbours in the table of another "
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
        "table": f"{table.source}: {num_pieces:,} of {len(table.weight):,} rows",
        "task": f"{task}; labels: {words}; "
        + (f"{len(texts.examples):,} training texts" if texts else "no texts: add data.dir="),
    }


def _facts(inspected: Inspected, num_pieces: int, result: dict[str, Any]) -> dict[str, Any]:
    """What fixes the inspection, and its result."""
    prompt, table, texts = inspected.prompt, inspected.table, inspected.texts
    return {
        "members": [inspected.member] if inspected.member else [],
        "result": result,
        "prompt": {
            "path": inspected.config.prompt,
            "sha256": inspected.sha256,
            "length": prompt.length,
            "has_init": prompt.init is not None,
            "metadata": dict(prompt.metadata),
        },
        "model": {
            "source": table.source,
            "revision": table.revision,
            **table.fingerprints,
            "hidden_size": prompt.hidden_size,
            "num_pieces": num_pieces,
        },
        "data": {"train": texts.provenance} if texts else {},
    }
