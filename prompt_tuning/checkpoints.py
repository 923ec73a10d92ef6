"""Resume points: what an unfinished run needs to go on, whole on disk or not there at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Writes tensors and plain values by atomic rename."""
    unfinished = path.with_suffix(".tmp")
    torch.save(dict(state), unfinished)
    unfinished.replace(path)


def load_state(path: Path) -> dict[str, Any] | None:
    """What `save_state` wrote; None if there is no resume point."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state
