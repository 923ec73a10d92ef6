"""Imports point one way, and each outside library is known in as few places as possible."""

import ast
import re
import sys
from pathlib import Path

import pytest

import prompt_tuning

PACKAGE = Path(prompt_tuning.__file__).parent
CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"

# The places of the package, the lower ones first: each imports from itself and from those before it
ORDER = (
    *("__init__", "errors", "devices", "files", "interrupts", "ranks", "shapes", "tasks", "data"),
    *("ladder", "task_registry", "made_from", "locking", "network", "rows", "resume_points"),
    *("run_folder", "environment", "report", "terminal", "sweeps", "launchers", "optim"),
    *("prompt_files", "metrics", "models", "config", "config_checks", "tracking", "protocol"),
    *("own_data", "task_data", "composition", "search", "loop", "evaluation", "model_choice"),
    *("examples", "pretraining", "training", "use", "ensembling", "inspection", "bench"),
    *("commands", "api", "jobs", "hydra_app", "cli", "__main__"),
)
# but for these, which it has no business with.
NOT = {
    "pretraining": {"evaluation", "metrics"},
    "ensembling": {"use"},
    "inspection": {"use", "ensembling"},
    "bench": {"tracking"},
}

# Where an outside library may appear; one that is not here may not appear at all.
KNOWN_IN = {
    "hydra": {"composition", "hydra_app", "jobs", "search"},
    "omegaconf": {
        *("commands", "config", "config_checks", "own_data", "composition", "hydra_app"),
        *("jobs", "launchers", "search"),
    },
    "yaml": {"composition"},
    "wandb": {"tracking"},
    "wandb_workspaces": {"report"},
    "matplotlib": {"report", "inspection", "commands"},
    "pandas": {"report", "bench", "inspection", "api"},
    "jinja2": {"files"},
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
    "transformers": {"models", "data", "pretraining", "bench"},
    "numpy": {
        *("bench", "data", "inspection", "models", "metrics", "optim", "prompt_files"),
        *("made_from", "training", "pretraining", "report"),
    },
    "torch": {
        *("resume_points", "models", "optim", "pretraining", "loop", "evaluation", "ensembling"),
        *("model_choice", "examples", "bench", "training", "use", "ranks"),
        *("devices", "launchers"),  # where there may be a GPU, and how many there are
        "commands",  # doctor asks it for the device
    },
}
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def place_of(module):
    """The top-level module or package that a dotted name inside the package belongs to."""
    return module.split(".")[0] or "__init__"


def imports_of(tree):
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
def test_a_module_imports_only_from_below_it(path):
    place = path.with_suffix("").parts[0]
    below = {*ORDER[: ORDER.index(place) + 1]} - NOT.get(place, set())
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    for name in imports_of(tree):
        library, _, inside = name.partition(".")
        if library == PACKAGE.name:
            assert place_of(inside) in below, f"{path} imports {name}"
        elif library not in sys.stdlib_module_names:
            assert place in KNOWN_IN[library], f"{path} imports {name}"


def test_the_table_in_contributing_has_every_place_and_the_same_order():
    table = re.findall(r"^\| (`.*?) \|", CONTRIBUTING.read_text(encoding="utf-8"), re.MULTILINE)
    rows = [re.findall(r"`(\w+)(?:\.py|/)`", row) for row in table]
    row_of = {place: number for number, row in enumerate(rows) for place in row}
    assert {*row_of} == {*ORDER} - {"__init__", "__main__"}
    for path in MODULES:
        tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
        number = row_of.get(path.with_suffix("").parts[0], len(rows))
        for name in imports_of(tree):
            library, _, inside = name.partition(".")
            if library == PACKAGE.name and inside:
                assert row_of[place_of(inside)] <= number, f"{path} imports {name}"


def test_the_environment_is_read_at_the_edge_only():
    """Whatever changes a run is in its config, not in a variable that no record shows."""
    readers = {
        path.parts[0].removesuffix(".py")
        for path in MODULES
        if "environ" in (PACKAGE / path).read_text(encoding="utf-8").replace("environment", "")
    }
    assert readers <= {"commands", "hydra_app", "ranks", "tracking"}
