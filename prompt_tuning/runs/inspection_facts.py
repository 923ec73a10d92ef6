"""What an inspection says about itself: what it is of, its header, its record."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prompt_tuning.config import InspectConfig, config_hash, hidden_sizes
from prompt_tuning.data.sources import Split
from prompt_tuning.models.embeddings import EmbeddingTable
from prompt_tuning.prompt_files import PromptFile
from prompt_tuning.records import RunFolder, environment, peak_memory_gib
from prompt_tuning.runs.facts import RECORD_FORMAT
from prompt_tuning.tasks import Task


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
    def title(self) -> str:
        """The training run's name; without one, the file's."""
        return self.member["name"] if self.member else self.path.stem

    @property
    def label_words(self) -> tuple[str, ...]:
        """The class labels, in the order in which they were put into rows if they were."""
        given = self.member and self.member["config"]["init"]["words"]
        if given:
            return tuple(given)
        return (self.task.init_words or self.task.verbalizers) if self.task else ()


def member_of(path: Path, digest: str) -> dict[str, Any] | None:
    """The training run whose folder the file is in."""
    run = RunFolder(path.resolve().parent)
    record = run.record()
    if record is None or record["kind"] != "train" or path.resolve() != run.prompt_path:
        return None
    reported = record["result"].get("report") or record["result"]
    return {
        "name": run.name,
        "score": reported["score"],
        "seed": record["config"]["seed"],
        "sha256": digest,
        "config_hash": record["config_hash"],
        "config": record["config"],
    }


def header(inspected: Inspected, num_pieces: int) -> dict[str, str]:
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
        "table": f"{table.source}: {num_pieces:,} of {len(table.weight):,} rows",
        "task": f"{task}; labels: {words}; "
        + (f"{len(texts.examples):,} training texts" if texts else "no texts: add data.dir="),
    }


def record_of(inspected: Inspected, num_pieces: int, result: dict[str, Any]) -> dict[str, Any]:
    """Everything that fixes the inspection, and its result."""
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
            "num_pieces": num_pieces,
        },
        "data": {"train": inspected.texts.provenance} if inspected.texts else {},
        "peak_memory_gib": peak_memory_gib(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **environment(),
    }
