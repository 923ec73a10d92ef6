"""Documents from text files, and from folders in the hub's layout."""

import gzip
import json

import pytest

from prompt_tuning.errors import UserError
from prompt_tuning.pretraining.documents import hub_text, local_text, world_text


def test_a_document_ends_at_an_empty_line_and_a_paragraph_with_its_line(tmp_path):
    text = "\ufeff\nA one.\r\nA two.\u2028still\rtwo.\n\n \n\nB one.\n\n"
    (tmp_path / "a.txt").write_text(text, encoding="utf-8", newline="")
    documents = list(local_text(str(tmp_path / "a.txt")).documents())
    assert documents == ["A one.\nA two.\u2028still\rtwo.", "B one."]


@pytest.mark.parametrize("pattern", ["", "*.txt", "[ab].txt"])
def test_a_folder_or_a_pattern_is_read_in_the_order_of_names(tmp_path, monkeypatch, pattern):
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text(f"{name} first\n\n{name} second\n")
    (tmp_path / "readme.md").write_text("no text of the corpus")
    expected = ["a.txt first", "a.txt second", "b.txt first", "b.txt second"]
    assert list(local_text(str(tmp_path / pattern)).documents()) == expected
    monkeypatch.chdir(tmp_path)
    assert list(local_text(pattern or ".").documents()) == expected


def test_the_identity_changes_with_the_content_and_not_with_the_place(tmp_path):
    for folder, text in (("x", "one"), ("y", "one"), ("z", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(text)
    x, y, z = (local_text(str(tmp_path / folder)).identity for folder in "xyz")
    assert x == y != z


def test_no_file_and_a_file_of_bytes_are_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="no text file at"):
        local_text(str(tmp_path / "none*.txt"))
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"a\.txt: cannot be read"):
        list(local_text(str(tmp_path / "a.txt")).documents())


def test_the_real_text_has_the_documents_that_its_inventory_counts(shared_data):
    """The real text: Wikipedia articles and novels."""
    for name, count in (("novels_val.txt", 1), ("wikipedia_val.txt", 66)):
        assert len(list(local_text(str(shared_data / "text" / name)).documents())) == count


@pytest.fixture
def hub_folder(tmp_path, monkeypatch):
    """A folder as allenai/c4 is laid out: compressed JSON lines, named in the README's head."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    repo = tmp_path / "c4"
    (repo / "en").mkdir(parents=True)
    for shard in (0, 1):
        rows = [{"text": f"{shard} {i}", "timestamp": "t", "url": "u"} for i in (0, 1)]
        with gzip.open(repo / "en" / f"c4-train.0000{shard}-of-00002.json.gz", "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    (repo / "README.md").write_text(
        "---\nconfigs:\n- config_name: en\n  data_files:\n  - split: train\n"
        "    path: en/c4-train.*.json.gz\n---\n"
    )
    return repo


def test_compressed_json_lines_of_the_hub_are_streamed(hub_folder, tmp_path):
    source = hub_text(str(hub_folder), "en")
    assert list(source.documents()) == ["0 0", "0 1", "1 0", "1 1"]
    assert list(source.documents()) == ["0 0", "0 1", "1 0", "1 1"]
    assert not list((tmp_path / "cache").rglob("*.arrow"))


def test_a_changed_folder_is_another_source(hub_folder):
    before = hub_text(str(hub_folder), "en").identity
    (hub_folder / "en" / "c4-train.00000-of-00002.json.gz").write_bytes(b"")
    assert hub_text(str(hub_folder), "en").identity != before


def test_a_wrong_name_is_the_users_mistake(hub_folder):
    with pytest.raises(UserError, match=r"\(fr, train, column text\)") as error:
        list(hub_text(str(hub_folder), "fr").documents())
    assert "check names and network" in str(error.value)


def test_documents_are_read_only_as_far_as_they_are_wanted(hub_folder):
    """A streamed data set may be larger than any disk."""
    (hub_folder / "en" / "c4-train.00001-of-00002.json.gz").write_bytes(b"not gzip")
    documents = hub_text(str(hub_folder), "en").documents()
    assert [next(documents), next(documents)] == ["0 0", "0 1"]
    with pytest.raises(UserError):
        next(documents)


def test_the_mini_worlds_text_is_fixed_by_its_identity():
    facts = world_text("facts", 50, max_sentences=2)
    assert list(facts.documents()) == list(world_text("facts", 50, max_sentences=2).documents())
    assert len(list(facts.documents())) == 50
    others = [world_text("full", 50, max_sentences=2), world_text("facts", 50, max_sentences=3)]
    for other in others:
        assert other.identity != facts.identity
        assert list(other.documents()) != list(facts.documents())
    json.dumps(facts.identity)  # plain JSON: a corpus is cached under it
