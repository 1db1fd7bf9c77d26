"""Readers: the data pack compared with its tables, and small folders in the published layout of each corpus."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import amphion_core as amphion
from amphion_core.errors import DataError


def reader(name, root, **fields):
    component = amphion.get("datasets", name)
    return component(component.Config(root=str(root), **fields))


def read(name, root, **fields):
    return list(reader(name, root, **fields).utterances())


def clip(path: Path, seconds=0.5, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.sin(np.arange(int(seconds * rate)) / 7), rate)


def text(path: Path, content: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def test_captions_come_from_the_class_the_text_or_the_folder(tmp_path):
    clip(tmp_path / "esc/audio/1-1-A-0.wav")
    text(tmp_path / "esc/meta/esc50.csv", "filename,fold,target,category\n1-1-A-0.wav,1,0,crying_baby\n")
    assert read("esc50", tmp_path / "esc")[0].caption == "crying baby"
    fields = {"captions": "sentence", "caption_template": "a recording of {}"}
    assert read("esc50", tmp_path / "esc", **fields)[0].caption == "a recording of a baby crying"
    clip(tmp_path / "own/glass_bell/1.wav")
    assert read("folder", tmp_path / "own")[0].speaker == "glass_bell"
    sound = read("folder", tmp_path / "own", captions="folder", caption_template="the sound of {}")[0]
    assert (sound.caption, sound.speaker) == ("the sound of glass bell", "")
    text(tmp_path / "own/manifest.csv", "path,text\nglass_bell/1.wav,a bell\n")
    sound = read("folder", tmp_path / "own", captions="text")[0]
    assert (sound.caption, sound.text) == ("a bell", "")
    with pytest.raises(ValueError, match="caption_template"):
        reader("folder", tmp_path / "own", caption_template="no place")


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("ljspeech", "kathleen_en"), ("ljspeech", "kerstin_de"), ("vctk", "asterisk_multi"),
        ("librispeech", "librispeech_mini"), ("esc50", "esc10"), ("folder", "sonicpi_loops"), ("folder", "soundfx"),
        ("folder", "singing_ccby"), ("folder", "kathleen_en"), ("folder", "NC_ravdess_song"),
    ],
)  # fmt: skip
def test_the_data_pack_is_read_as_its_tables_list_it(data_pack, name, folder):
    root = data_pack / folder
    if not root.is_dir():
        pytest.skip(f"{folder} is not in the data pack")
    with (root / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    found = {utterance.id: utterance for utterance in read(name, root)}
    assert found.keys() == rows.keys()
    for id, utterance in found.items():
        row = rows[id]
        assert Path(utterance.path) == root / row["path"]
        assert utterance.duration == pytest.approx(float(row["duration"]), abs=1e-3)
        assert utterance.split == row["split"]
        if name in ("ljspeech", "vctk", "librispeech"):
            assert utterance.text == row["text"]
        if name in ("vctk", "librispeech"):
            assert utterance.speaker == row["spk"]


def test_the_order_is_the_same_every_time(data_pack):
    corpus = reader("librispeech", data_pack / "librispeech_mini")
    assert [u.id for u in corpus.utterances()] == [u.id for u in corpus.utterances()]


def test_ljspeech_takes_the_normalised_text_and_keeps_quotation_marks(tmp_path):
    text(tmp_path / "metadata.csv", 'LJ001-0001|He said "no" in 1900|He said "no" in nineteen hundred\nno bar here\n')
    clip(tmp_path / "wavs/LJ001-0001.wav")
    corpus = reader("ljspeech", tmp_path)
    (one,) = corpus.utterances()
    assert one.text == 'He said "no" in nineteen hundred'
    assert one.extra == {"recording": "LJ001"}
    assert corpus.problems == [("metadata.csv line 2", "it has no |")]
    assert read("ljspeech", tmp_path, normalized=False)[0].text == 'He said "no" in 1900'


def test_librispeech_with_subsets_and_transcripts(tmp_path):
    for subset, speaker in (("train-clean-100", "19"), ("dev-other", "84"), ("test-clean", "61")):
        chapter = tmp_path / subset / speaker / "198"
        clip(chapter / f"{speaker}-198-0000.flac")
        text(chapter / f"{speaker}-198.trans.txt", f"{speaker}-198-0000 HELLO THERE\n")
    found = read("librispeech", tmp_path)
    assert [(u.speaker, u.split, u.text) for u in found] == [
        ("84", "dev", "HELLO THERE"), ("61", "test", "HELLO THERE"), ("19", "train", "HELLO THERE"),
    ]  # fmt: skip
    assert [u.speaker for u in read("librispeech", tmp_path, subsets=("dev-other",))] == ["84"]


def test_libritts(tmp_path):
    stem = tmp_path / "train-clean-360/103/1241/103_1241_000000_000001"
    clip(stem.with_suffix(".wav"), rate=24000)
    text(stem.with_suffix(".normalized.txt"), "matthew Cuthbert is surprised")
    text(stem.with_suffix(".original.txt"), "Matthew Cuthbert is surprised.")
    (one,) = read("libritts", tmp_path)
    assert (one.text, one.speaker, one.split) == ("matthew Cuthbert is surprised", "103", "train")
    assert one.extra == {"recording": "103_1241"}
    assert read("libritts", tmp_path, normalized=False)[0].text == "Matthew Cuthbert is surprised."


def test_hifi_tts(tmp_path):
    clip(tmp_path / "audio/92_clean/10425/a_0001.flac", rate=44100)
    record = {"audio_filepath": "audio/92_clean/10425/a_0001.flac", "text": "x", "text_normalized": "ex", "duration": 1}
    text(tmp_path / "92_manifest_clean_dev.json", json.dumps(record) + "\nnot json\n")
    corpus = reader("hifi_tts", tmp_path)
    (one,) = corpus.utterances()
    assert (one.text, one.speaker, one.split, one.extra) == ("ex", "92", "dev", {"quality": "clean"})
    assert corpus.problems[0][0] == "92_manifest_clean_dev.json line 2"


def test_vctk_takes_one_microphone(tmp_path):
    for microphone in ("mic1", "mic2"):
        clip(tmp_path / f"wav48_silence_trimmed/p225/p225_001_{microphone}.flac", rate=48000)
    text(tmp_path / "txt/p225/p225_001.txt", "Please call Stella.\n")
    text(tmp_path / "speaker-info.txt", "ID  AGE  GENDER  ACCENTS  REGION\np225  23  F  English  Southern  England\n")
    (one,) = read("vctk", tmp_path)
    assert one.path.endswith("_mic1.flac")
    assert (one.id, one.text, one.extra["accent"]) == ("p225_001", "Please call Stella.", "English")
    assert read("vctk", tmp_path, microphone="mic2")[0].path.endswith("_mic2.flac")


def test_mls(tmp_path):
    root = tmp_path / "mls_german"
    clip(root / "dev/audio/1844/931/1844_931_000000.flac")
    text(root / "dev/transcripts.txt", "1844_931_000000\tguten tag\n")
    (one,) = read("mls", root)
    assert (one.text, one.speaker, one.language, one.split) == ("guten tag", "1844", "de", "dev")


def test_libri_light_whole_and_by_voice_activity(tmp_path):
    clip(tmp_path / "small/100/sea_fairies/01_baum.flac", seconds=4)
    spans = {"speaker": "100", "snr": 9.5, "voice_activity": [[0.1, 1.0], [1.2, 2.0], [2.5, 3.9]]}
    text(tmp_path / "small/100/sea_fairies/01_baum.json", json.dumps(spans))
    (one,) = read("libri_light", tmp_path)
    assert (one.duration, one.extra["snr"]) == (4.0, "9.5")
    voiced = read("libri_light", tmp_path, voiced=True, joined=2.0)
    assert [(u.start, round(u.duration, 3)) for u in voiced] == [(0.1, 1.9), (2.5, 1.4)]


def test_audiocaps_finds_clips_under_several_names(tmp_path):
    clip(tmp_path / "audio/Yabcdefghijk.wav")
    clip(tmp_path / "audio/91139.wav")
    text(
        tmp_path / "train.csv",
        "audiocap_id,youtube_id,start_time,caption\n1,abcdefghijk,30,A dog barks\n91139,r1nicOVtvkQ,130,A woman talks\n"
        "7,missing1234,0,Gone\n",
    )
    corpus = reader("audiocaps", tmp_path)
    assert [(u.caption, u.split) for u in corpus.utterances()] == [("A dog barks", "train"), ("A woman talks", "train")]
    assert corpus.problems == [("train.csv line 4", "there is no clip: missing1234")]


def test_opencpop(tmp_path):
    clip(tmp_path / "segments/wavs/2001000001.wav", rate=44100)
    line = "2001000001|感受停在我发端的指尖|g an sh ou|D#4/Eb4 D#4/Eb4|0.3 0.2|0.1 0.2|0 0\n"
    text(tmp_path / "segments/train.txt", line)
    (one,) = read("opencpop", tmp_path)
    assert (one.text, one.split, one.extra["recording"]) == ("感受停在我发端的指尖", "train", "2001")
    assert one.extra["phones"] == "g an sh ou"
    assert one.extra["slurs"] == "0 0"


def test_opensinger(tmp_path):
    clip(tmp_path / "ManRaw/0_song/0_song_0.wav")
    text(tmp_path / "ManRaw/0_song/0_song_0.txt", "歌词")
    clip(tmp_path / "WomanRaw/0_other/0_other_0.wav")
    found = read("opensinger", tmp_path)
    assert [(u.speaker, u.text, u.extra["gender"]) for u in found] == [
        ("ManRaw_0", "歌词", "M"),
        ("WomanRaw_0", "", "F"),
    ]


def test_m4singer(tmp_path):
    clip(tmp_path / "Alto-1#newboy/0000.wav", rate=48000)
    item = {"item_name": "Alto-1#newboy#0000", "txt": "是你", "phs": ["sh", "i"], "notes": [60, 62], "is_slur": [0, 1]}
    text(tmp_path / "meta.json", json.dumps([item, {"item_name": "broken"}]))
    corpus = reader("m4singer", tmp_path)
    (one,) = corpus.utterances()
    assert (one.speaker, one.text, one.extra["notes"], one.extra["song"]) == ("Alto-1", "是你", "60 62", "newboy")
    assert len(corpus.problems) == 1


def test_svcc2023(tmp_path):
    for speaker in ("IDF1", "CDM1", "SF1"):
        clip(tmp_path / f"Data/{speaker}/10001.wav", rate=24000)
    roles = {u.speaker: u.extra["role"] for u in read("svcc2023", tmp_path)}
    assert roles == {"IDF1": "target, sung", "CDM1": "target, spoken", "SF1": "source"}


def test_any_folder_by_its_files(tmp_path):
    clip(tmp_path / "anna/a.ogg")
    text(tmp_path / "anna/a.txt", "hello")
    clip(tmp_path / "b.wav")
    clip(tmp_path / ".hidden/c.wav")
    clip(tmp_path / "wavs/d.wav")
    found = read("folder", tmp_path, speaker="me")
    assert [(u.id, u.speaker, u.text) for u in found] == [
        ("anna/a", "anna", "hello"),
        ("b", "me", ""),
        ("wavs/d", "me", ""),
    ]


@pytest.mark.parametrize("bar", [",", "|", "\t"])
def test_any_folder_by_a_table_in_any_order_of_columns(tmp_path, bar):
    clip(tmp_path / "x/one.wav")
    header, row = ["Transcript", "file", "mood", "subset"], ["hi there", "x/one.wav", "glad", "validation"]
    text(tmp_path / "metadata.csv", f"{bar.join(header)}\n{bar.join(row)}\n{bar.join(['', '', '', ''])}\n")
    corpus = reader("folder", tmp_path)
    (one,) = corpus.utterances()
    assert (one.id, one.text, one.split, one.speaker, one.extra) == ("x/one", "hi there", "dev", "x", {"mood": "glad"})
    assert corpus.problems[0][1] == "neither id nor path"


def test_lists_of_ids_decide_the_split(tmp_path):
    for name in "abc":
        clip(tmp_path / f"{name}.wav")
    text(tmp_path / "train.txt", "a\nb\n")
    text(tmp_path / "test.txt", "c\n")
    assert {u.id: u.split for u in read("folder", tmp_path)} == {"a": "train", "b": "train", "c": "test"}


def test_lhotse_cuts(tmp_path):
    lhotse = pytest.importorskip("lhotse", reason='lhotse is not installed: pip install "amphion-core[lhotse]"')
    clip(tmp_path / "a.wav", seconds=2)
    recording = lhotse.Recording.from_file(tmp_path / "a.wav")
    said = lhotse.SupervisionSegment("s", recording.id, 0.5, 1.0, text="hello", speaker="anna", language="en")
    cut = lhotse.MonoCut("cut", 0.5, 1.0, 0, recording=recording, supervisions=[said.with_offset(-0.5)])
    lhotse.CutSet.from_cuts([cut]).to_file(tmp_path / "cuts.jsonl.gz")
    (one,) = read("lhotse", tmp_path)
    assert (one.id, one.start, one.duration, one.text, one.speaker) == ("cut", 0.5, 1.0, "hello", "anna")


def test_hugging_face_datasets_on_disk(tmp_path):
    datasets = pytest.importorskip("datasets", reason='not installed: pip install "amphion-core[huggingface]"')
    clip(tmp_path / "a.wav")
    rows = {"audio": [str(tmp_path / "a.wav"), str(tmp_path / "gone.wav")], "text": ["hi", "gone"], "id": ["x", "y"]}
    datasets.DatasetDict({"validation": datasets.Dataset.from_dict(rows)}).save_to_disk(tmp_path / "saved")
    corpus = reader("huggingface", tmp_path / "saved")
    (one,) = corpus.utterances()
    assert (one.id, one.text, one.split, one.duration) == ("x", "hi", "dev", 0.5)
    assert len(corpus.problems) == 1
    with pytest.raises(DataError, match="no column 'sound'"):
        read("huggingface", tmp_path / "saved", audio="sound")


@pytest.mark.parametrize("name", list(amphion.list("datasets")))
def test_the_error_of_another_folder_names_the_expected_files(name, tmp_path):
    (tmp_path / "stray").mkdir()
    with pytest.raises(DataError) as caught:
        read(name, tmp_path)
    assert caught.value.hint


def test_a_listed_file_that_is_no_audio_has_no_duration_and_a_missing_one_is_a_problem(tmp_path):
    text(tmp_path / "metadata.csv", "a|one|one\nb|two|two\n")
    text(tmp_path / "wavs/b.wav", "this is no audio")
    corpus = reader("ljspeech", tmp_path)
    assert [(u.id, u.duration) for u in corpus.utterances()] == [("b", 0.0)]
    assert corpus.problems == [("metadata.csv line 1", "there is no such file: a; tried wavs/a.*, a.*")]
