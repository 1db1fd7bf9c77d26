"""Manifests: records by offset, the index, and errors for other folders."""

import pickle

import numpy as np
import pytest

from amphion_core.component import Utterance
from amphion_core.data.manifest import Manifest, Record
from amphion_core.errors import DataError

TONE = np.sin(np.arange(8000) / 9).astype(np.float32)


@pytest.fixture
def folder(prepared):
    return prepared({"train": {"a": TONE, "b": TONE[:4000], "ü": TONE[:2000]}, "dev": {"d": TONE}})


def test_records_come_by_number_and_in_order(folder):
    manifest = Manifest(folder)
    assert [record.utterance.id for record in manifest] == ["a", "b", "ü"]
    assert manifest[2].utterance.id == "ü"
    assert manifest[1].utterance.path == str(folder / "b.wav")
    assert manifest.durations.tolist() == [0.5, 0.25, 0.125]
    assert len(Manifest(folder, "dev")) == 1


def test_a_record_is_the_same_after_writing_and_reading():
    record = Record(Utterance("x", "a/b.flac", 1.25, 3.5, "hello", "spk", "de", extra={"fold": "1"}), 44100, "ab")
    assert Record.parse(record.line(), "here") == record


def test_a_manifest_goes_to_another_process_without_its_records(folder):
    manifest = Manifest(folder)
    assert manifest[0].rate == 16000
    data = pickle.dumps(manifest)
    assert b"digest-a" not in data
    assert pickle.loads(data)[1].utterance.id == "b"


def test_a_changed_manifest_gets_a_new_index_and_another_digest(folder):
    before = Manifest(folder)
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "train.jsonl").write_text("".join(lines[1:]), encoding="utf-8")
    after = Manifest(folder)
    assert after[0].utterance.id == "b"
    assert len(after) == 2
    assert before.digest != after.digest
    assert len(list(folder.glob(".train-*.npy"))) == 1


def test_a_folder_that_is_not_prepared_is_an_error_with_the_command_that_prepares_it(tmp_path):
    with pytest.raises(DataError, match=r"no dataset\.yaml") as caught:
        Manifest(tmp_path)
    assert "amphion prepare" in caught.value.hint


def test_a_missing_split_names_those_that_are_there(folder):
    with pytest.raises(DataError, match="no split 'test'") as caught:
        Manifest(folder, "test")
    assert caught.value.hint == "it has: dev, train"


def test_a_broken_line_is_named(folder):
    with (folder / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "broken"}\n')
    with pytest.raises(DataError, match=r"line 4 of .*train\.jsonl is not a manifest record"):
        Manifest(folder)


def test_audio_that_moved_is_an_error_with_the_file_to_change(folder):
    (folder / "a.wav").rename(folder / "elsewhere.wav")
    with pytest.raises(DataError, match="has moved: there is no") as caught:
        Manifest(folder).require_audio()
    assert "dataset.yaml" in caught.value.hint
