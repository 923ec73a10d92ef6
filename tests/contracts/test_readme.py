"""Every command that the README shows can be typed."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from prompt_tuning.commands import COMMANDS
from prompt_tuning.composition import points_of
from prompt_tuning.hydra_app import with_keys

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8")
# In code alone: of a block, or between back quotes.
PIECES = re.findall(r"```bash\n(.*?)```|`([^`\n]+)`", TEXT, re.DOTALL)
CODE = "\n".join("".join(each) for each in PIECES)
LINES = sorted({found[0].strip() for found in re.finditer(r"\bptune [a-z][^`#|\n]*", CODE)})
NUMBER = re.compile(r"(?<![\d.,v])\d+\.\d+(?![\d.])")
MEASURED = ("A real T5 without a hub", "Did it reproduce the paper?", "Speed")  # sections
EXAMPLE = README.parent / "scripts" / "example_task"


def test_the_readme_shows_every_command() -> None:
    assert {line.split()[1] for line in LINES} == {*COMMANDS}


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_readme_composes(line: str) -> None:
    """Placeholders count as any value; what a value refers to need not exist."""
    words = shlex.split(re.sub("<[^>]*>", "x", line).replace("...", ""))
    flags = [word for word in words if word.startswith("-")]
    module = import_module(f"prompt_tuning.commands.{words[1]}")
    own_files = EXAMPLE if "--config-dir" in flags else None
    words = [word for word in words if word != "."]  # of --config-dir
    given = with_keys(words[2:], getattr(module, "POSITIONAL", None))
    overrides = [word for word in given if "=" in word]
    if "hydra/sweeper=optuna" in overrides:  # Hydra's own, and intervals have no points
        return
    assert set(given) <= {*overrides, *flags, "job"}
    _, problems = points_of(
        words[1], overrides, multirun="-m" in flags, only_first=True, own_files=own_files
    )
    assert not problems


def test_every_measured_number_of_the_readme_is_in_a_table_or_on_the_page() -> None:
    """As it is printed there: a number that a new run moves must move here too."""
    results = README.parent / "results"
    page = (results / "report.html").read_text(encoding="utf-8")
    shown = [re.sub("<[^>]+>", " ", re.sub("<svg.*?</svg>", "", page, flags=re.DOTALL))]
    tables = (*(results / "tables").glob("*.md"), results / "bench.md")
    shown += [path.read_text(encoding="utf-8") for path in tables]
    known = {*NUMBER.findall(" ".join(shown))}
    measured = [part for part in TEXT.split("\n## ") if part.startswith(MEASURED)]
    assert len(measured) == len(MEASURED)
    for part in measured:
        prose = re.sub("```.*?```|`[^`]*`", "", part, flags=re.DOTALL)
        found = NUMBER.findall(prose)
        assert found and {*found} <= known, {*found} - known
