"""Probes of a model in pre-training: asked as its objective asks, right only if every piece is."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer

from prompt_tuning.ladder.probe_questions import probes
from prompt_tuning.ladder.world import LADDER_WORLD, World
from prompt_tuning.models.frozen_t5 import PackedT5
from prompt_tuning.models.loading import load_weights
from prompt_tuning.pretraining.held_out import WorldProbes

NUM_PROBES = 5


def asked(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, *, masks_spans: bool, wrong_piece: int
) -> tuple[list[str], list[str], dict[str, float]]:
    """All inputs and targets as text, and the scores of a model that errs in one piece a row."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    inputs, targets = [], []

    def encode(self: PackedT5, rows: object) -> None:
        inputs.extend(tokenizer.decode(ids) for ids in rows.inputs)  # type: ignore[attr-defined]

    def target_logits(self: PackedT5, encoded: None, of_rows: list[Tensor]) -> Tensor:
        targets.extend(tokenizer.decode(ids) for ids in of_rows)
        said = [ids.clone() for ids in of_rows]
        for ids in said:
            if wrong_piece < len(ids):
                ids[wrong_piece] += 1
        return torch.nn.functional.one_hot(torch.cat(said), self.vocab_size).float()

    monkeypatch.setattr(PackedT5, "encode", encode)
    monkeypatch.setattr(PackedT5, "target_logits", target_logits)
    model = PackedT5(*load_weights(str(tiny_folder), device=torch.device("cpu")))
    scores = WorldProbes(tokenizer, masks_spans=masks_spans, num_probes=NUM_PROBES).measure(model)
    return inputs, targets, scores


@pytest.mark.parametrize(("masks_spans", "mark"), [(False, ""), (True, "<extra_id_0>")])
def test_a_question_is_continued_or_its_masked_answer_is_filled_in(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, masks_spans: bool, mark: str
) -> None:
    inputs, targets, scores = asked(
        tiny_folder, monkeypatch, masks_spans=masks_spans, wrong_piece=10_000
    )
    expected = [p for of_kind in probes(World(LADDER_WORLD), NUM_PROBES).values() for p in of_kind]
    spaceless = [text.replace(" ", "") for text in (*inputs, *targets)]
    assert spaceless == [
        *(f"{probe.question}{mark}</s>".replace(" ", "") for probe in expected),
        *(f"{mark}{probe.answer}" for probe in expected),
    ]
    assert set(scores.values()) == {1.0}


@pytest.mark.parametrize(
    ("masks_spans", "wrong", "score"), [(False, 0, 0), (True, 0, 1), (True, 1, 0)]
)
def test_one_wrong_piece_is_a_wrong_answer_and_the_sentinel_is_no_piece_of_it(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, masks_spans: bool, wrong: int, score: int
) -> None:
    _, _, scores = asked(tiny_folder, monkeypatch, masks_spans=masks_spans, wrong_piece=wrong)
    assert set(scores.values()) == {float(score)}
