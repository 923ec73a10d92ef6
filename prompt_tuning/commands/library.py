"""`ptune list what=prompts`: the index of a folder of prompts."""

from collections.abc import Sequence
from pathlib import Path

from prompt_tuning.errors import UserError
from prompt_tuning.prompt_files import PromptFile, library_paths, load_prompt

HEADER = ("name", "task", "model", "variant", "init", "size", "score", "step")


def list_prompts(folder: Path) -> None:
    """A line for every prompt: what it is for, on which model, how well it did on dev.

    A file that cannot be read has the reason instead.
    """
    paths = library_paths(folder)
    rows = [HEADER, *((name, *_facts(path)) for name, path in paths.items())]
    whole = [row for row in rows if len(row) == len(HEADER)]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        print("  ".join(cells).rstrip())
    print(f"{len(paths)} prompts in {folder}: ptune predict library={folder} ...")


def _facts(path: Path) -> Sequence[str]:
    try:
        return _described(load_prompt(path))
    except UserError as error:
        return (str(error).splitlines()[0],)


def _described(prompt: PromptFile) -> Sequence[str]:
    known = prompt.metadata
    names = [str(known.get(key, "-")) for key in ("task", "model", "variant", "init")]
    score = known.get("score")
    return (
        *names,
        f"{prompt.length}x{prompt.hidden_size}",
        "-" if score is None else f"{score:.2f}",
        str(known.get("step", "-")),
    )
