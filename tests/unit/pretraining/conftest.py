"""A small vocabulary of this package's own making, and documents to tokenise with it."""

import random

import pytest
from sentencepiece import SentencePieceProcessor
from transformers import AutoTokenizer

from prompt_tuning.pretraining.vocabulary import write_vocabulary


@pytest.fixture(scope="session")
def required_words():
    """Words that the texts have only as the beginning of another ("no"), or not at all."""
    return ["no", "not_equivalent", "entailment", "entail", "True", "Anna"]


@pytest.fixture(scope="session")
def texts():
    """Documents of a closed world, whose words have very different frequencies."""
    rng = random.Random(0)
    nouns = ["nothing", "nothingness", "garden", "gardener", "mountain", "window"]
    verbs = ["likes", "watches", "remembers", "paints"]
    names = ["Anna", "Boris", "Clara", "Dmitri"]
    sentences = [
        f"{rng.choice(names)} {rng.choice(verbs)} the {rng.choice(nouns[: 1 + i % 6])}."
        for i in range(600)
    ]
    return [" ".join(sentences[i : i + 6]) for i in range(0, 600, 6)]


@pytest.fixture(scope="session")
def vocabulary_folder(tmp_path_factory, texts, required_words):
    folder = tmp_path_factory.mktemp("vocabulary") / "tokenizer"
    write_vocabulary(folder, texts, num_pieces=160, required_words=required_words)
    return folder


@pytest.fixture(scope="session")
def processor(vocabulary_folder):
    """The vocabulary, as SentencePiece reads it."""
    return SentencePieceProcessor(str(vocabulary_folder / "spiece.model"))


@pytest.fixture(scope="session")
def tokenizer(vocabulary_folder):
    """It, as `transformers` loads it."""
    return AutoTokenizer.from_pretrained(vocabulary_folder)
