"""The report of ``amphion prepare``: files found = files read + files skipped, for every reader and any content."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings, strategies as st

import amphion_core as amphion
from amphion_core import registry
from amphion_core.cli.main import main
from amphion_core.data.prepare import PrepareConfig, prepare
from amphion_core.data.report import NOT_NAMED

RATE = 16000
TONE = np.sin(np.arange(3200) / 7).astype(np.float32) * 0.5


def clip(path, samples=TONE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE, **options)


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def report_of(reader, root, out, **fields):
    component = amphion.get("datasets", reader)
    list(prepare(component(component.Config(root=str(root), **fields)), root, out, PrepareConfig()))
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def records_of(out):
    lines = [line for path in out.glob("*.jsonl") for line in path.read_bytes().split(b"\n") if line]
    return [json.loads(line) for line in lines]


def check_sums(report, out, root):
    """Every audio file of the tree is read or listed once; every sum is right."""
    records = records_of(out)
    read = {record["path"] for record in records}
    skipped = [item["path"] for item in report["files_skipped"]]
    on_disk = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.suffix.lower() in (".wav", ".flac", ".m4a")
    }
    assert len(skipped) == len(set(skipped)) and not read & set(skipped)
    assert read | set(skipped) == on_disk
    assert report["files"] == {"found": len(on_disk), "read": len(read), "skipped": len(skipped)}
    utterances = report["utterances"]
    assert utterances["found"] == utterances["kept"] + utterances["skipped"]
    assert utterances["kept"] == len(records) and utterances["skipped"] == len(report["items_left_out"])


def vctk(root):
    clip(root / "wav48_silence_trimmed/p225/p225_001_mic1.flac")
    clip(root / "wav48_silence_trimmed/p225/p225_001_mic2.flac")
    clip(root / "wav48_silence_trimmed/p225/p225_002_mic1.flac", np.zeros(3200))
    text(root / "txt/p225/p225_001.txt", "Please call Stella.")
    clip(root / "extra/noise.wav")
    return {"wav48_silence_trimmed/p225/p225_001_mic2.flac": "another microphone than mic1",
            "wav48_silence_trimmed/p225/p225_002_mic1.flac": "silent", "extra/noise.wav": NOT_NAMED}, []  # fmt: skip


def librispeech(root):
    chapter = root / "dev-clean/84/1"
    for number in (0, 1):
        clip(chapter / f"84-1-000{number}.flac")
    text(chapter / "84-1.trans.txt", "84-1-0000 HELLO\n84-1-0000 AGAIN\n84-1-0009 GONE\n")
    clip(root / "dev-clean/84/1/other.flac")
    clip(root / "noise.wav")
    why = "not SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN"
    return {"dev-clean/84/1/other.flac": why, "noise.wav": why}, [
        ["dev-clean/84/1/84-1.trans.txt line 2", "a second text of one recording: 84-1-0000"],
        ["dev-clean/84/1/84-1.trans.txt line 3", "there is no such file: 84-1-0009 in this folder"],
    ]


def libritts(root):
    clip(root / "dev-clean/103/1241/103_1241_000000_000001.wav")
    clip(root / "dev-clean/103/103_1241_000000_000002.wav")
    return {"dev-clean/103/103_1241_000000_000002.wav": "not SUBSET/SPEAKER/CHAPTER/ID"}, []


def hifi_tts(root):
    clip(root / "audio/92/a.flac")
    clip(root / "audio/92/b.flac")
    rows = [{"audio_filepath": "audio/92/a.flac", "text": None}, {"audio_filepath": "audio/92/gone.flac"}, 5]
    text(root / "92_manifest_clean_dev.json", "\n".join(map(json.dumps, rows)))
    return {"audio/92/b.flac": NOT_NAMED}, [
        ["92_manifest_clean_dev.json line 2",
         "there is no such file: audio/92/gone.flac; tried audio/92/gone.flac"],
        ["92_manifest_clean_dev.json line 3", "it is not a record with audio_filepath"],
    ]  # fmt: skip


def mls(root):
    clip(root / "dev/audio/1/2/1_2_0.flac")
    clip(root / "dev/audio/1/2/1_2_1.flac")
    text(root / "dev/transcripts.txt", "1_2_0\thallo\u2028du\n1_2_9\tweg\nno tab\n")
    return {"dev/audio/1/2/1_2_1.flac": NOT_NAMED}, [
        ["dev/transcripts.txt line 2", "there is no such file: 1/2/1_2_9; tried dev/audio/1/2/1_2_9.*, 1/2/1_2_9.*"],
        ["dev/transcripts.txt line 3", "not id TAB text"],
    ]


def libri_light(root):
    clip(root / "small/1/book/a.flac")
    clip(root / "stray.flac")
    text(root / "small/1/book/a.json", "[1]")
    return {"stray.flac": "not SPEAKER/BOOK/NAME"}, []


def audiocaps(root):
    clip(root / "audio/Yabcdefghijk.wav")
    clip(root / "audio/unknown.wav")
    text(root / "train.csv", "audiocap_id,youtube_id,start_time,caption\n1,abcdefghijk,30,A dog, barking\n2,,0,x\n")
    return {"audio/unknown.wav": NOT_NAMED}, [["train.csv line 3", "it has no youtube_id"]]


def esc50(root):
    clip(root / "audio/1-1-A-0.wav")
    clip(root / "audio/1-1-B-0.wav")
    text(root / "meta/esc50.csv", "filename,fold,category\n1-1-A-0.wav,1,dog\n1-1-C-0.wav,1,dog\n1-1-B-0.wav,²,dog\n")
    return {"audio/1-1-B-0.wav": NOT_NAMED}, [
        ["meta/esc50.csv line 3", "there is no such file: 1-1-C-0.wav; tried audio/1-1-C-0.wav, 1-1-C-0.wav"],
        ["meta/esc50.csv line 4", "it has no filename or fold"],
    ]


def opencpop(root):
    clip(root / "segments/wavs/2001.wav")
    clip(root / "segments/wavs/2002.wav")
    text(root / "segments/train.txt", "2001|你好|n i\n2009|x|x\nbroken\n")
    return {"segments/wavs/2002.wav": NOT_NAMED}, [
        ["segments/train.txt line 2", "there is no such file: 2009; tried segments/wavs/2009.*, 2009.*"],
        ["segments/train.txt line 3", "it has no |"],
    ]


def opensinger(root):
    clip(root / "ManRaw/0_song/0_song_0.wav")
    clip(root / "other/a.wav")
    return {"other/a.wav": NOT_NAMED}, []


def m4singer(root):
    clip(root / "Alto-1#song/0000.wav")
    clip(root / "Alto-1#song/0001.wav")
    items = [{"item_name": "Alto-1#song#0000", "txt": None}, {"item_name": "Alto-1#song#0009"}, "x", {}]
    text(root / "meta.json", json.dumps(items))
    missing = "there is no such file: Alto-1#song/0009; tried Alto-1#song/0009.*"
    return {"Alto-1#song/0001.wav": NOT_NAMED}, [
        ["meta.json item 1", missing], ["meta.json item 2", "it has no item_name SINGER#SONG#LINE"],
        ["meta.json item 3", "it has no item_name SINGER#SONG#LINE"],
    ]  # fmt: skip


def svcc2023(root):
    clip(root / "Data/IDF1/1.wav")
    clip(root / "Data/readme/1.wav")
    return {"Data/readme/1.wav": "not in the folder of a speaker such as IDF1"}, []


def ljspeech(root):
    clip(root / "wavs/a.wav")
    clip(root / "wavs/b.wav")
    text(root / "metadata.csv", "a|x|x\nc|y|y\n")
    return {"wavs/b.wav": NOT_NAMED}, [
        ["metadata.csv line 2", "there is no such file: c; tried wavs/c.*, c.*"]
    ]  # fmt: skip


def folder(root):
    clip(root / "a.wav")
    (root / "b.m4a").write_bytes(b"x")
    os.mkfifo(root / "pipe.wav")
    (root / "gone.wav").symlink_to(root / "nowhere.wav")
    (root / "device.wav").symlink_to("/dev/zero")
    clip(root / ".hidden/c.mp3")  # hidden files are not looked for
    return {
        "b.m4a": "AAC (.m4a) cannot be read; convert it: ffmpeg -i FILE FILE.flac",
        "pipe.wav": "it is a pipe (FIFO), not a file", "gone.wav": "there is no such file",
        "device.wav": "it is a device, not a file",
    }, []  # fmt: skip


TREES = [vctk, librispeech, libritts, hifi_tts, mls, libri_light, audiocaps, esc50, opencpop, opensinger, m4singer,
         svcc2023, ljspeech, folder]  # fmt: skip


@pytest.mark.parametrize("tree", TREES)
def test_each_reader_reads_or_lists_every_file_and_every_row(tree, tmp_path):
    root, out = tmp_path / "corpus", tmp_path / "out"
    skipped, problems = tree(root)
    report = report_of(tree.__name__, root, out)
    check_sums(report, out, root)
    assert {item["path"]: item["reason"] for item in report["files_skipped"]} == skipped
    assert report["problems"] == problems
    assert not any("None" in record.get("text", "") for record in records_of(out))


def test_every_reader_of_folders_has_a_tree_here():
    others = {"huggingface", "lhotse"}  # their lists of files are not folders
    own = {ref.name for ref in registry.refs("datasets") if ref.dist == "amphion-core"}
    assert {tree.__name__ for tree in TREES} == own - others


FILES = {
    "good": lambda path: clip(path, subtype="PCM_16"),
    "silent": lambda path: clip(path, np.zeros(3200)),
    "short": lambda path: clip(path, TONE[:200]),
    "damaged": lambda path: path.write_bytes(b"no audio"),
    "empty": lambda path: path.write_bytes(b""),
}


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["", "x/", "wavs/", "X/y/"]), st.sampled_from(["a", "b", "é", "c d"])),
        st.tuples(st.sampled_from([".wav", ".Wav", ".flac", ".m4a"]), st.sampled_from([*FILES])), min_size=1,
    ),
    st.sampled_from(["folder", "ljspeech"]),
    st.lists(st.sampled_from(["a|x", "wavs/b.wav|y", "x/c d|z|z", "é|w", "gone|v", "", "none", "a|again"])),
)  # fmt: skip
def test_a_random_tree_has_the_right_sums(tmp_path_factory, files, reader, rows):
    root = tmp_path_factory.mktemp("tree")
    clip(root / "anchor.wav")  # so that something can be used
    for (place, stem), (suffix, kind) in files.items():
        (root / place).mkdir(parents=True, exist_ok=True)
        FILES["damaged" if suffix == ".m4a" else kind](root / f"{place}{stem}{suffix}")
    if reader == "ljspeech":
        text(root / "metadata.csv", "\n".join(["anchor|anchor text", *rows]))
    out = tmp_path_factory.mktemp("out") / "prepared"
    report = report_of(reader, root, out)
    check_sums(report, out, root)
    if reader == "ljspeech":  # every row is an utterance or a problem; notes on rows that were read are no faults
        faults = [why for where, why in report["problems"] if not why.startswith(("read, ", "columns "))]
        assert report["utterances"]["found"] + len(faults) == 1 + sum(bool(row) for row in rows)


def test_the_command_states_the_sums_and_one_line_for_each_fault(tmp_path, capsys):
    root = tmp_path / "corpus"
    for number in range(3):
        clip(root / f"ok{number}.wav")
        clip(root / f"silent{number}.wav", np.zeros(3200))
    text(root / "ok0.txt", "hello")
    assert main(["prepare", "folder", str(root), str(tmp_path / "out"), "--processes", "1", "dev=0", "test=0"]) == 0
    assert capsys.readouterr().out.split("\n")[:-2] == [
        "train: 3 utterances, 0.6 seconds, 1 with a text",
        "rates: 16000 Hz (3)",
        "files: 6 found = 3 read + 3 skipped",
        "skipped, silent: 3, such as silent0.wav",
        "utterances: 6 found = 3 kept + 3 skipped",
        "without a text, but kept: 2, such as ok1",
    ]


@pytest.mark.parametrize(("samples", "subtype", "reason"), [
    (TONE * 23_000, "FLOAT", "samples at the scale of integers: the peak is 11,500"),
    (np.round(TONE * 14), "FLOAT", "samples at the scale of integers: the peak is 7"),
    (TONE * 23_000.5, "DOUBLE", "samples at the scale of integers: the peak is 11,500"),
    (TONE * 4, "FLOAT", None),
])  # fmt: skip
def test_float_samples_at_the_scale_of_integers_are_skipped_and_overdriven_ones_kept(
    tmp_path, samples, subtype, reason
):
    clip(tmp_path / "corpus/a.wav", samples, subtype=subtype)
    clip(tmp_path / "corpus/b.wav")
    report = report_of("folder", tmp_path / "corpus", tmp_path / "out")
    reasons = [item["reason"] for item in report["files_skipped"]]
    assert (len(reasons), report["clipped"]) == ((1, 0) if reason else (0, 1))
    assert all(each.startswith(reason) for each in reasons)


def test_linked_folders_and_files_are_read_and_loops_end(tmp_path):
    root, outside = tmp_path / "corpus", tmp_path / "outside"
    clip(root / "a/1.wav")
    clip(outside / "2.wav")
    (root / "linked").symlink_to(outside)
    (root / "a/3.wav").symlink_to(outside / "2.wav")
    (root / "a/loop").symlink_to(root)
    (outside / "back").symlink_to(root / "a")
    report = report_of("folder", root, tmp_path / "out")
    assert {record["id"] for record in records_of(tmp_path / "out")} == {"a/1", "a/3", "linked/2", "linked/back/1",
                                                                         "linked/back/3"}  # fmt: skip
    assert report["files"] == {"found": 5, "read": 5, "skipped": 0}


def test_a_name_that_is_not_utf8_is_listed(tmp_path):
    root = tmp_path / "corpus"
    clip(root / "a.wav")
    folder = os.fsencode(root) + b"/sch\xf6n"
    Path(os.fsdecode(folder)).mkdir()
    for name in (folder + b"/b.wav", os.fsencode(root) + b"/\xff.wav"):
        Path(os.fsdecode(name)).write_bytes((root / "a.wav").read_bytes())
    report = report_of("folder", root, tmp_path / "out")
    assert report["files"] == {"found": 3, "read": 1, "skipped": 2}
    assert all("not UTF-8" in item["reason"] for item in report["files_skipped"])


def test_a_flac_file_without_a_stated_length_is_read_and_cut(tmp_path, cases):
    root = tmp_path / "corpus"
    root.mkdir()
    (root / "a.flac").write_bytes((cases / "streamed.flac").read_bytes())
    report = report_of("folder", root, tmp_path / "out")
    assert report["files"] == {"found": 1, "read": 1, "skipped": 0}
    (split,) = report["splits"].values()
    assert split["utterances"] == 1 and split["longest"] == pytest.approx(70893 / 22050, abs=1e-3)  # kathleen_a0006


def test_a_flac_file_that_claims_days_is_one_line(tmp_path):
    root = tmp_path / "corpus"
    clip(root / "a.wav")
    clip(root / "b.flac")
    content = bytearray((root / "b.flac").read_bytes())
    content[21] = content[21] & 0xF0 | 0x0F  # STREAMINFO: 36 bits of the number of samples
    content[22:26] = b"\xff\xff\xff\xff"
    (root / "b.flac").write_bytes(content)
    report = report_of("folder", root, tmp_path / "out")
    assert report["utterances"]["found"] <= 2
    assert [item["path"] for item in report["files_skipped"]] == ["b.flac"]


FORMATS = [  # name, format and subtype of libsndfile
    ("gsm.wav", "WAV", "GSM610"), ("adpcm.WAV", "WAV", "IMA_ADPCM"), ("mulaw.wav", "WAV", "ULAW"),
    ("wide.wav", "WAV", "PCM_24"), ("double.Wav", "WAV", "DOUBLE"), ("a.aiff", "AIFF", "PCM_16"),
    ("b.AIF", "AIFF", "FLOAT"), ("c.au", "AU", "PCM_16"), ("d.caf", "CAF", "PCM_16"), ("e.w64", "W64", "PCM_16"),
    ("f.opus", "OGG", "OPUS"),
    ("g.OGG", "OGG", "VORBIS"), ("h.MP3", "MP3", "MPEG_LAYER_III"), ("i.Flac", "FLAC", "PCM_24"),
]  # fmt: skip


def test_every_format_that_libsndfile_reads_is_read_whatever_the_case_of_its_suffix(tmp_path):
    root = tmp_path / "corpus"
    for name, form, subtype in FORMATS:
        clip(root / name, format=form, subtype=subtype)
    report = report_of("folder", root, tmp_path / "out")
    assert report["files_skipped"] == []
    assert {record["path"] for record in records_of(tmp_path / "out")} == {name for name, _, _ in FORMATS}
