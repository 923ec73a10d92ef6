"""How far the run in a folder is, told without torch and without disturbing it."""

import io
import pickle
import zipfile
from dataclasses import dataclass
from typing import Any

from prompt_tuning.locking import holder_of
from prompt_tuning.records import RunFolder

STATES = ("done", "running", "failed", "stopped", "missing")


@dataclass(frozen=True)
class RunState:
    """One of `STATES`, and what there is to say about it."""

    name: str
    detail: str = ""


def state_of(folder: RunFolder) -> RunState:
    """Running while a process holds the lock; else what that process left behind."""
    if holder := holder_of(folder.lock_path):
        return RunState("running", holder)
    if folder.record_path.exists():
        return RunState("done")
    if failure := folder.failure():
        return RunState("failed", failure["error"])
    if not folder.config_path.exists():
        return RunState("missing")
    step = _resume_step(folder)
    if step is None:
        return RunState("stopped", "before its first resume point: it starts again")
    return RunState("stopped", f"goes on at step {step}")


def _resume_step(folder: RunFolder) -> int | None:
    """The step of the resume point; None if there is none.

    torch.load would take seconds to import and read every tensor: the plain values are in a pickle
    inside the file.
    """
    try:
        with zipfile.ZipFile(folder.resume_path) as file:
            (name,) = [name for name in file.namelist() if name.endswith("/data.pkl")]
            state = _PlainValues(io.BytesIO(file.read(name))).load()
    except FileNotFoundError:
        return None
    return int(state["progress"]["step"])


class _PlainValues(pickle.Unpickler):
    """Reads the numbers and texts of a file of torch's; tensors become None, nothing is run."""

    def persistent_load(self, pid: Any) -> None:
        return None

    def find_class(self, module: str, name: str) -> Any:
        return _Nothing


class _Nothing(dict[Any, Any]):
    """What any other object is read as; takes every argument and state."""

    def __init__(self, *_: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        return None
