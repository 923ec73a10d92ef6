"""The files of a checkpoint folder: which must be there, and what to do about a damaged one."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open

from prompt_tuning.errors import UserError

VOCABULARY_FILES = ("spiece.model", "tokenizer.json")
_LFS_POINTER = b"version https://git-lfs"
_COPY_AGAIN = "copy or download it again"


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Whatever libraries raise over a checkpoint becomes one error that names it.

    The hub's client, four file formats and two tokenizers are at work: their exceptions have no
    common class below Exception.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"cannot load the checkpoint {source}: {type(error).__name__}: {reason}",
            fix="check the network, or give a folder in the hub's layout: model.path=<folder>",
        ) from error


def check_folder(source: str) -> None:
    """Refuses a folder that lacks a file or has a damaged one; reads no weight.

    A hub id passes: what it has is read as it is loaded.

    Raises:
        UserError: a file is absent, empty, cut short or only points to its content.
    """
    folder = Path(source)
    if not folder.is_dir():
        return
    if not (folder / "config.json").exists():
        raise UserError(
            f"no config.json in {folder}",
            fix="give a checkpoint in the hub's layout: model.path=<folder>",
        )
    for path in sorted(folder.iterdir()):
        if path.suffix in {".json", ".safetensors", ".bin"} or path.name in VOCABULARY_FILES:
            _check_file(path)
    if not any((folder / name).exists() for name in VOCABULARY_FILES):
        raise UserError(
            f"no {' or '.join(VOCABULARY_FILES)} in {folder}{_named_tokenizer(folder)}",
            fix="copy it from the checkpoint that the model began as: without its vocabulary "
            "every word is unknown",
        )


def _check_file(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(len(_LFS_POINTER))
    if not start:
        raise UserError(f"{path} is empty", fix=_COPY_AGAIN)
    if start == _LFS_POINTER:
        raise UserError(
            f"{path} is a pointer of Git LFS, not the file itself",
            fix=f"git lfs pull, in {path.parent}",
        )
    try:
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".safetensors":
            with safe_open(path, framework="pt"):
                pass  # its header is read, and compared with the length of the file
        elif path.name == "spiece.model":
            import sentencepiece

            sentencepiece.SentencePieceProcessor(str(path))
    except (ValueError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{path} is damaged: {error}", fix=_COPY_AGAIN) from error


def _named_tokenizer(folder: Path) -> str:
    """ ": its tokenizer is a ByT5Tokenizer", where the folder says which."""
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    name = settings.get("tokenizer_class") if isinstance(settings, dict) else None
    return "" if name is None else f": its tokenizer is a {name}"
