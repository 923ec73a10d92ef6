"""What is planted in a prompt is found, and what is not there is not."""

from dataclasses import replace

import numpy as np
import pytest

from prompt_tuning.inspection.inspection_text import row_lines, summary_lines
from prompt_tuning.inspection.measures import drift, norm_measures, shared_stems, stem, tightness
from prompt_tuning.inspection.neighbours import Vocabulary, unit
from prompt_tuning.inspection.prompt_map import map_axes, on_map
from prompt_tuning.inspection.prompt_statistics import Question, label_measures, statistics_of

H, NUM_CLUSTERS, NUM_OTHERS = 48, 8, 600
STEMS = ["tech", "move", "food", "river", "stone", "light", "music", "paper"]
ENDS = ["nology", "nologies", "nological", "nique", "nician"]


@pytest.fixture(scope="module")
def centres():
    """The middle of each cluster, [NUM_CLUSTERS, H]."""
    return unit(np.random.default_rng(3).standard_normal((NUM_CLUSTERS, H), dtype=np.float32))


@pytest.fixture(scope="module")
def vocabulary(centres):
    """Eight clusters of five words of one stem, then words that have nothing in common."""
    rng = np.random.default_rng(4)
    members = np.repeat(centres, 5, axis=0)
    members = members + 0.03 * rng.standard_normal(members.shape, dtype=np.float32)
    others = rng.standard_normal((NUM_OTHERS, H), dtype=np.float32)
    pieces = [f"▁{stem_}{end}" for stem_ in STEMS for end in ENDS]
    pieces += [f"▁{i:04d}".translate(str.maketrans("0123456789", "abcdefghij")) for i in range(600)]
    return Vocabulary(np.concatenate([members, others]), pieces, range(len(pieces)))


def question(vocabulary, **changed):
    """One about no labels and no texts."""
    values = {"label_ids": {}, "domain": frozenset(), "has_label_rows": False}
    return Question(vocabulary, 5, **{**values, **changed})


def test_planted_clusters_are_found_and_random_vectors_have_none(vocabulary, centres):
    """Section 7: the neighbours of a trained row form clusters, those of random vectors none."""
    found, _ = statistics_of(question(vocabulary), 40 * centres, None, num_draws=3, seed=0)
    prompt, random = (found["measures"][name] for name in ("prompt", "random"))
    assert prompt["tightness"] > 0.9 > 0.3 > random["tightness"]
    assert prompt["lexical_clusters"] == 1 > 0.3 > random["lexical_clusters"]
    assert prompt["nearest_cosine"] > 0.9 > random["nearest_cosine"]
    assert (prompt["rows_sharing"], prompt["distinct"]) == (0, 1)
    assert found["measures"]["init"] is None and found["drift"] is None
    assert random == question(vocabulary).ask_random(centres.shape, num_draws=3, seed=0)
    assert random != question(vocabulary).ask_random(centres.shape, num_draws=3, seed=1)


def test_rows_that_share_neighbours_are_counted(vocabulary, centres):
    """Two rows in one cluster share all five, the third shares none: 10 of 15 are different."""
    rows = centres[[0, 0, 1]] * np.array([[1], [7], [1]], np.float32)
    measures = question(vocabulary).ask(rows).measures
    assert measures["rows_sharing"] == pytest.approx(2 / 3)
    assert measures["distinct"] == pytest.approx(10 / 15)


def test_words_of_the_domain_are_a_share_of_the_different_neighbours(vocabulary, centres):
    """Of 15 neighbours, 10 different ones, the texts have the 5 of one cluster and one other."""
    asked = question(vocabulary, domain=frozenset([0, 1, 2, 3, 4, 100]))
    found, _ = statistics_of(asked, centres[[0, 0, 1]], None, num_draws=1, seed=0)
    assert found["measures"]["prompt"]["domain_share"] == pytest.approx(5 / 10)
    assert found["domain"]["vocabulary_share"] == pytest.approx(6 / 640)
    top = found["domain"]["top_pieces"]
    assert {piece["piece"] for piece in top} == {f"▁tech{end}" for end in ENDS}
    assert {piece["rows"] for piece in top} == {2}


@pytest.mark.parametrize(
    ("piece", "expected"),
    [("▁Technology", "tech"), ("TECHNO", "tech"), ("▁the", None), ("100%", None), ("▁a-bcd", None)],
)
def test_a_stem_is_four_letters(piece, expected):
    assert stem(piece) == expected


def test_a_lexical_cluster_is_two_neighbours_of_one_stem():
    """Words of fewer letters tell nothing: two of these four pieces have the stem of another."""
    pieces = ["▁Tech", "▁the", "technical", "▁the"]
    among = Vocabulary(np.eye(4, dtype=np.float32), pieces, range(4))
    assert shared_stems(among) == 0.5
    rows = np.array([[3, 2, 1, 0], [3, 2, 0, 1]], np.float32)
    assert replace(question(among), top_k=3).ask(rows).measures["lexical_clusters"] == 0.5


def test_tightness_norms_and_drift_are_those_computed_by_hand():
    """Tightness is the mean cosine of two."""
    assert tightness(np.array([[1, 0], [0, 1], [1, 0]], np.float32)) == pytest.approx(1 / 3)
    rows = np.array([[3, 4], [0, 1]], np.float32)
    norms = norm_measures(rows)
    assert (norms["mean"], norms["min"], norms["max"]) == (3, 1, 5)
    assert norms["sd"] == pytest.approx(np.sqrt(8)) and norm_measures(rows[:1])["sd"] is None
    assert norms["rms"] == pytest.approx(np.sqrt(26 / 4))
    moved = drift(rows, np.array([[3, 4], [1, 0]], np.float32))
    assert moved["cosines"] == [1, 0]
    assert moved["distances"] == pytest.approx([0, np.sqrt(2)], abs=1e-4)
    assert moved["mean_cosine"] == pytest.approx(0.5)
    assert moved["rms"] == pytest.approx(np.sqrt(2 / 4))


LABELS = {"entailment": [0, 1], "not_entailment": [2, 0, 1], "maybe": [3, 4]}
ROWS = np.array(
    [
        [9, 8, 1, 7, 0, 0, 0, 0],  # entailment's own: cannot be looked for
        [0, 0, 9, 8, 0, 0, 0, 0],  # not_entailment's own: number 1
        [0, 0, 9, 1, 8, 7, 6, 0],  # maybe's own: number 5
    ],
    np.float32,
)


def about_labels(**changed):
    """One direction a piece; the last are single letters."""
    pieces = ["▁ent", "ail", "▁not", "▁may", "b", *"cde"]
    values = {"label_ids": LABELS, "has_label_rows": True, **changed}
    asked = question(Vocabulary(np.eye(8, dtype=np.float32), pieces, range(8)), **values)
    return replace(asked, top_k=2)


def test_labels_are_looked_for_in_their_own_row_and_in_all():
    """A rank counts pieces that are nearer; row i is label i's where the initialisation says so.

    A label is known by the pieces that no other has.
    """
    assert about_labels().own_places == {"entailment": [], "not_entailment": [2], "maybe": [3]}
    labels = about_labels().ask(ROWS).labels
    keys = ("rows", "best_rank", "own_rank")
    found = [tuple(label[key] for key in keys) for label in labels]
    assert found == [(None, None, None), (2, 1, 1), (1, 2, 5)]
    assert label_measures(labels, 2) == {
        "labels_found": 1,
        "labels_in_several": 0.5,
        "label_rows": 1.5,
        "labels_persist": 0.5,
    }
    assert "labels_persist" not in about_labels(has_label_rows=False).ask(ROWS).measures
    # Class-label initialisation leaves out the labels that a short prompt has no room for.
    short = about_labels(label_ids={"not": [2], "maybe": [3]}).ask(np.eye(8, dtype=np.float32)[[2]])
    assert [label["own_rank"] for label in short.labels] == [1, None]


def test_without_texts_or_labels_their_measures_are_absent(vocabulary, centres):
    """What was not measured is missing, not 0."""
    unknown = {"domain_share", "labels_found", "labels_persist"}
    assert not unknown & {*question(vocabulary).ask(centres).measures}
    assert "domain_share" in question(vocabulary, domain={1}).ask(centres).measures


def test_the_map_has_the_axes_of_most_variance(vocabulary):
    stretched = vocabulary.embedding * np.geomspace(30, 1, H, dtype=np.float32)
    among = Vocabulary(stretched, vocabulary.pieces, vocabulary.token_ids)
    centre, axes = map_axes(among)
    assert np.abs(axes).argmax(axis=1).tolist() == [0, 1]
    places = on_map(stretched, centre, axes)
    spread = places.std(axis=0)
    every = (among.directions - centre).std(axis=0)
    assert spread[0] >= every.max() - 1e-6 and spread[0] > spread[1]


def test_the_terminal_shows_some_rows_and_a_dash_for_what_is_not_known(vocabulary, centres):
    found, _ = statistics_of(question(vocabulary), centres, None, num_draws=1, seed=0)
    text = "\n".join(summary_lines(found))
    assert "tightness" in text and " - " in text and "nan" not in text
    rows = [{"row": i, "neighbours": [{"piece": "▁a", "cosine": 0.5}]} for i in range(3)]
    assert len([*row_lines(rows, None)]) == 4
    assert "2 more rows" in [*row_lines(rows, 1)][-1]
