"""The folder and the record of a run: what was run, on what, and what came out.

The record is written last, by atomic rename: a folder with a record is a finished run. One process
at a time works in a folder.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from prompt_tuning.errors import UserError
from prompt_tuning.locking import locked

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


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run; its name ends in the hash of the run's config."""

    path: Path

    @property
    def name(self) -> str:
        """Also the run's name in W&B."""
        return self.path.name

    @property
    def record_path(self) -> Path:
        """Exists once the run is finished."""
        return self.path / "record.json"

    @property
    def resume_path(self) -> Path:
        """Where an unfinished run goes on."""
        return self.path / "resume.pt"

    @property
    def prompt_path(self) -> Path:
        """The prompt of the best step."""
        return self.path / "prompt.safetensors"

    @property
    def prompt_text_path(self) -> Path:
        """The examples that a frozen model is shown, as text (prompt design)."""
        return self.path / "prompt.txt"

    @property
    def model_path(self) -> Path:
        """The model of the best step, a folder in the hub's layout."""
        return self.path / "model"

    @property
    def log_path(self) -> Path:
        """What the run said on the terminal."""
        return self.path / "log.txt"

    @property
    def config_path(self) -> Path:
        """Exists once the run has started."""
        return self.path / "config.json"

    @property
    def lock_path(self) -> Path:
        """Locked while a process works on the run."""
        return self.path / "lock"

    @property
    def failure_path(self) -> Path:
        """Exists if the last attempt failed."""
        return self.path / "failure.json"

    @property
    def cache(self) -> Path:
        """Shared by the runs beside this one."""
        return self.path.parent / "cache"

    def predictions_path(self, of: int | str = "predictions", task: str = "") -> Path:
        """Predictions of a step while training, or of a finished prompt under a name.

        Those of one task among several have a folder by its name.
        """
        name = of if isinstance(of, str) else f"step-{of:06d}"
        return self.path / "predictions" / task / f"{name}.jsonl"

    def record(self) -> dict[str, Any] | None:
        """The record of a finished run; None of any other."""
        return _read_json(self.record_path)

    def failure(self) -> dict[str, Any] | None:
        """What the last attempt failed of; None if it did not fail."""
        return _read_json(self.failure_path)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """The run is this process's own; an exception inside leaves its reason in failure.json.

        Raises:
            InProgress: another process has claimed it.
        """
        with locked(self.lock_path, self.name):
            self.failure_path.unlink(missing_ok=True)
            try:
                yield
            except Exception as error:
                self._fail(error)
                raise

    def start(self, config: Mapping[str, Any]) -> None:
        """Makes the folder, plainly unfinished, with the resolved config in it."""
        self.path.mkdir(parents=True, exist_ok=True)
        if self.record_path.exists():
            self.resume_path.unlink(missing_ok=True)  # of a process that died as it finished
            self.record_path.unlink()
        write_json(self.config_path, config)

    def finish(self, record: Mapping[str, Any]) -> Path:
        """Marks the run as finished; nothing is left to resume."""
        write_json(self.record_path, record)
        self.resume_path.unlink(missing_ok=True)
        return self.record_path

    def _fail(self, error: Exception) -> None:
        """Writes the reason down; where that fails too, the error says so."""
        failure = {
            "error": str(error) if isinstance(error, UserError) else _named(error),
            "is_users": isinstance(error, UserError),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": sys.argv,
            "traceback": "".join(traceback.format_exception(error)),
        }
        try:
            write_json(self.failure_path, failure)
        except OSError as reason:
            error.add_note(f"{self.failure_path} could not be written: {reason}")


def write_json(path: Path, value: Mapping[str, Any]) -> Path:
    """Writes indented JSON by atomic rename: what exists is whole."""
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    unfinished.replace(path)
    return path


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return value


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def environment() -> dict[str, Any]:
    """The code and the machine: commit, dirty flag, versions, processor."""
    return {
        **code_version(),
        "versions": {"python": platform.python_version(), **_package_versions()},
        "machine": {
            "platform": platform.platform(),
            "processor": _processor(),
            "num_cpus": os.cpu_count(),
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


def peak_memory_gib() -> float:
    """The largest resident memory of this process so far, in GiB.

    In a sweep within one process, that of all of its runs so far.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 2**30, 3)


def _git(checkout: Path, *arguments: str) -> str:
    command = ["git", "-C", str(checkout), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _package_versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
