"""Every task and every mixture by name: what the files of tasks/ define, and the mini tasks.

A new task is a new file in tasks/: nothing else has to name it.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

import prompt_tuning.tasks
from prompt_tuning.ladder import mini_tasks
from prompt_tuning.tasks import Mixture, Task

T = TypeVar("T", bound=Task | Mixture)


def _by_name(kind: type[T]) -> dict[str, T]:
    """Every object of a kind among the constants of those files, alone or in a tuple."""
    found: dict[str, T] = {}
    files = iter_modules(prompt_tuning.tasks.__path__, "prompt_tuning.tasks.")
    for module in (*(import_module(file.name) for file in files), mini_tasks):
        for value in vars(module).values():
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, kind):
                    assert found.setdefault(each.name, each) is each, f"two are called {each.name}"
    return found


TASKS = _by_name(Task)
MIXTURES = _by_name(Mixture)
CHOICES: dict[str, Task | Mixture] = {**TASKS, **MIXTURES}  # what `task=` can be
