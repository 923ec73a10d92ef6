"""Resume points: what an unfinished run needs to go on, whole on disk or not there at all.

PyTorch's own file loads with flipped bits in its tensors, and a run would train on to another
prompt: here a line of JSON stands behind it, with its SHA-256 and the step. Only what reads tensors
imports torch.
"""

import json
import logging
import mmap
from collections.abc import Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from prompt_tuning.files import written_whole

logger = logging.getLogger(__name__)

_LAST_BYTES = 200  # hold the last line


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Writes tensors and plain values, the step of `progress` among them, by atomic rename."""
    import torch

    with written_whole(path) as unfinished, unfinished.open("w+b") as file:
        torch.save(dict(state), file)
        file.seek(0)
        digest = file_digest(file, "sha256").hexdigest()
        last = {"sha256": digest, "step": state["progress"]["step"]}
        file.write(b"\n" + json.dumps(last).encode())


def load_state(path: Path) -> dict[str, Any] | None:
    """What `save_state` wrote; None if there is none, or, with a warning, one that is damaged."""
    import torch

    if not path.exists():
        return None
    last = _last_line(path)
    if last is None or last["sha256"] != _sha256_before_last_line(path):
        logger.warning(
            "%s is damaged, or of an earlier version of ptune: the run starts again", path
        )
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


def step_of(path: Path) -> int | None:
    """The step at which a run would go on; None if there is no resume point to be read."""
    last = _last_line(path)
    return None if last is None else int(last["step"])


def _last_line(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            file.seek(-min(_LAST_BYTES, path.stat().st_size), 2)
            last = json.loads(file.read().rpartition(b"\n")[2])
        return {"sha256": str(last["sha256"]), "step": int(last["step"])}
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _sha256_before_last_line(path: Path) -> str:
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        memoryview(content) as view,
    ):
        return sha256(view[: content.rfind(b"\n")]).hexdigest()
