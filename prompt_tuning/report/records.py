"""Records of finished runs: in the user's folders, and committed, one JSONL file an artefact.

A committed file has a line for every block of values that runs share, named by the hash of its
text, then a line for every run. `ptune report commit_records=true` adds lines; none ever changes.
"""

import json
import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import compress

from prompt_tuning.errors import UserError
from prompt_tuning.files import flat, read_json, written_whole
from prompt_tuning.run_folder import RunFolder, reported_scores

# Where data lies is no part of a run's identity: its record has the hash of every file.
PLACES = (
    *("seed", "data.dir", "data.source"),
    *(f"data.{split}_file" for split in ("train", "validation", "test")),
)
# What a line has of a run; all else may be shared with other runs.
OWN = (
    *("result", "history", "members", "prompt", "cost", "config_hash"),
    *("duration_s", "finished_at", "peak_memory_gib"),
)
BLOCK = "@"  # the key under which a block's name stands in place of its values
MIN_BLOCK = 50  # characters; shorter values stand where they are used
WIDE = 8  # keys of a block that says only what differs from another one
Config = Mapping[str, Any]
Content = dict[str, Any]  # of a record


@dataclass(frozen=True)
class Record:
    """What a finished run of any command left."""

    name: str
    content: Mapping[str, Any]
    folder: Path | None = None  # of the user's own run; None: committed

    @property
    def code(self) -> str:
        """The commit it was made with, and whether that was changed."""
        commit = self.content.get("commit") or "no checkout"
        return commit[:12] + (", changed" if self.content.get("dirty") else "")

    @property
    def substance(self) -> str:
        """Weights, their precision and the data: what a config only names."""
        model, data = self.content["model"], self.content["data"]
        facts = {key: value for key, value in flat(data) if key.endswith("sha256")}
        facts |= {key: model.get(key) for key in ("fingerprint", "revision", "dtype")}
        return json.dumps(facts, sort_keys=True)

    @property
    def results(self) -> Mapping[str, Mapping[str, Any]]:
        """The result of each task: a multi-task run has several."""
        result = self.content["result"]
        return result.get("tasks") or {self.content["config"]["task"]["name"]: result}

    @cached_property
    def history(self) -> list[tuple[int, float, float | None]]:
        """Evaluations on the split that chooses the step: step, score, seconds of training so far.

        Seconds are None where no clock was logged.
        """
        if self.folder is None:
            return [*map(tuple, self.content.get("history", ()))]
        return RunFolder(self.folder).curve()


class Library:
    """Records by what their config asks for, or by the runs that they are about.

    An ensemble is about the runs that vote, an inspection about the run whose prompt it looks at.
    """

    def __init__(self, records: Iterable[Record], ignored: Sequence[str]) -> None:
        """Takes records in; `ignored` are keys of a config that do not change a result."""
        self._ignored = (*ignored, *PLACES)
        self._records: dict[tuple[str, frozenset[str]], list[Record]] = defaultdict(list)
        for record in records:
            about = record.content.get("members", [record.content])
            if about and all("config" in run for run in about):
                runs = frozenset(self._identity(run["config"]) for run in about)
                self._records[record.content["kind"], runs].append(record)

    def find(self, kind: str, configs: Iterable[Config], **chosen: Any) -> Record | None:
        """The record of a kind (train, ensemble, inspect) about exactly the runs of these configs.

        One of the user's own goes before a committed one. `chosen` are values that the record's
        own config must have (tie="first").

        Raises:
            UserError: there are two different ones.
        """
        known = self._records.get((kind, frozenset(map(self._identity, configs))), [])
        found = [record for record in known if chosen.items() <= record.content["config"].items()]
        found = [record for record in found if record.folder] or found
        if any(record.content != found[0].content for record in found[1:]):
            raise UserError(
                f"two records of one run: {found[0].name} and {found[1].name}",
                fix="counted twice, a seed would make the deviation too small: remove one of them, "
                "such as that under another machine.max_tokens_per_micro_batch or compile",
            )
        return found[0] if found else None

    def has_model(self, names: Iterable[str]) -> bool:
        """Whether any training run is of one of these models."""
        trained = (found[0] for (kind, _), found in self._records.items() if kind == "train")
        return any(record.content["config"]["model"]["name"] in names for record in trained)

    def _identity(self, config: Config) -> str:
        values = {
            key: value
            for key, value in flat(config)
            if value is not None
            and not any(key == name or key.startswith(f"{name}.") for name in self._ignored)
        }
        return json.dumps([values, config.get("seed")], sort_keys=True)  # evaluations have none


def read_runs(folder: Path) -> list[Record]:
    """The records of the user's own runs."""
    return [
        Record(path.parent.name, content, path.parent)
        for path in sorted(folder.glob("*/record.json"))
        if (content := read_json(path, kind=str, result=dict, config=dict))
    ]


def read_committed(folder: Path) -> list[Record]:
    """The records of every JSONL file of a folder.

    Raises:
        UserError: a file is not what was written; names it.
    """
    records = []
    for path in sorted(folder.glob("*.jsonl")):
        try:
            records += unpack(_lines(path))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _damaged(path, error) from error
    return records


def commit(records: Mapping[str, Iterable[Record]], folder: Path) -> int:
    """Adds records to `<artefact>.jsonl`, each once in all files; returns how many are new.

    Raises:
        UserError: a committed record of that name has other content.
    """
    committed = {record.name: record.content for record in read_committed(folder)}
    num_before = len(committed)
    for artefact, found in records.items():
        new = []
        for record in found:
            if record.folder is None:
                continue
            history = {"history": [*map(list, record.history)]} if record.history else {}
            content = portable({**record.content, **history})
            if record.name not in committed:
                new.append(Record(record.name, content))
            elif committed[record.name] != content:
                raise UserError(
                    f"{record.name} in {folder} is of another run than the record that was found",
                    fix="committed records are never changed: remove its line if it was wrong",
                )
            committed[record.name] = content
        if new:
            path = folder / f"{artefact}.jsonl"
            _write_lines(path, {*pack(new), *_lines(path)})
    return len(committed) - num_before


def commit_answers(records: Mapping[str, Iterable[Record]], folder: Path) -> None:
    """Keeps what a run answered on the split that it reports, for paired tests over examples.

    A line a run in `answers/<artefact>.jsonl`: predictions in the order of the split's examples, as
    JSON, compressed (zlib) and in base64. Records hold the hash of the split's file.
    """
    for artefact, found in records.items():
        path = folder / "answers" / f"{artefact}.jsonl"
        try:
            lines = {*_lines(path)}
            kept = {json.loads(line)["name"] for line in lines}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _damaged(path, error) from error
        for record in found:
            if record.name not in kept and (told := _reported(record)):
                split, answers = told
                text = b64encode(compress(_json(answers).encode(), 9)).decode()
                lines.add(_json({"name": record.name, "split": split, "answers": text}))
        if lines:
            _write_lines(path, lines)


def _reported(record: Record) -> tuple[str, list[str]] | None:
    """The reported split of a run of one task and its predictions there; None: it kept none."""
    result = record.content["result"]
    if record.folder is None or record.content["kind"] != "train" or "split" not in result:
        return None
    lines = RunFolder(record.folder).reported_predictions(result)
    answers = [line["prediction"] for line in lines]
    return (reported_scores(result)["split"], answers) if answers else None


def portable(content: Mapping[str, Any]) -> Content:
    """A record without paths of its machine: folders of outputs and data are `runs` and `data`.

    model.path stays as it is: it is part of what was run.
    """
    configs = [content["config"], *(run["config"] for run in content.get("members", ()))]
    text = json.dumps(content, ensure_ascii=False)
    for config in configs:
        places = {config.get("output_dir"): "runs", (config.get("data") or {}).get("dir"): "data"}
        for place, name in places.items():
            if place and Path(place).is_absolute():
                own = re.escape(json.dumps(place)[1:-1])
                text = re.sub(rf'(?<=["=]){own}(?=["/\\])', name, text)
    text = re.sub(r'"/[^"]*/embedded_models/', '"embedded:', text)
    text = re.sub(r'("(?:file|(?:train|validation|test)_file)": ")/[^"]*/', r"\1", text)
    made: Content = json.loads(text)
    if "command" in made:
        made["command"] = ["ptune", *made["command"][1:]]
    return made


def pack(records: Iterable[Record]) -> list[str]:
    """The lines of a file, sorted: blocks before records."""
    blocks: dict[str, Any] = {}
    firsts: dict[tuple[str, ...], Content] = {}

    def shared(value: Any) -> Any:
        """The value, or in its place the name of a block; wide ones build on the first such one."""
        if isinstance(value, Mapping):
            value = {name: shared(part) for name, part in value.items()}
            first = firsts.setdefault(tuple(value), value) if len(value) >= WIDE else value
            if value != first:
                others = {name: part for name, part in value.items() if part != first[name]}
                value = {**block(first), **others}
        return block(value) if len(_json(value)) >= MIN_BLOCK else value

    def block(value: Any) -> Content:
        name = _block_name(value)
        blocks[name] = value
        return {BLOCK: name}

    def without_seed(config: Config) -> Content:
        seed = {"seed": config["seed"]} if "seed" in config else {}
        return {**shared({key: config[key] for key in config if key != "seed"}), **seed}

    lines = []
    for record in records:
        content = record.content
        config = without_seed(content["config"])
        own = {key: content[key] for key in OWN if key in content}
        if content["result"].get("floor"):
            own["result"] = {**content["result"], "floor": shared(content["result"]["floor"])}
        if "members" in content:
            own["members"] = [
                {**run, "config": without_seed(run["config"])} if "config" in run else run
                for run in content["members"]
            ]
        seed = {"seed": config.pop("seed")} if "seed" in config else {}
        rest = {key: content[key] for key in content if key not in own} | {"config": config}
        lines.append(_json({"name": record.name, **seed, **shared(rest), **own}))
    lines += [_json({"block": name, "values": values}) for name, values in blocks.items()]
    return sorted(lines)


def unpack(lines: Iterable[str]) -> list[Record]:
    """The records of a file's lines.

    Raises:
        ValueError: a block does not say what its name is the hash of.
        KeyError, TypeError, AttributeError: a line is no record, or lacks a block.
    """
    parsed = [json.loads(line) for line in lines]
    blocks = {line["block"]: line["values"] for line in parsed if "block" in line}
    for name, values in blocks.items():
        if _block_name(values) != name:
            raise ValueError(f"block {name} does not say what was written")

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [*map(whole, value)]
        if not isinstance(value, dict):
            return value
        if BLOCK not in value:
            return {name: whole(part) for name, part in value.items()}
        own = {name: part for name, part in value.items() if name != BLOCK}
        block = blocks[value[BLOCK]]
        return whole({**block, **own} if own else block)

    records = []
    for line in parsed:
        if "block" not in line:
            content = whole(line)
            name, seed = content.pop("name"), content.pop("seed", None)
            if seed is not None:
                content["config"]["seed"] = seed
            records.append(Record(name, content))
    return records


def _damaged(path: Path, error: Exception) -> UserError:
    reason = f"it has no {error}" if isinstance(error, KeyError) else error
    return UserError(
        f"{path} is damaged: {reason}",
        fix=f"put it back as it was committed: git checkout {path}",
    )


def _block_name(values: Any) -> str:
    return sha256(_json(values).encode()).hexdigest()[:8]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _lines(path: Path) -> list[str]:
    """The lines of a file; none if it is not there yet.

    Ends of lines are \n alone: a text in a record may hold others, such as U+2028.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [line for line in text.split("\n") if line]


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished:
        unfinished.write_text("".join(f"{line}\n" for line in sorted(lines)), encoding="utf-8")
