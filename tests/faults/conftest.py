"""The long fault tests wait for `-m faults`; a finished run to damage copies of."""

from pathlib import Path

import pytest
from faults.damages import RUN
from quick_runs import run_in


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips what takes minutes unless it is asked for."""
    if "faults" in config.getoption("-m"):
        return
    for item in items:
        if item.get_closest_marker("faults"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: -m faults"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `runs/`, in which one run is finished."""
    return run_in(tmp_path_factory.mktemp("finished"), *RUN)
