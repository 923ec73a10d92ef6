"""Every command that the README shows can be typed."""

import re
from pathlib import Path

import pytest
from quick_runs import problems_of

from prompt_tuning.commands import COMMANDS

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8")
# In code alone: of a block, or between back quotes.
PIECES = re.findall(r"```bash\n(.*?)```|`([^`\n]+)`", TEXT, re.DOTALL)
CODE = "\n".join("".join(each) for each in PIECES)
LINES = sorted({found[0].strip() for found in re.finditer(r"\bptune [a-z][^`#|\n]*", CODE)})
NUMBER = re.compile(r"(?<![\d.,v])\d+\.\d+(?![\d.])")
TABLES = [f"tables/{name}.md" for name in ("fig1_flan", "gate_flan", "table1_flan", "long_flan")]
MEASURED = {  # sections, and what their numbers are from
    "A real T5 without a hub": [*TABLES, "tables/control_flan.md", "LOG.md"],
    "Did it reproduce the paper?": ["tables/fig1_ladder_fresh.md"],
    "Speed": ["bench.md", "LOG.md"],
}


def test_the_readme_shows_every_command():
    assert {line.split()[1] for line in LINES} == {*COMMANDS}


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_readme_composes(line):
    """Placeholders count as any value; what a value refers to need not exist."""
    assert problems_of(line.removeprefix("ptune ")) == []


@pytest.mark.parametrize("section", MEASURED)
def test_the_readmes_measured_numbers_stand_in_the_tables_they_are_from(section):
    """As they are printed there: a number that a new run moves has to move here too."""
    tables = (README.parent / "results" / name for name in MEASURED[section])
    known = {*NUMBER.findall(" ".join(path.read_text(encoding="utf-8") for path in tables))}
    (part,) = (part for part in TEXT.split("\n## ") if part.startswith(section))
    prose = re.sub("```.*?```|`[^`]*`", "", part, flags=re.DOTALL)
    found = NUMBER.findall(prose)
    assert found and {*found} <= known, {*found} - known
