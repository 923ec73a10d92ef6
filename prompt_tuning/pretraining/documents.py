"""Where the documents of a corpus come from: local text files, a hub data set, a generator."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from prompt_tuning.errors import UserError
from prompt_tuning.files import file_facts, sha256_of
from prompt_tuning.ladder.running_text import FACTS_MIX, FULL_MIX, documents
from prompt_tuning.ladder.world import LADDER_WORLD, VERSION, World
from prompt_tuning.pretraining.schema import CorpusConfig, VocabularyConfig


@dataclass(frozen=True)
class TextSource:
    """Documents, and what tells them from others.

    Two sources of one `identity` (plain JSON) give the same documents in the same order: a corpus
    is cached under it, and a run's record holds it. A generator's is its name, version and seed.
    """

    identity: Mapping[str, Any]
    documents: Callable[[], Iterator[str]]


def text_source(corpus: CorpusConfig) -> TextSource:
    """The documents that the config names."""
    if corpus.text is not None:
        return local_text(corpus.text)
    if corpus.world is not None:
        number, max_sentences = corpus.world_documents, corpus.world_max_sentences
        return world_text(corpus.world, number, max_sentences=max_sentences)
    assert corpus.hub is not None, corpus
    return hub_text(corpus.hub, corpus.hub_config)


def texts_now(corpus: CorpusConfig, vocabulary: VocabularyConfig | None) -> dict[str, Any]:
    """What a run would be made from now, as its record has it: text, held-out text, vocabulary.

    What is no longer there is left out.
    """
    found: dict[str, Any] = {}
    with suppress(UserError):
        found["source"] = text_source(corpus).identity
    with suppress(UserError):
        if corpus.held_out_text is not None:
            found["held_out"] = {"source": local_text(corpus.held_out_text).identity}
    if vocabulary is not None and vocabulary.path is not None and Path(vocabulary.path).is_file():
        found["vocabulary"] = file_facts(Path(vocabulary.path))
    return found


def local_text(path: str) -> TextSource:
    """The documents of text files: UTF-8, a paragraph a line, an empty line between documents.

    `path` is a file, a folder (its *.txt) or a pattern; files are read in the order of their names.

    Raises:
        UserError: there is no such file.
    """
    given = Path(path).expanduser()
    folder, pattern = (given, "*.txt") if given.is_dir() else (Path(given.anchor), str(given))
    found = [given] if given.is_file() else folder.glob(pattern.lstrip("/"))
    files = sorted(file for file in found if file.is_file())
    if not files:
        raise UserError(
            f"no text file at {path}",
            allowed="a file, a folder with *.txt, or a pattern such as 'text/*_train_*.txt'",
        )
    return TextSource(
        {"files": _digests(files)}, lambda: (text for file in files for text in _read(file))
    )


def hub_text(repo: str, config: str | None) -> TextSource:
    """The training texts of a data set of the hub, such as allenai/c4 (en), streamed.

    `repo` is an id, or a local folder in the hub's layout. Of an id the newest commit is read: a
    cached corpus cannot see that it has moved.
    """
    identity: dict[str, Any] = {"hub": repo, "config": config}
    if Path(repo).is_dir():
        files = [path for path in Path(repo).rglob("*") if path.is_file()]
        identity["files"] = _digests(sorted(files))
    return TextSource(identity, lambda: _stream(repo, config))


def world_text(stage: str, num_documents: int, *, max_sentences: int) -> TextSource:
    """The first documents of the mini world's endless text, each of 1 to `max_sentences`.

    Stage "facts" is what a small model has to learn first, "full" has judgements on them.
    """
    mix, lengths = {"facts": FACTS_MIX, "full": FULL_MIX}[stage], (1, max_sentences)

    def stream() -> Iterator[str]:
        text = documents(World(LADDER_WORLD), seed=stage, mix=mix, num_sentences=lengths)
        return islice(text, num_documents)

    identity = {"world": asdict(LADDER_WORLD), "mix": dict(mix), "max_sentences": max_sentences}
    return TextSource({**identity, "documents": num_documents, "version": VERSION}, stream)


def _digests(files: Sequence[Path]) -> list[dict[str, str]]:
    return [{"name": path.name, "sha256": sha256_of(path)} for path in files]


def _read(path: Path) -> Iterator[str]:
    try:
        # Only \n ends a line: Unicode's line separator may stand inside a paragraph.
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for is_text, lines in groupby((line.strip() for line in file), key=bool):
                if is_text:
                    yield "\n".join(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def _stream(repo: str, config: str | None) -> Iterator[str]:
    import datasets  # slow to import, and needed for the hub only

    try:
        for row in datasets.load_dataset(repo, config, split="train", streaming=True):
            yield row["text"]
    except Exception as error:  # whatever the network, the hub or the files raise
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{repo} ({config}, train, column text): {type(error).__name__}: {reason}",
            fix="check names and network, or give local text files",
        ) from error
