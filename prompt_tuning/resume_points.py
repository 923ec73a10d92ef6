"""Resume points: what an unfinished run needs to go on, whole on disk or not there at all.

PyTorch's own file loads with flipped bits in its tensors, and a run would train on to another
prompt: here its SHA-256 stands behind it.
"""

import logging
import mmap
from collections.abc import Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import torch

from prompt_tuning.files import written_whole

logger = logging.getLogger(__name__)

_DIGEST_BYTES = 32


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Writes tensors and plain values by atomic rename."""
    with written_whole(path) as unfinished:
        torch.save(dict(state), unfinished)
        with unfinished.open("r+b") as file:
            file.write(file_digest(file, "sha256").digest())


def load_state(path: Path) -> dict[str, Any] | None:
    """What `save_state` wrote; None if there is none, or, with a warning, one that is damaged."""
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
            memoryview(content) as view,
        ):
            is_whole = sha256(view[:-_DIGEST_BYTES]).digest() == view[-_DIGEST_BYTES:]
    except FileNotFoundError:
        return None
    except ValueError:  # an empty file has nothing to map
        is_whole = False
    if not is_whole:
        logger.warning(
            "%s is damaged, or of an earlier version of ptune: the run starts again", path
        )
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state
