"""Runs every fault test, the long ones too, and writes how many were tried, right and wrong.

python scripts/faults.py            # results/faults.md; exit 1 if anything is wrong
"""

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

REPOSITORY = Path(__file__).parents[1]
HEAD = """\
# Faults made on purpose

`python scripts/faults.py` makes them anew and writes this page. A case is one test with one fault:
a damaged copy of a file, a place that cannot be written, a value, a row, a command that is killed
once to three times. Right: what can be made again is, what cannot is named in one line with exit
status 2, nothing else is lost, and a command that was killed and started again leaves the same
files.

| what was tried | tried | right | wrong |
|---|---:|---:|---:|
"""


def main() -> int:
    """The exit status: 0 if nothing is wrong."""
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) / "results.xml"
        command = ["-m", "pytest", "tests/faults", "-m", "faults or not faults"]
        command += ["-n", "2", "--dist", "loadfile"]
        subprocess.run(
            [sys.executable, *command, f"--junitxml={results}"], cwd=REPOSITORY, check=False
        )
        cases = [*ElementTree.parse(results).iter("testcase")]
    cases.sort(key=lambda case: case.attrib["classname"])  # two processes end them in any order
    tried: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for case in cases:
        if case.find("skipped") is None:
            name = case.attrib["name"].partition("[")[0].removeprefix("test_").replace("_", " ")
            tried[name] += 1
            wrong[name] += case.find("failure") is not None or case.find("error") is not None
    counts = [(name, tried[name], wrong[name]) for name in tried]
    counts.append(("**all**", tried.total(), wrong.total()))
    rows = [f"| {name} | {each} | {each - bad} | {bad} |" for name, each, bad in counts]
    page = REPOSITORY / "results" / "faults.md"
    page.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")
    print(f"{page}: {tried.total()} tried, {wrong.total()} wrong")
    return int(not tried or wrong.total() > 0)


if __name__ == "__main__":
    sys.exit(main())
