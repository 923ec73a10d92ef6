#!/usr/bin/env python
"""Counts the token lengths of real training sets: the profiles that `ptune bench` draws from.

    python scripts/bench_profiles.py ../shared/data --vocabulary ../shared/data/t5_vocab/t5_vocab

Lengths only, EOS included, of the text that a run would train on; no text is kept.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import AutoTokenizer

from prompt_tuning.bench.settings import COUNTED
from prompt_tuning.bench.workload import PROFILES_PATH
from prompt_tuning.data.sources import DataSpec, load_split
from prompt_tuning.data.tokenization import encode_split
from prompt_tuning.models.random_checkpoint import write_tokenizer
from prompt_tuning.task_registry import TASKS


def main() -> None:
    """Parses the command line and writes the package's file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="a folder of official files")
    parser.add_argument("--vocabulary", type=Path, required=True, help="T5's SentencePiece model")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        write_tokenizer(Path(folder), arguments.vocabulary)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    profiles = {}
    for name in COUNTED:
        split = load_split(TASKS[name], "train", DataSpec(source="local", dir=arguments.data))
        encoded = encode_split(split.examples, tokenizer)
        lengths = (Counter(map(len, rows)) for rows in (encoded.inputs, encoded.targets))
        input_lengths, target_lengths = (sorted(counts.items()) for counts in lengths)
        profiles[name] = {
            "source": "/".join(Path(split.provenance["file"]).parts[-2:]),
            "sha256": split.provenance["sha256"],
            "num_examples": len(split.examples),
            "input_lengths": input_lengths,
            "target_lengths": target_lengths,
        }
    lines = [f'"{name}": {json.dumps(profile)}' for name, profile in profiles.items()]
    PROFILES_PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
