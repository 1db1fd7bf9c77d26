"""Manifests: records by offset, the index, and errors for other folders."""

import json
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


GOOD = {"id": "a", "path": "a.wav", "duration": 0.5, "rate": 16000, "digest": "digest-a"}
WRONG = [
    ({"duration": -1}, "duration is -1, but must be a positive number of seconds"),
    ({"duration": 0}, "duration is 0, but must be"),
    ({"duration": float("nan")}, "duration is nan, but must be"),
    ({"duration": float("inf")}, "duration is inf, but must be"),
    ({"duration": "0.5"}, "duration is '0.5', but must be"),
    ({"duration": True}, "duration is True, but must be"),
    ({"duration": 10**30}, "duration is 1000000000000000000000000000000, but must be"),
    ({"duration": None}, "duration is None, but must be"),
    ({"start": -0.5}, "start is -0.5, but must be a number of seconds, at least 0"),
    ({"start": float("nan")}, "start is nan, but must be"),
    ({"rate": 0}, "rate is 0, but must be a whole number of Hz"),
    ({"rate": 22050.5}, "rate is 22050.5, but must be"),
    ({"rate": True}, "rate is True, but must be"),
    ({"rate": 2**63}, "rate is 9223372036854775808, but must be"),
    ({"rate": "16000"}, "rate is '16000', but must be"),
    ({"id": 5}, "id is 5, but must be a text that is not empty"),
    ({"id": ""}, "id is '', but must be"),
    ({"id": ["a"]}, r"id is \['a'\], but must be"),
    ({"path": 5}, "path is 5, but must be a path"),
    ({"path": ""}, "path is '', but must be a path"),
    ({"path": "a\0b.wav"}, "path is .*, but must be a path"),
    ({"path": "../secret.wav"}, "path is '../secret.wav', but must be a path, relative to the root or absolute"),
    ({"path": "a/../../b.wav"}, "path is .*, but must be a path"),
    ({"digest": 7}, "digest is 7, but must be a text"),
    ({"digest": ""}, "digest is '', but must be a text"),
    ({"text": None}, "text is None, but must be a text"),
    ({"text": {"a": 1}}, "text is {'a': 1}, but must be a text"),
    ({"text": "\ud800"}, "half of a surrogate pair"),
    ({"speaker": 3}, "speaker is 3, but must be a text"),
    ({"extra": ["a"]}, r"extra is \['a'\], but must be an object in braces"),
    ({"durations": 1}, "unknown field 'durations'; duration is meant"),
    ({"self": 1}, "unknown field 'self'"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_wrong_field_is_named_with_its_line(folder, change, message):
    with (folder / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(GOOD | {"id": "new"} | change) + "\n")
    with pytest.raises(DataError, match=rf"line 4 of .*train\.jsonl is not a manifest record: .*{message}") as caught:
        Manifest(folder)
    assert caught.value.hint


@pytest.mark.parametrize("field", ["id", "path", "duration", "rate", "digest"])
def test_a_missing_field_is_named(field):
    line = json.dumps({key: value for key, value in GOOD.items() if key != field})
    with pytest.raises(DataError, match=rf"^here is not a manifest record: it has no {field}\n"):
        Record.parse(line, "here")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "it is not JSON"),
        (b"\n", "it is not JSON"),
        (b"a|text", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"\0", "it is not JSON"),
        (b"5", "not an object in braces"),
        (b'["a"]', "not an object in braces"),
        (b"null", "not an object in braces"),
        (b"[" * 20_000, "nested too deep"),
        (b'{"a":' * 20_000, "nested too deep"),
        (b'{"duration": ' + b"1" * 5000 + b"}", "it is not JSON"),
    ],
)
def test_a_line_that_is_no_record_has_a_reason(line, message):
    with pytest.raises(DataError, match=message):
        Record.parse(line, "here")


def test_two_records_with_one_id_are_refused(folder):
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "train.jsonl").write_text("".join([*lines, lines[1]]), encoding="utf-8")
    with pytest.raises(DataError, match=r"lines 2 and 4 of .*train\.jsonl have the same id 'b'"):
        Manifest(folder)


def test_a_damaged_index_is_written_again(folder):
    expected = Manifest(folder).index.tolist()
    file = next(folder.glob(".train-*.npy"))
    data = file.read_bytes()
    other = np.array([(10**6, 1.0, 16000)], Manifest(folder).index.dtype)
    damaged = [data[:at] + bytes([data[at] ^ 0x21]) + data[at + 1 :] for at in range(10, 70)]
    for content in (b"", b"x", data[:40], data[:-1], np.zeros(3).tobytes(), *damaged):
        file.write_bytes(content)
        assert Manifest(folder).index.tolist() == expected
    for array in (other, np.zeros(3), np.zeros((2, 2), other.dtype)):
        np.save(file, array)
        assert Manifest(folder).index.tolist() == expected


def test_a_folder_that_cannot_be_written_is_read_all_the_same(folder, monkeypatch):
    def refuse(path):
        raise DataError(f"{path} cannot be written")

    monkeypatch.setattr("amphion_core.data.manifest.atomic_write", refuse)  # the tests may run as root
    assert [record.utterance.id for record in Manifest(folder)] == ["a", "b", "ü"]
    assert Manifest(folder)[2].utterance.id == "ü"
    assert not list(folder.glob(".train-*.npy"))


@pytest.mark.parametrize("about", ["", "root: null", "root: 5", "- a", "text", "reader: {name: folder}", 'root: ""'])
def test_a_prepared_folder_without_a_root_is_an_error(folder, about):
    (folder / "dataset.yaml").write_text(about, encoding="utf-8")
    with pytest.raises(DataError, match=r"dataset\.yaml has no root"):
        Manifest(folder)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_no_file_can_have_is_an_error(folder, name):
    with pytest.raises(DataError, match="is not a prepared folder"):
        Manifest(folder / name)
    with pytest.raises(DataError, match="has no split"):
        Manifest(folder, name)


@pytest.mark.parametrize("words", [(None,), (5,), (b"folder",), (".", 5), (".", None)])
def test_names_of_another_type_are_one_sentence(words):
    with pytest.raises(DataError, match="a manifest is named by a folder and a split"):
        Manifest(*words)
