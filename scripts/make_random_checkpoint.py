"""Writes a T5 v1.1 with random weights as a folder in the hub's layout.

It makes every path of the real checkpoints runnable where there is no hub:

    python scripts/make_random_checkpoint.py small /tmp/t5-small-random \
        --vocabulary ../shared/data/t5_vocab/t5_vocab
    ptune train task=rte data.dir=../shared/data model.path=/tmp/t5-small-random recipe=paper

The vocabulary is T5's own SentencePiece model (spiece.model of any T5 on the hub). XL takes 11 GiB
of memory and disk, XXL 42.
"""

import argparse
from pathlib import Path

from prompt_tuning.models.random_checkpoint import write_random_checkpoint
from prompt_tuning.shapes import SHAPES


def main() -> None:
    """Parses the command line and writes the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("size", choices=SHAPES)
    parser.add_argument("folder", type=Path, help="created; must not exist")
    parser.add_argument("--vocabulary", type=Path, required=True, help="a SentencePiece model")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: 0)")
    arguments = parser.parse_args()
    if arguments.folder.exists():
        parser.error(f"{arguments.folder} exists")
    if not arguments.vocabulary.is_file():
        parser.error(f"{arguments.vocabulary} is no file")
    shape = SHAPES[arguments.size]
    write_random_checkpoint(arguments.folder, shape, arguments.vocabulary, seed=arguments.seed)
    print(f"{arguments.folder}: T5 v1.1 {arguments.size} with random weights")


if __name__ == "__main__":
    main()
