"""A finished run to damage copies of."""

import pytest
from faults.damages import RUN
from quick_runs import run_in


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A folder with `runs/`, in which one run is finished."""
    return run_in(tmp_path_factory.mktemp("finished"), *RUN)
