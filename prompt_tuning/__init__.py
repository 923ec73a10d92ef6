"""ptune: a PyTorch reproduction of prompt tuning (Lester et al., 2021).

From Python: `train`, `run`, `runs` and `load`, of `prompt_tuning.api`, which is imported when one
of them is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prompt_tuning.api import load, run, runs, train

__version__ = "0.1.0"
__all__ = ["load", "run", "runs", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'prompt_tuning' has no attribute {name!r}")
    from prompt_tuning import api

    return getattr(api, name)
