"""Probes of a model in pre-training: asked as its objective asks, right only if every piece is."""

import pytest
import torch
from transformers import AutoTokenizer

from prompt_tuning.ladder.running_text import probes
from prompt_tuning.ladder.world import LADDER_WORLD, World
from prompt_tuning.models.frozen_t5 import PackedT5
from prompt_tuning.models.loading import load_weights
from prompt_tuning.pretraining.held_out import WorldProbes


@pytest.mark.parametrize(
    ("mark", "wrong_piece", "score"),
    [
        ("", None, 1),
        ("", 0, 0),
        ("<extra_id_0>", None, 1),
        ("<extra_id_0>", 0, 1),
        ("<extra_id_0>", 1, 0),
    ],
)
def test_a_question_is_continued_or_its_masked_answer_filled_in_and_all_pieces_count(
    tiny_folder, monkeypatch, mark, wrong_piece, score
):
    """A model that errs in one piece of every row; span corruption's sentinel is no piece."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    asked = []

    def encode(self, rows):
        asked.extend(tokenizer.decode(ids) for ids in rows.inputs)

    def target_logits(self, encoded, targets):
        asked.extend(tokenizer.decode(ids) for ids in targets)
        said = [ids.clone() for ids in targets]
        for ids in said if wrong_piece is not None else ():
            ids[wrong_piece] += 1
        return torch.nn.functional.one_hot(torch.cat(said), self.vocab_size).float()

    monkeypatch.setattr(PackedT5, "encode", encode)
    monkeypatch.setattr(PackedT5, "target_logits", target_logits)
    model = PackedT5(*load_weights(str(tiny_folder), device=torch.device("cpu")))
    scores = WorldProbes(tokenizer, masks_spans=bool(mark), num_probes=5).measure(model)
    expected = []
    for of_kind in probes(World(LADDER_WORLD), 5).values():
        expected += [f"{question}{mark}</s>" for question, _ in of_kind]
        expected += [f"{mark}{answer}" for _, answer in of_kind]
    assert [text.replace(" ", "") for text in asked] == [text.replace(" ", "") for text in expected]
    assert set(scores.values()) == {float(score)}
