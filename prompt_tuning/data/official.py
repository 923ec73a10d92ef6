"""Where the official files of each task lie below `data.dir`."""

from pathlib import Path

from prompt_tuning.errors import UserError
from prompt_tuning.tasks import Task

Files = dict[str, tuple[str, ...]]  # split -> names of its file, of which the first found is used


def _superglue(folder: str) -> Files:
    names = {"train": "train", "validation": "val", "test": "test"}
    return {split: (f"{folder}/{name}.jsonl",) for split, name in names.items()}


def _glue(folder: str) -> Files:
    names = {"train": "train", "validation": "dev", "test": "test"}
    return {
        split: (f"GLUE/{folder}/{name}.tsv", f"{folder}/{name}.tsv")
        for split, name in names.items()
    }


def _mrqa(name: str) -> Files:
    return {"validation": (f"MRQA/{name}.jsonl", f"MRQA/{name}.jsonl.gz")}


OFFICIAL_FILES: dict[str, Files] = {
    "boolq": _superglue("BoolQ"),
    "cb": _superglue("CB"),
    "copa": _superglue("COPA"),
    "multirc": _superglue("MultiRC"),
    "record": _superglue("ReCoRD"),
    "rte": _superglue("RTE"),
    "wic": _superglue("WiC"),
    "wsc": _superglue("WSC"),
    "sst2": _glue("SST-2"),
    "mrpc": _glue("MRPC"),
    "qqp": _glue("QQP"),
    "squad": {"train": ("SQuAD/train-v1.1.json",), "validation": ("SQuAD/dev-v1.1.json",)},
    "quoref": {"validation": ("Quoref/quoref-dev-v0.1.json",)},
    "mrqa_bioasq": _mrqa("BioASQ"),
    "mrqa_drop": _mrqa("DROP"),
    "mrqa_duorc": _mrqa("DuoRC.ParaphraseRC"),
    "mrqa_race": _mrqa("RACE"),
    "mrqa_re": _mrqa("RelationExtraction"),
    "mrqa_textbookqa": _mrqa("TextbookQA"),
    "dpr": {"train": ("DPR/train.c.txt",), "test": ("DPR/test.c.txt",)},
}


def find_file(task: Task, split: str, folder: Path | None, given: str | None) -> Path:
    """The existing file of a split: `given`, or the official name, in `folder`.

    Raises:
        UserError: it is missing; names what was looked for and what is there.
    """
    what_dir_is = "data.dir=<folder of the official files>"
    if folder is None:
        raise UserError(f"no data.dir to find task {task.name} in", fix=what_dir_is)
    if not folder.is_dir():
        raise UserError(f"data.dir={folder}: no such folder", fix=what_dir_is)
    files = OFFICIAL_FILES[task.name]
    if given is None and split not in files:
        raise no_such_split(task, split, list(files))
    names = files[split] if given is None else (given,)
    for name in names:
        if (folder / name).is_file():
            return folder / name
    missing = folder / names[0]
    beside = (
        sorted(path.name for path in missing.parent.iterdir()) if missing.parent.exists() else []
    )
    raise UserError(
        f"{missing}: no such file, so no {split} split of {task.name}",
        allowed=f"{' or '.join(names)} in data.dir={folder}",
        fix=f"put it there, or name another with data.{split}_file="
        + (f" ({missing.parent} has {', '.join(beside)})" if beside else ""),
    )


def no_such_split(task: Task, split: str, splits: list[str]) -> UserError:
    """The error for a split that the data set does not have."""
    return UserError(f"task {task.name} has no {split} split", allowed=", ".join(splits))
