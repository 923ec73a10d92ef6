"""`ptune` in a test's own process and folder."""

from pathlib import Path

import pytest
import quick_runs
from quick_runs import Run, Said


@pytest.fixture
def ptune(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Run:
    """`ptune(*arguments)`, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Said:
        return Said(quick_runs.ptune(monkeypatch, tmp_path, *arguments), *capsys.readouterr())

    return run
