"""Files and folders that appear whole or not at all."""

import tempfile
from collections.abc import Callable
from pathlib import Path


def made_once(folder: Path, write: Callable[[Path], None]) -> Path:
    """The folder, written by `write` and an atomic rename if it is not there."""
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        unfinished = Path(scratch) / folder.name
        write(unfinished)
        try:
            unfinished.rename(folder)
        except OSError:  # a run beside this one was first, with the same bytes
            assert folder.exists(), folder
    return folder
