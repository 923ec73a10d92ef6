"""ptune from Python: the examples of its documentation, and what it refuses."""

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import prompt_tuning
from prompt_tuning import api
from prompt_tuning.errors import UserError


def test_the_examples_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(api, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert results.failed == 0 and results.attempted >= 5


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    heavy = "{'torch', 'transformers', 'datasets', 'pandas', 'hydra'} & {*sys.modules}"
    code = f"import sys, prompt_tuning as pt; pt.train, pt.load; print({heavy})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_all_mistakes_are_raised_at_once() -> None:
    with pytest.raises(UserError) as raised:
        prompt_tuning.train("task=mini_rtee", "seed=-1", "modle=small")
    assert len(raised.value.parts) >= 2


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no finished run: missing"):
        prompt_tuning.run(tmp_path / "run")
    with pytest.raises(UserError, match="has no prompt"):
        prompt_tuning.load(tmp_path)
    with pytest.raises(UserError, match="café"):
        prompt_tuning.load(tmp_path / "café")
