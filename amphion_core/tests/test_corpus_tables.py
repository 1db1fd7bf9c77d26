"""Tables of corpora as people write them, each through ``amphion prepare``: whole texts, speakers, every file named."""

import json
import unicodedata

import numpy as np
import pytest
import soundfile

from amphion_core.cli.main import main

TONE = np.sin(np.arange(3200) / 7).astype(np.float32) * 0.5


def clip(path, samples=TONE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, 16000, **options)


@pytest.fixture
def prepare(tmp_path):
    """Prepares a corpus by the command; the result is {id: (speaker, text)} and the report."""

    def run(reader, root, *options, code=0):
        out = tmp_path / "out"
        assert main(["prepare", reader, str(root), str(out), "--processes", "1", *options]) == code
        lines = [line for path in out.glob("*.jsonl") for line in path.read_bytes().split(b"\n") if line]
        records = [json.loads(line) for line in lines]
        found = {record["id"]: (record.get("speaker", ""), record.get("text", "")) for record in records}
        return found, json.loads((out / "report.json").read_text(encoding="utf-8"))

    return run


@pytest.fixture
def corpus(tmp_path):
    """Writes recordings and a table: ``corpus("wavs/a1.wav a2.wav", "a1|text")``."""

    def write(files, table, name="metadata.csv"):
        root = tmp_path / "voice"
        for file in files.split():
            clip(root / file)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(table if isinstance(table, bytes) else table.encode())
        return root

    return write


CASES = {  # in ../shared/cases: what is read, in the order of the ids; None: the name of the folder
    "ljspeech_wavext": [(None, f"Text of a{n}.") for n in (1, 2, 3, 4)],
    "ljspeech_spaces": [(None, f"Text of a{n}.") for n in (1, 2, 3, 4)],
    "ljspeech_pipe": [(None, "Either A or B is fine"), (None, "y"), (None, "Quoted, start"), (None, "He said hi.")],
    "ljspeech_speaker": [(f"spk{(n + 1) % 2}", f"Text of a{n}.") for n in (1, 2, 3, 4)],
    "ljspeech_u2028": [
        (None, "Line with \u2028 separator and \x85 nel."), (None, "x\x0cy form feed."), (None, "Two."), (None, "ok"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_case_is_read_with_its_whole_text_and_its_speaker(prepare, cases, name):
    root = cases / name
    found, report = prepare("ljspeech", root)
    assert found == {f"a{n}": (speaker or name, text) for n, (speaker, text) in enumerate(CASES[name], 1)}
    assert report["files"] == {"found": 4, "read": 4, "skipped": 0}


def test_the_original_texts_keep_their_pipe_and_their_quotation_marks(prepare, cases):
    root = cases / "ljspeech_pipe"
    found, _ = prepare("ljspeech", root, "normalized=false")
    assert [text for _, text in found.values()] and {id: text for id, (_, text) in found.items()} == {
        "a1": "Either A|B is fine", "a2": "x", "a3": '"quoted, start', "a4": 'He said "hi".',
    }  # fmt: skip


def test_every_suffix_of_the_case_is_read(prepare, cases):
    root = cases / "folder_suffixes"
    found, report = prepare("folder", root)
    assert found.keys() == {"a", "c", "e", "g", "h"}
    assert report["files"] == {"found": 5, "read": 5, "skipped": 0}


NFD = unicodedata.normalize("NFD", "Bär")
NFC = unicodedata.normalize("NFC", "Bär")
V = "voice"  # the speaker of a table that names none: the folder
A2 = "wavs/a1.wav wavs/a2.wav"
TABLE = "metadata.csv"

LJSPEECH = [  # files, table, {id: (speaker, text)}
    # how the first column names a recording
    ("wavs/a1.wav", "wavs/a1.wav|x", {"a1": (V, "x")}),
    ("wavs/a1.wav", "./wavs/a1.wav|x", {"a1": (V, "x")}),
    ("wavs/a1.wav", "a1.flac|x", {"a1": (V, "x")}),
    ("wavs/a1.WAV", "a1|x", {"a1": (V, "x")}),
    ("wavs/a1.Flac", "A1.wav|x", {"A1": (V, "x")}),
    ("wavs/A1.wav wavs/a1.wav", "a1|x\nA1|y", {"a1": (V, "x"), "A1": (V, "y")}),
    ("wavs/sub/a1.wav", "sub\\a1|x", {"sub/a1": (V, "x")}),
    ("wavs/sub/a1.wav", "sub/a1.wav|x", {"sub/a1": (V, "x")}),
    ("wavs/sub/a1.wav", "a1|x", {"a1": (V, "x")}),
    ("a1.wav", "a1|x", {"a1": (V, "x")}),
    ("clips/a1.mp3", "a1.mp3|x", {"a1": (V, "x")}),
    ("wavs/a1.wav", "/elsewhere/data/voice/wavs/a1.wav|x", {"a1": (V, "x")}),
    ("wavs/a1.wav", "C:\\data\\voice\\wavs\\a1.wav|x", {"a1": (V, "x")}),
    ("wavs/a.b.wav", "a.b|x", {"a.b": (V, "x")}),
    ("wavs/a.wav wavs/a.wav.wav", "a.wav|x\na.wav.wav|y", {"a": (V, "x"), "a.wav": (V, "y")}),
    (f"wavs/{NFD}.wav", f"{NFC}|x", {NFC: (V, "x")}),
    (f"wavs/{NFC}.wav", f"{NFD}.wav|x", {NFC: (V, "x")}),
    (f"wavs/{NFD}/a.wav", f"wavs/{NFC}/a|x", {f"{NFC}/a": (V, "x")}),
    # separators and white space
    (A2, "a1 | x \na2\t|\ty\r\n", {"a1": (V, "x"), "a2": (V, "y")}),
    (A2, "a1,Hello; you\na2,x, y\n", {"a1": (V, "Hello; you"), "a2": (V, "x, y")}),
    (A2, 'a1,"Hello, you"\na2,"say ""x"""\n', {"a1": (V, "Hello, you"), "a2": (V, 'say "x"')}),
    (A2, "a1\tHello, you\na2\tx\n", {"a1": (V, "Hello, you"), "a2": (V, "x")}),
    (A2, "a1;Hello, you\na2;x\n", {"a1": (V, "Hello, you"), "a2": (V, "x")}),
    (A2, "\ufeffa1|x\r\n\r\na2|y\r\n", {"a1": (V, "x"), "a2": (V, "y")}),
    (A2, "a1|x\ra2|y\r", {"a1": (V, "x"), "a2": (V, "y")}),
    (A2, "a1|one\u2029two\x0bthree\na2|y\x1ez", {"a1": (V, "one\u2029two\x0bthree"), "a2": (V, "y\x1ez")}),
    # a delimiter inside a text
    (A2, "a1|A|B\na2|x\nwavs/a3|y", {"a1": (V, "A|B"), "a2": (V, "x")}),
    (A2, "a1|Either A|B|A or B\na2|x|y\nb|1|one", {"a1": (V, "A or B"), "a2": (V, "y")}),
    (A2, "a1|spk0|A|B\na2|spk1|x\nb|spk0|y\nc|spk1|z", {"a1": ("spk0", "A|B"), "a2": ("spk1", "x")}),
    (A2, "a1,Hello, you\na2,Well, no\n", {"a1": (V, "Hello, you"), "a2": (V, "Well, no")}),
    (A2, "a1|A | B\na2|C\n", {"a1": (V, "A | B"), "a2": (V, "C")}),
    (A2, "a1, Hello, you\na2, x\nb, y", {"a1": (V, "Hello, you"), "a2": (V, "x")}),
    (A2, "a1,It costs 1,000.\na2,It is 1,5.\nb,x", {"a1": (V, "It costs 1,000."), "a2": (V, "It is 1,5.")}),
    (A2, "a1,s,Hello, you\na2,t,Oh, no\nb,s,Ah, my\nc,t,x", {"a1": ("s", "Hello, you"), "a2": ("t", "Oh, no")}),
    (A2, 'a1,s,"Hello, you"\na2,t,"Oh, no"\nb,s,x\nc,t,y', {"a1": ("s", "Hello, you"), "a2": ("t", "Oh, no")}),
    (A2, "a1,1, 2, 3\na2,x\nb,y", {"a1": (V, "1, 2, 3"), "a2": (V, "x")}),
    # a header
    (A2, "file,text\na1.wav,Hello, you\na2.wav,x\n", {"a1": (V, "Hello, you"), "a2": (V, "x")}),
    (A2, "path\ttranscript\tspeaker\nwavs/a1.wav\tx\tann\na2\ty\tbob", {"a1": ("ann", "x"), "a2": ("bob", "y")}),
    (A2, "speaker|text|id\nann|x|a1\nbob|y|a2", {"a1": ("ann", "x"), "a2": ("bob", "y")}),
    (A2, "id|text|normalized_text\na1|1|one\na2|2|two", {"a1": (V, "one"), "a2": (V, "two")}),
    # speakers
    (A2, "a1|x y|ann\na2|y z|ann\n", {"a1": ("ann", "x y"), "a2": ("ann", "y z")}),
    (A2, "a1|ann|x y\na2|bob|y z\nb|ann|z w", {"a1": ("ann", "x y"), "a2": ("bob", "y z")}),
    (A2, "a1|0|x\na2|0|y\nb|1|z\nc|1|w", {"a1": ("0", "x"), "a2": ("0", "y")}),
    (A2, "a1|ann|en|x\na2|ann|en|y\n", {"a1": ("ann", "x"), "a2": ("ann", "y")}),
    (A2, "a1|7|seven\na2|7|seven\n", {"a1": (V, "seven"), "a2": (V, "seven")}),
    (A2, "a1|Yes.|Yes.\na2|No.|No.\n", {"a1": (V, "Yes."), "a2": (V, "No.")}),
    (A2, "a1|你好|ni3 hao3\na2|再见|zai4 jian4\n", {"a1": (V, "ni3 hao3"), "a2": (V, "zai4 jian4")}),
    (A2, "a1|x\na2||\n", {"a1": (V, "x"), "a2": (V, "")}),
]


@pytest.mark.parametrize(("files", "table", "wanted"), LJSPEECH)
def test_a_table_is_read_as_it_is_meant(prepare, corpus, files, table, wanted):
    found, report = prepare("ljspeech", corpus(files, table))
    assert found == wanted
    assert report["files"]["skipped"] == 0


FOLDER = [
    (A2, "a1|x\na2|y\n", {"wavs/a1": ("", "x"), "wavs/a2": ("", "y")}),
    (A2, "wavs/a1.wav,x\nwavs/a2.wav,y, z\n", {"wavs/a1": ("", "x"), "wavs/a2": ("", "y, z")}),
    ("x/a1.wav", "file_name,mood\nx/a1.wav,glad\n", {"x/a1": ("x", "")}),
    (
        "clips/a1.mp3", "client_id\tpath\tsentence\tup_votes\nc9\ta1.mp3\t\"Hi\", she said.\t2\n",
        {"clips/a1": ("c9", '"Hi", she said.')},
    ),
    ("a1.wav", "audio_file|text|speaker_name\na1.wav|Hello.|ann\n", {"a1": ("ann", "Hello.")}),
    ("a1.wav", "one,two\nthree,four\n", {"a1": ("", "")}),  # not a table of recordings, so the files are read
]  # fmt: skip


@pytest.mark.parametrize(("files", "table", "wanted"), FOLDER)
def test_a_folder_reads_the_same_tables(prepare, corpus, files, table, wanted):
    name = "metadata.tsv" if "\t" in table else "metadata.csv"
    found, report = prepare("folder", corpus(files, table, name))
    if wanted.keys() != found.keys():  # without a stated id, an id that is no path is used as it is
        wanted = {id.removeprefix("wavs/"): value for id, value in wanted.items()}
    assert found == wanted
    assert report["files"]["skipped"] == 0


def test_the_option_columns_settles_what_the_columns_mean(prepare, corpus):
    root = corpus(A2, "ann|x|a1\nbob|y|a2\n")
    assert prepare("ljspeech", root, "columns=[speaker,text,id]")[0] == {"a1": ("ann", "x"), "a2": ("bob", "y")}
    (root / "metadata.csv").write_text("a1|x|y|z\na2|v|w|u\n", encoding="utf-8")
    assert prepare("ljspeech", root, "columns=[id]")[0] == {"a1": (V, ""), "a2": (V, "")}
    assert prepare("ljspeech", root, "columns=[id,text]")[0] == {"a1": (V, "x|y|z"), "a2": (V, "v|w|u")}
    (root / "metadata.csv").write_text("ann|x|a1\nbob|y|a2\n", encoding="utf-8")
    assert prepare("folder", root, "columns=[-,text,path]")[0] == {"wavs/a1": ("", "x"), "wavs/a2": ("", "y")}


@pytest.mark.parametrize("table", ["a1|ann|x y\na2|bob|y z\n", "a1|Ann Lee|x y\na2|Ann Lee|y z\n"])
def test_a_column_that_may_be_the_speaker_is_pointed_out(prepare, corpus, table):
    found, report = prepare("ljspeech", corpus(A2, table))
    assert found == {"a1": (V, "x y"), "a2": (V, "y z")}
    assert [where for where, why in report["problems"] if "columns=[id,speaker,text]" in why] == ["metadata.csv"]


@pytest.mark.parametrize(
    ("table", "options", "text"),
    [
        ("a1|Either A|or B\na2|yes|no\n", [], "or B"),
        ("a1|Either A|or B\na2|yes|no\n", ["columns=[id,text]"], "Either A|or B"),
        ("a1|good day|g U d _ d eI\na2|bye now|b aI _ n aU\n", ["columns=[id,text,-]"], "good day"),
    ],
)
def test_two_texts_without_a_common_word_are_pointed_out_and_columns_settles_it(prepare, corpus, table, options, text):
    found, report = prepare("ljspeech", corpus(A2, table), *options)
    assert found["a1"] == (V, text)
    assert [where for where, why in report["problems"] if "share no word" in why] == ([] if options else [TABLE])


def test_texts_that_are_normalised_are_not_pointed_out(prepare, corpus):
    _, report = prepare("ljspeech", corpus(A2, "a1|Dr. X has 2|Doctor X has two\na2|yes|yes\n"))
    assert not report["problems"]


@pytest.mark.parametrize("table", ["a1\t|\tone text\n\ta2|two\n", "a1 \t| one text\na2\t|two\n"])
def test_tabs_around_a_pipe_are_padding(prepare, corpus, table):
    found, report = prepare("ljspeech", corpus(A2, table))
    assert found == {"a1": (V, "one text"), "a2": (V, "two")} and not report["problems"]


def test_why_a_recording_is_not_found_is_said_also_for_several_and_for_names_that_cannot_be_seen(prepare, corpus):
    root = corpus("wavs/s1/a1.wav wavs/s2/a1.wav wavs/a2.wav wavs/a3.wav", "a1|x\na2|y\n\u200ba3|z\n")
    found, report = prepare("ljspeech", root)
    assert found == {"a2": (V, "y")}
    assert report["problems"] == [
        [
            f"{TABLE} line 1",
            "several files have this name: a1; write it with its folder: wavs/s1/a1.wav, wavs/s2/a1.wav",
        ],
        [f"{TABLE} line 3", "there is no such file: \\u200ba3; its name has characters that cannot be seen"],
    ]


@pytest.mark.parametrize("split", ["../../evil", "a/b", "/tmp/x", ".hidden", "x" * 101, "中" * 90])
def test_a_split_that_is_no_name_of_a_manifest_is_skipped_and_nothing_is_written_elsewhere(prepare, corpus, split):
    root = corpus(A2, f"id,text,split\na1,x,{split}\na2,y,Train\n")
    found, report = prepare("folder", root)
    assert found == {"a2": ("", "y")} and [*report["splits"]] == ["train"]
    (skipped,) = report["files_skipped"]
    assert skipped["path"] == "wavs/a1.wav"
    assert skipped["reason"].startswith("its split cannot be the name of a manifest: ")
    assert sorted(path.name for path in root.parent.iterdir()) == ["out", V]


def test_splits_are_named_in_any_case(prepare, corpus):
    _, report = prepare("folder", corpus(A2, "id,text,split\na1,x,Train\na2,y,VALIDATION\n"))
    assert [*report["splits"]] == ["dev", "train"]


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("filelist.txt", "wavs/a1.wav|x\nwavs/a2.wav|y\n", "table=filelist.txt reads it"),
        ("train.txt", "wavs/a1.wav|x\nwavs/a2.wav|y\n", "table=train.txt reads it"),
        ("table.csv", "file;transcript\nwavs/a1.wav;x\nwavs/a2.wav;y\n", "table=table.csv reads it"),
        ("text", "a1 some words\na2 other words\n", "write it as lines id|text"),
        ("metadata.jsonl", '{"file_name": "wavs/a1.wav", "text": "x"}\n', "write it as lines id|text"),
    ],
)
def test_a_table_that_is_not_used_is_named_with_what_to_do(prepare, corpus, name, content, what):
    root = corpus(A2, content, name=name)
    _, report = prepare("folder", root)
    assert report["problems"] == [[name, f"not used, but it names recordings: {what}"]]
    if what.startswith("table="):
        assert prepare("folder", root, f"table={name}")[0]["wavs/a1"][1] == "x"


def test_a_transcript_without_a_recording_is_named_and_other_files_are_not(prepare, corpus):
    root = corpus("a3.wav " + A2, "first text", name="wavs/a1.txt")
    (root / "a3.txt").write_text("a3 is a letter and a number", encoding="utf-8")
    (root / "a8.txt").write_text("lost text", encoding="utf-8")
    (root / "wavs" / "a9.txt").write_text("lost text", encoding="utf-8")
    (root / "wavs" / "README.txt").write_text("a1 and a2", encoding="utf-8")
    (root / "notes.md").write_text("nothing about recordings", encoding="utf-8")
    found, report = prepare("folder", root)
    assert found["wavs/a1"][1] == "first text" and found["a3"][1].startswith("a3 is")
    why = "its text is not used: there is no recording of this name"
    assert report["problems"] == [["a8.txt", why], ["wavs/a9.txt", why]]


def test_a_table_may_be_named_in_capitals_and_an_empty_one_says_so(prepare, corpus, tmp_path, capsys):
    root = corpus(A2, "a1|x\na2|y\n", name="Metadata.CSV")
    assert prepare("ljspeech", root)[0] == {"a1": (V, "x"), "a2": (V, "y")}
    (root / "metadata.csv").write_text("a1|the exact name\na2|y\n", encoding="utf-8")
    assert prepare("ljspeech", root)[0]["a1"] == (V, "the exact name")
    (root / "metadata.csv").unlink()
    (root / "Metadata.CSV").write_text("id|text\n", encoding="utf-8")
    assert main(["prepare", "ljspeech", str(root), str(tmp_path / "none")]) == 2
    assert "it has no rows (Metadata.CSV)" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_path_outside_of_the_corpus_and_a_relative_root_are_read(prepare, corpus, tmp_path, monkeypatch):
    clip(tmp_path / "far/b1.wav")
    root = corpus("a1.wav", f"a1.wav|x\n{tmp_path}/far/b1.wav|y\n../far/b1.flac|again\n")
    monkeypatch.chdir(root)
    found, report = prepare("folder", ".", "speaker=me")
    assert found == {"a1": ("me", "x"), "b1": ("me", "y")}
    assert report["files"] == {"found": 2, "read": 2, "skipped": 0}
    assert report["utterances"] == {"found": 3, "kept": 2, "skipped": 1}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("columns=[id,txt]", "columns: 'txt' is not one of id, path, text"),
        ("columns=[id,text,text]", "columns: text occurs twice"),
        ("columns=[text]", "columns: one of them must be id or path"),
    ],
)
def test_wrong_columns_are_one_sentence(corpus, tmp_path, capsys, option, message):
    assert main(["prepare", "ljspeech", str(corpus(A2, "a1|x\n")), str(tmp_path / "out"), option]) == 2
    assert message in capsys.readouterr().err


def test_rows_that_cannot_be_used_are_listed_with_line_and_reason(prepare, corpus, capsys):
    rows = ["a1|p|one", "gone|p|two", "no delimiter", "|p|three", "a2|p|x\0y", "a1|q|four", "a2|p"]
    root = corpus(f"{A2} wavs/a3.wav", "\n".join(rows))
    found, report = prepare("ljspeech", root, "columns=[id,speaker,text]")
    assert found == {"a1": ("p", "one")}
    assert sorted(report["problems"]) == [
        ["metadata.csv line 2", "there is no such file: gone; tried wavs/gone.*, gone.*"],
        ["metadata.csv line 3", "it has no |"],
        ["metadata.csv line 4", "neither id nor path"],
        ["metadata.csv line 5", "it has a NUL character"],
        ["metadata.csv line 7", "2 columns instead of 3"],
    ]
    assert report["items_left_out"] == [
        {"id": "a1", "path": "wavs/a1.wav", "reason": "another utterance has the same id: wavs/a1.wav"}
    ]
    assert [item["path"] for item in report["files_skipped"]] == ["wavs/a2.wav", "wavs/a3.wav"]
    lines = capsys.readouterr().out.split("\n")
    assert "files: 3 found = 1 read + 2 skipped" in lines
    assert "utterances: 2 found = 1 kept + 1 skipped" in lines
    assert "problem, there is no such file: 1, such as metadata.csv line 2 (gone; tried wavs/gone.*, gone.*)" in lines


def test_a_row_with_more_columns_than_can_be_texts_is_listed(prepare, corpus):
    root = corpus(A2, "a1|p|de\na2|q|fr|x\n")
    found, report = prepare("ljspeech", root, "columns=[id,speaker,language]", "need_text=false")
    assert list(found) == ["a1"]
    assert report["problems"] == [["metadata.csv line 2", "4 columns instead of 3"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a1|schön\n".encode("latin-1"), "is not UTF-8 text: byte 7 (0xf6) in line 1"),
        ("a1|x\n".encode("utf-16"), "is not UTF-8 text: byte 1 (0xff) in line 1"),
        (b"", "holds no utterances"),
        (b"a1 x\na2 y\n", "holds no utterances; most often: it has no | (metadata.csv line 1 and 1 more)"),
        (b"b1|x\n", "most often: there is no such file: b1; tried wavs/b1.*, b1.* (metadata.csv line 1)"),
        (b"id,id\na,b\n", "has two columns 'id'"),
        (b"speaker,text\na,b\n", "has no column id or path"),
        (b"|" * 100_000, "has 100001 columns"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence_and_leaves_nothing(corpus, tmp_path, capsys, content, message):
    assert main(["prepare", "ljspeech", str(corpus(A2, content)), str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_lists_of_ids_may_name_paths_and_what_they_name_in_vain_is_listed(prepare, corpus, tmp_path):
    root = corpus("wavs/a1.wav wavs/a2.wav wavs/a3.wav", "a1|x\na2|y\na3|z\n")
    (root / "train.txt").write_text("wavs/a1.wav|x\na3\n", encoding="utf-8")
    (root / "test.txt").write_text("a2.wav\na3\ngone\n", encoding="utf-8")
    _, report = prepare("ljspeech", root)
    assert {name: split["utterances"] for name, split in report["splits"].items()} == {"train": 1, "test": 2}
    assert report["problems"] == [
        ["train.txt line 2", "the id is in two lists: a3 is used in test"],
        ["test.txt line 3", "no utterance has this id: gone"],
    ]


TEXTS = [  # recording, text file, speaker, id
    ("a.wav", "a.txt", "", "a"),
    ("a.wav", "A.TXT", "", "a"),
    ("a.Wav", "a.lab", "", "a"),
    ("wavs/a.wav", "txt/a.txt", "", "wavs/a"),
    ("wavs/ann/a.wav", "txt/ann/a.txt", "", "wavs/ann/a"),
    ("ann/wav/a.wav", "ann/txt/a.txt", "ann", "ann/wav/a"),
    ("ann/a.wav", "Text/ann/a.txt", "ann", "ann/a"),
    ("ann/a.wav", "ann/transcripts/a.lab", "ann", "ann/a"),
    (f"{NFD}.wav", f"{NFC}.txt", "", NFC),
]


@pytest.mark.parametrize(("recording", "file", "speaker", "id"), TEXTS)
def test_a_text_belongs_to_its_recording_beside_it_or_in_a_folder_of_texts(
    prepare, corpus, recording, file, speaker, id
):
    found, _ = prepare("folder", corpus(recording, "Hello\u2028you.\n", file))
    assert found == {id: (speaker, "Hello\u2028you.")}


def test_texts_that_cannot_be_used_are_listed_and_the_recordings_are_kept(prepare, corpus):
    root = corpus("a.wav b.wav c.wav d.wav", b"sch\xf6n", "a.txt")
    (root / "d.lab").write_bytes(b"sch\xf6n")
    (root / "b.lab").write_text("0 1200 sil\n1200 2400 a\n", encoding="utf-8")
    (root / "c.txt").write_text("fine", encoding="utf-8")
    found, report = prepare("folder", root)
    assert found == {"a": ("", ""), "b": ("", ""), "c": ("", "fine"), "d": ("", "")}
    assert report["problems"] == [
        ["a.txt", "its text is not used: is not UTF-8 text: byte 4 (0xf6) in line 1"],
        ["b.lab", "its text is not used: it states the times of sounds, not a transcript"],
        ["d.lab", "its text is not used: is not UTF-8 text: byte 4 (0xf6) in line 1"],
    ]
    assert report["without_text"] == ["a", "b", "d"]
