"""What happens to files: a full disk, a power failure, a bad sector, a wrong copy."""

import os
import random
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[Path], object]
RUN = [  # the run whose files are damaged
    *("train", "model=ladder_100k", "tracking=none", "output_dir=runs", "training.num_steps=4"),
    *("evaluation.every_steps=2", "evaluation.num_examples=8"),
]


def _flip(path):
    """One bit of one byte, a third of the way in: the same at every run."""
    content = bytearray(path.read_bytes())
    if content:
        content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size + 8)),
    "random": lambda path: path.write_bytes(random.Random(0).randbytes(300)),
    "flipped": _flip,
    "wrong type": lambda path: path.write_text("[1, 2]"),
    "no text": lambda path: path.write_bytes(b"\xff\xfe{\x00"),
    "deep": lambda path: path.write_text("[" * 100_000),
}
