"""Imports point one way, and each outside library is known in as few places as possible."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import prompt_tuning

PACKAGE = Path(prompt_tuning.__file__).parent

# Which places of the package a place may import from, beside itself; the lower ones come first.
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "errors": set(),
    "devices": {"errors"},
    "files": set(),
    "interrupts": set(),
    "ranks": {"devices", "errors", "interrupts"},
    "shapes": set(),
    "tasks": set(),
    "data": {"errors", "files", "tasks"},
    "ladder": {"data", "errors", "tasks"},
    "task_registry": {"ladder", "tasks"},
    "made_from": {"errors", "files", "ladder"},
    "locking": {"errors"},
    "network": set(),
    "rows": {"errors", "data", "tasks"},
    "resume_points": {"files"},
    "run_folder": {"errors", "files", "interrupts", "locking", "resume_points"},
    "environment": {"ranks"},
    "report": {"errors", "files", "ladder", "made_from", "run_folder", "shapes"},
    "terminal": {"interrupts"},
    "sweeps": {"run_folder", "terminal"},
    "search": {"errors", "interrupts", "terminal"},
    "launchers": {"devices", "errors", "locking"},
    "optim": set(),
    "prompt_files": {"errors", "files"},
    "metrics": {"errors", "tasks"},
    "models": {"devices", "errors", "files", "data", "ladder", "shapes"},
    "config": {"errors", "devices", "task_registry", "tasks"},
    "config_checks": {"errors", "models", "prompt_files", "config"},
    "tracking": {"config", "files", "network"},
    "protocol": {
        *("errors", "interrupts", "made_from", "environment", "run_folder", "terminal"),
        *("config", "tracking"),
    },
    "own_data": {"errors", "tasks", "task_registry", "data", "config"},
    "task_data": {"errors", "files", "tasks", "task_registry", "data", "config", "own_data"},
    "composition": {
        *("devices", "errors", "config", "config_checks", "task_registry"),
        *("own_data", "task_data"),
    },
    "loop": {
        *("errors", "interrupts", "terminal", "tracking", "resume_points", "data", "models"),
        "ranks",
    },
    "evaluation": {"tasks", "metrics", "data", "models", "ranks"},
    "model_choice": {
        *("devices", "ladder", "made_from", "models", "files", "prompt_files", "config"),
    },
    "examples": {"errors", "tasks", "data", "models", "config", "task_data", "evaluation"},
}
MAY_IMPORT["pretraining"] = {*MAY_IMPORT} - {"__init__", "evaluation", "metrics"}
MAY_IMPORT["training"] = {*MAY_IMPORT} - {"__init__"}
MAY_IMPORT["use"] = {*MAY_IMPORT} - {"__init__"}
MAY_IMPORT["ensembling"] = {*MAY_IMPORT} - {"__init__", "use"}
MAY_IMPORT["inspection"] = {*MAY_IMPORT} - {"__init__", "use", "ensembling"}
MAY_IMPORT["bench"] = {*MAY_IMPORT} - {"__init__", "tracking"}
MAY_IMPORT["commands"] = {*MAY_IMPORT}
MAY_IMPORT["api"] = {*MAY_IMPORT}
MAY_IMPORT["hydra_app"] = {
    *("devices", "errors", "interrupts", "terminal", "config", "composition"),
    *("sweeps", "search", "launchers", "commands", "ranks"),
}
MAY_IMPORT["cli"] = {
    *("__init__", "errors", "interrupts", "ranks", "training", "commands", "hydra_app")
}
MAY_IMPORT["__main__"] = {"cli"}

# Where an outside library may appear; one that is not here may not appear at all.
KNOWN_IN: dict[str, set[str]] = {
    "hydra": {"composition", "hydra_app", "search"},
    "omegaconf": {
        *("commands", "config", "config_checks", "own_data", "composition", "hydra_app"),
        *("launchers", "search"),
    },
    "yaml": {"composition"},
    "wandb": {"tracking"},
    "wandb_workspaces": {"report"},
    "matplotlib": {"report", "inspection", "commands"},
    "pandas": {"report", "bench", "inspection", "api"},
    "jinja2": {"report"},
    "markupsafe": {"report"},
    "scipy": {"report"},
    "statsmodels": {"report", "commands"},
    "optuna": {"search"},
    "rich": {"terminal", "sweeps", "search", "commands", "hydra_app"},
    "evaluate": {"metrics"},
    "datasets": {"data", "metrics", "pretraining"},
    "google": {"models"},
    "huggingface_hub": {"commands", "models"},
    "onnx": {"models"},
    "peft": {"bench", "api"},
    "sentencepiece": {"models", "pretraining"},
    "safetensors": {"models", "prompt_files", "pretraining"},
    "transformers": {"models", "data", "pretraining", "bench", "api"},
    "numpy": {
        *("bench", "data", "inspection", "models", "metrics", "optim", "prompt_files"),
        *("made_from", "training", "pretraining", "report"),
    },
    "torch": {
        *("resume_points", "models", "optim", "pretraining", "loop", "evaluation", "ensembling"),
        *("model_choice", "bench", "training", "use", "ranks"),
        *("devices", "launchers"),  # where there may be a GPU, and how many there are
        "commands",  # doctor asks it for the device
    },
}
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def place_of(module: str) -> str:
    """The top-level module or package that a dotted name inside the package belongs to."""
    return module.split(".")[0] or "__init__"


def imports_of(tree: ast.AST) -> Iterator[str]:
    """Dotted names of what is imported at run time, wherever in the file."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module is not None
            yield node.module
        else:
            yield from imports_of(node)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_imports_only_from_below_it(path: Path) -> None:
    place = path.with_suffix("").parts[0]
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    for name in imports_of(tree):
        library, _, inside = name.partition(".")
        if library == PACKAGE.name:
            imported = place_of(inside)
            assert imported == place or imported in MAY_IMPORT[place], f"{path} imports {name}"
        elif library not in sys.stdlib_module_names:
            assert place in KNOWN_IN[library], f"{path} imports {name}"


def test_the_table_has_no_cycle() -> None:
    below: set[str] = set()
    for place, imported in MAY_IMPORT.items():
        assert imported <= below, place
        below.add(place)


def test_the_environment_is_read_at_the_edge_only() -> None:
    """Whatever changes a run is in its config, not in a variable that no record shows."""
    readers = {
        path.parts[0].removesuffix(".py")
        for path in MODULES
        if "environ" in (PACKAGE / path).read_text(encoding="utf-8").replace("environment", "")
    }
    assert readers <= {"commands", "hydra_app", "ranks", "tracking"}
