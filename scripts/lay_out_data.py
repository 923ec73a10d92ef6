"""Lays real data out for the *_flan experiments: official names, SQuAD's dev file split by article.

Where only parts of the official sets are at hand, this is how they become a data folder:

    python scripts/lay_out_data.py <folder of data> flan_data

SuperGLUE and GLUE are linked as they are, QQP from its subset files. SQuAD has no training file
here: of its 48 dev articles every fourth is for validation, the others for training. RACE, DROP
and Quoref, extractive and in SQuAD's JSON, stand in for the MRQA files of these names.
"""

import argparse
import json
from pathlib import Path
from typing import Any

SUPERGLUE = ("BoolQ", "CB", "COPA", "MultiRC", "RTE", "ReCoRD", "WSC", "WiC")
QQP = {"train_subset.tsv": "train.tsv", "dev_subset.tsv": "dev.tsv"}
MRQA = {"race_middle_extractive.json": "RACE.jsonl", "drop_contrast_extractive.json": "DROP.jsonl"}
EVERY = 4  # one article in so many is for validation


def main() -> None:
    """Reads the two folders from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, help="folder with BoolQ/, GLUE/, SQuAD/, OOD/, ...")
    parser.add_argument("target", type=Path, help="folder for data.dir=; made if absent")
    arguments = parser.parse_args()
    lay_out(arguments.source.resolve(), arguments.target)


def lay_out(source: Path, target: Path) -> None:
    """Links and writes what the experiments read."""
    for folder in (*SUPERGLUE, "GLUE/SST-2", "GLUE/MRPC"):
        link(source / folder, target / folder)
    for name, official in QQP.items():
        link(source / "GLUE" / "QQP" / name, target / "GLUE" / "QQP" / official)
    squad = json.loads((source / "SQuAD" / "dev-v1.1.json").read_text(encoding="utf-8"))
    train, validation = split_by_article(squad)
    write(target / "SQuAD" / "train-v1.1.json", json.dumps(train))
    write(target / "SQuAD" / "dev-v1.1.json", json.dumps(validation))
    for name, official in MRQA.items():
        articles = json.loads((source / "OOD" / name).read_text(encoding="utf-8"))["data"]
        paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
        lines = "".join(json.dumps(paragraph) + "\n" for paragraph in paragraphs)
        write(target / "MRQA" / official, lines)
    link(source / "OOD" / "quoref_subset.json", target / "Quoref" / "quoref-dev-v0.1.json")


def split_by_article(squad: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A SQuAD file as two, of different articles: for training and for validation."""
    articles = sorted(squad["data"], key=lambda article: str(article["title"]))
    validation = articles[::EVERY]
    train = [article for i, article in enumerate(articles) if i % EVERY]
    return {**squad, "data": train}, {**squad, "data": validation}


def link(source: Path, target: Path) -> None:
    """A symbolic link, made anew."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(source)


def write(path: Path, text: str) -> None:
    """A file in a folder that is made if absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
