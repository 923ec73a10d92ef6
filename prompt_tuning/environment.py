"""The code and the machine that made a record: commit, versions, processor, memory."""

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from prompt_tuning.ranks import here

PACKAGES = (
    "ptune",
    "torch",
    "transformers",
    "datasets",
    "evaluate",
    "hydra-core",
    "wandb",
    "numpy",
)


def environment() -> dict[str, Any]:
    """The code and the machine: commit, dirty flag, versions, processor."""
    return {
        **code_version(),
        "versions": {"python": platform.python_version(), **package_versions(PACKAGES)},
        "machine": {
            "platform": platform.platform(),
            "processor": _processor(),
            "num_cpus": os.cpu_count(),
            "num_processes": here().size,
            "num_threads": _num_threads(),
        },
        "command": sys.argv,
    }


def code_version() -> dict[str, Any]:
    """Commit and dirty flag of this checkout; None where the code runs from an installed wheel."""
    checkout = Path(__file__).resolve().parent.parent
    if not (checkout / ".git").exists():
        return {"commit": None, "dirty": None}
    try:
        commit = _git(checkout, "rev-parse", "HEAD")
        dirty = bool(_git(checkout, "status", "--porcelain"))
    except (OSError, subprocess.CalledProcessError):  # no git, or no commit yet
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": dirty}


def code_line() -> str:
    """The code in a header."""
    code = code_version()
    if code["commit"] is None:
        return "installed, not a git checkout"
    return f"commit {code['commit'][:12]}{', uncommitted changes' if code['dirty'] else ''}"


def package_versions(packages: Sequence[str]) -> dict[str, str | None]:
    """The installed version of each package; None: it is not installed."""
    versions: dict[str, str | None] = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def peak_memory_gib() -> float:
    """The largest resident memory of this process so far, in GiB.

    In a sweep within one process, that of all of its runs so far.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 2**30, 3)


def _git(checkout: Path, *arguments: str) -> str:
    command = ["git", "-C", str(checkout), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _num_threads() -> int | None:
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
