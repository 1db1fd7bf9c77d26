"""Texts and their files: tables as people write them, ids as paths, delimiters in texts, and what has no partner."""

import unicodedata
import warnings

import pytest

from amphion_core.cli.main import main
from amphion_core.errors import DataError, RecipeError
from amphion_eval import evaluate
from amphion_eval.evaluation.pairing import pair_folders, read_pairs
from amphion_eval.evaluation.texts import read_texts


@pytest.fixture
def folder(tmp_path):
    """Writes empty files; pairing looks at names only."""

    def write(*names):
        for name in names:
            path = tmp_path / "gen" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"RIFF")
        return tmp_path / "gen"

    return write


def read(tmp_path, content, name="texts.txt"):
    path = tmp_path / name
    path.write_bytes(content.encode())
    return read_texts(path)


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("a|One.\nb|Two.\n", {"a": "One.", "b": "Two."}),
        ("a | One. \r\n\r\nb | Two.", {"a": "One.", "b": "Two."}),
        ("\ufeffa|Eins.", {"a": "Eins."}),
        ("a|Either A|B is fine", {"a": "Either A|B is fine"}),
        ("a|Either A|B is fine\nb|Two.\nc|Three.", {"a": "Either A|B is fine", "b": "Two.", "c": "Three."}),
        ("a|Yes|no|maybe so", {"a": "Yes|no|maybe so"}),
        ("a|A\u2028line, \u0085nel, \x0cfeed.\nb|Two.", {"a": "A\u2028line, \u0085nel, \x0cfeed.", "b": "Two."}),
        ('a|"quoted, start\nb|He said "hi".', {"a": '"quoted, start', "b": 'He said "hi".'}),
        ("a|spk0|Text of a.\nb|spk1|Text of b.\nc|spk0|Text of c.", {x: f"Text of {x}." for x in "abc"}),
        ("a|spk0|Text of a.", {"a": "Text of a."}),
        ("a|He paid $5 at 3.|He paid five dollars at three.", {"a": "He paid five dollars at three."}),
        ("a|A|B is fine now|A or B is fine now\nb|It is 5.|It is five.\nc|It is 6.|It is six.",
         {"a": "A or B is fine now", "b": "It is five.", "c": "It is six."}),
        ("a\tOne, two.\nb\tThree.", {"a": "One, two.", "b": "Three."}),
        ("a,One two.\nb,Three.", {"a": "One two.", "b": "Three."}),
        ("id,text\na,\"One, two.\"\nb,Three.", {"a": "One, two.", "b": "Three."}),
        ("id|text\na|One|two", {"a": "One|two"}),
        ("file,speaker,transcript\na.wav,x,One.", {"a.wav": "One."}),
        ("text,id\nOne.,a", {"a": "One."}),
    ],
)  # fmt: skip
def test_texts_are_read_as_people_write_them(tmp_path, content, texts):
    assert read(tmp_path, content) == texts


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no bar here", "line 1 has no |"), ("a|One\nb", "line 2 has no |"), ("", "contains no texts"),
        ("a|One\na|Two", "'a' has different texts in line 1 and line 2"), ("|One\n|Two", "line 1 has no id"),
        ("id,speaker\na,b", "no column text; its columns are id, speaker"), ("a|One\nb|T\0wo", "NUL"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_one_sentence(tmp_path, content, message):
    with pytest.raises(DataError) as error:
        read(tmp_path, content)
    assert message in error.value.message


@pytest.mark.parametrize(
    ("file", "id"),
    [
        ("a.wav", "a"), ("a.wav", "a.wav"), ("a.wav", "a.flac"), ("a.Wav", "a"), ("a.MP3", "a.mp3"),
        ("a.opus", "a.opus"), ("a.aiff", "wavs/a.wav"),
        ("a.flac", "/data/corpus/wavs/a.flac"), ("a.flac", "C:\\data\\a.flac"),
        ("sub/a.wav", "sub/a"), ("sub/a.wav", "sub\\a.wav"), ("sub/a.wav", "a"), ("sub/a.wav", "./sub/a.wav"),
        ("a.b.wav", "a.b"), ("A1.wav", "a1"), (unicodedata.normalize("NFD", "é.wav"), "é"),
        ("é.wav", unicodedata.normalize("NFD", "é.wav")),
    ],
)  # fmt: skip
def test_an_id_finds_its_file(folder, file, id):
    items, missing = pair_folders(folder(file), texts={id: "One."})
    assert [item.text for item in items] == ["One."] and not missing


def test_what_has_no_partner_is_named(folder):
    items, missing = pair_folders(
        folder("a.wav", "b.wav", "c.wav"), texts={"a": "One.", "c.wav": "Three.", "d": "Four."}
    )
    assert [item.text for item in items] == ["One.", None, "Three."]
    assert missing == ["b: no text", "d: text without a generated file"]


def test_two_texts_of_one_file_are_reported(folder):
    items, missing = pair_folders(folder("a.wav"), texts={"a.wav": "One.", "a.flac": "Two."})
    assert items[0].text == "One." and "'a.flac' is another text of this file" in missing[0]


def test_of_a_single_file_the_texts_of_other_files_are_no_problem(folder):
    items, missing = pair_folders(folder("a.wav", "b.wav") / "a.wav", texts={"a": "One.", "b": "Two."})
    assert [(item.id, item.text) for item in items] == [("a", "One.")] and not missing


def test_without_any_match_the_error_names_ids_and_files(folder):
    with pytest.raises(DataError) as error:
        pair_folders(folder("a.wav", "b.wav"), texts={f"x{number}": "One." for number in range(7)})
    assert "the ids are 'x0', 'x1', 'x2', 'x3', 'x4' and 2 more" in error.value.message
    assert "are 'a', 'b'" in error.value.message


def test_partners_may_have_decomposed_names(folder, tmp_path):
    generated = folder(unicodedata.normalize("NFD", "é.wav"))
    (tmp_path / "ref").mkdir()
    (tmp_path / "ref/é.flac").write_bytes(b"fLaC")
    items, missing = pair_folders(generated, {"reference": tmp_path / "ref"})
    assert items[0].reference == tmp_path / "ref/é.flac" and not missing


def test_a_table_of_pairs_keeps_delimiters_and_quotes_in_texts(folder, tmp_path):
    folder("a.wav", "b.flac")
    table = tmp_path / "pairs.csv"
    table.write_text('Generated,text\ngen/a.wav,"One, two."\ngen/b,One\u2028three, four\n', encoding="utf-8")
    items, missing = read_pairs(table)["generated"]
    assert [item.text for item in items] == ["One, two.", "One\u2028three, four"] and not missing
    assert items[1].generated == tmp_path / "gen/b.flac"


def test_the_shared_case_with_a_suffix_has_a_score(data_pack, monkeypatch, capsys):
    cases = data_pack.parent / "cases"
    if not (cases / "eval_text_with_suffix.txt").is_file():
        pytest.skip("cases/eval_text_with_suffix.txt not found beside the data pack")
    monkeypatch.setattr(
        "amphion_eval.metrics.wer._transcript", lambda *_: "Author of the Danger Trail, Philip Steels, etc."
    )
    words = [
        str(cases / "a.flac"),
        "--text",
        str(cases / "eval_text_with_suffix.txt"),
        "--metrics",
        "wer",
        "--workers",
        "1",
    ]
    assert main(["eval", *words]) == 0
    assert "wer (" in (shown := capsys.readouterr().out) and "normalization readings" in shown and "0.000" in shown


def test_folders_may_be_texts_and_wrong_types_are_named(folder):
    made = str(folder("a.wav"))
    items, _ = pair_folders(made, {"reference": made})
    assert items[0].reference == items[0].generated
    with pytest.raises(RecipeError, match=r"pair_folders\(\): 2 problems"):
        pair_folders(5, {"reference": 5})
    with pytest.raises(RecipeError, match="parts: "):
        evaluate({"voice": items}, 5)


def test_entries_that_cannot_be_read_cost_one_warning(folder):
    made = folder("a.wav", "b.m4a", "c.m4a")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        pair_folders(made, {"reference": made})
    assert [str(each.message).partition(" of ")[0] for each in caught] == ["2 entries"]
