"""Audio files on disk: which files of a folder are audio, which file a name means, how long a file is."""

import os
import pickle
import socket
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from amphion_core.audio_files import (
    SUFFIXES,
    UNREADABLE,
    AudioFileError,
    audio_files,
    check_file,
    find_audio,
    is_audio,
)
from amphion_core.audio_files.reading import AudioFile, audio_length

RATE = 16000
TONE = (np.sin(np.arange(RATE) / 7) / 2).astype(np.float32)


def names(folder, **options):
    return [str(path.relative_to(folder)) for path in audio_files(folder, **options)]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_every_suffix_counts_in_any_case_and_hidden_files_do_not(tmp_path):
    wanted = [f"{number:02d}{suffix}" for number, suffix in enumerate(SUFFIXES)]
    wanted += ["a.Wav", "b.MP3", "sub/c.OPUS", "sub.wav/d.aIFF"]
    touch(*(tmp_path / name for name in wanted), tmp_path / ".e.wav", tmp_path / ".f/g.wav", tmp_path / "h.txt")
    assert names(tmp_path) == sorted(wanted, key=lambda name: Path(name).parts)
    assert not set(SUFFIXES) & UNREADABLE.keys()
    assert is_audio("A/B.FLAC") and not is_audio("wav") and not is_audio(".wav") and not is_audio("a.wav/b")


def test_links_to_folders_are_followed_and_loops_are_not(tmp_path):
    touch(tmp_path / "corpus/a/1.wav", tmp_path / "elsewhere/2.wav")
    (tmp_path / "corpus/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "corpus/a/up").symlink_to(tmp_path / "corpus")
    (tmp_path / "corpus/self").symlink_to("self")
    assert names(tmp_path / "corpus") == ["a/1.wav", "b/2.wav"]


def test_what_is_left_out_of_a_folder_has_a_reason(tmp_path):
    touch(tmp_path / "a.wav", tmp_path / "b.M4A", tmp_path / "c.aac")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")).write_bytes(b"x")
    skipped: list[tuple[str, str]] = []
    assert names(tmp_path, on_skip=lambda path, reason: skipped.append((path.suffix, reason))) == ["a.wav"]
    assert sorted(skipped) == [
        (".M4A", "AAC (.m4a) cannot be read; convert it: ffmpeg -i FILE FILE.flac"),
        (".aac", "AAC (.aac) cannot be read; convert it: ffmpeg -i FILE FILE.flac"),
        (".wav", "its name is not UTF-8; rename it"),
    ]


def test_a_folder_that_cannot_be_opened_is_reported(tmp_path, monkeypatch):
    touch(tmp_path / "a.wav", tmp_path / "locked/b.wav")
    scandir = os.scandir

    def locked(path):  # the tests may run as root, who may open every folder
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", locked)
    with pytest.raises(AudioFileError, match=r"locked cannot be read: the folder cannot be opened: Permission denied"):
        names(tmp_path)
    skipped: list[Path] = []
    assert names(tmp_path, on_skip=lambda path, reason: skipped.append(path)) == ["a.wav"]
    assert skipped == [tmp_path / "locked"]


@pytest.mark.parametrize(
    ("on_disk", "name", "found"),
    [
        (["a1.wav"], "a1", "a1.wav"),
        (["a1.wav"], "a1.wav", "a1.wav"),
        (["a1.WAV"], "a1.wav", "a1.WAV"),
        (["a1.flac"], "a1.wav", "a1.flac"),
        (["a1.Opus"], "a1", "a1.Opus"),
        (["a1.mp3", "a1.flac", "a1.txt"], "a1", "a1.flac"),
        (["a.1.wav"], "a.1", "a.1.wav"),
        (["a.wav.mp3", "a.flac"], "a.wav", "a.wav.mp3"),
        (["sub/a1.aiff"], "sub/a1", "sub/a1.aiff"),
        (["A1.wav"], "a1", "a1.wav"),
        ([], "a1", "a1.wav"),
        ([], "a1.FLAC", "a1.FLAC"),
        ([], "x" * 300, "x" * 300 + ".wav"),
        ([], "a\0b", "a\0b.wav"),
    ],
)
def test_a_name_finds_its_recording(tmp_path, on_disk, name, found):
    touch(*(tmp_path / each for each in on_disk))
    assert find_audio(tmp_path / name) == tmp_path / found


@pytest.mark.parametrize(("disk", "table"), [("NFD", "NFC"), ("NFC", "NFD"), ("NFC", "NFC")])
def test_accents_may_be_composed_or_decomposed(tmp_path, disk, table):
    path = tmp_path / unicodedata.normalize(disk, "über/cafés.Wav")
    touch(path)
    for name in ("über/cafés", "über/cafés.wav"):
        assert find_audio(tmp_path / unicodedata.normalize(table, name)) == path


def test_a_new_file_is_found_after_an_earlier_search(tmp_path):
    assert find_audio(tmp_path / "a") == tmp_path / "a.wav"
    touch(tmp_path / "a.mp3")
    os.utime(tmp_path, ns=(0, 1))  # some file systems count the time of a change in steps of milliseconds
    assert find_audio(tmp_path / "a") == tmp_path / "a.mp3"


def test_only_a_regular_file_is_opened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "null.wav").symlink_to("/dev/zero")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "empty.wav").touch()
    touch(tmp_path / "text.wav")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # a socket's path is at most 107 bytes long
        server.bind("socket.wav")
    for name, reason in {
        "pipe.wav": "it is a pipe", "null.wav": "it is a device", "loop.wav": "a link that leads to itself",
        "folder.wav": "it is a folder", "empty.wav": "it is empty", "socket.wav": "it is a socket",
        "none.wav": "there is no such file", "text.wav/a.wav": "there is no such file",
        "x" * 300: "the name is too long", "a\0.wav": "no file can have such a name",
        "text.wav": "not readable audio",
    }.items():  # fmt: skip
        with pytest.raises(AudioFileError, match=reason) as caught:
            audio_length(tmp_path / name)
        assert caught.value.reason.startswith(reason) or reason in caught.value.reason
        assert caught.value.hint and str(tmp_path)[:100] in caught.value.message
    assert check_file(tmp_path / "text.wav").st_size == 1


def test_an_error_comes_back_from_a_worker_process_unchanged():
    error = AudioFileError("a.wav", "it is empty", hint="copy it again")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.reason, again.hint) == (str(error), "it is empty", "copy it again")


def stated(path: Path, samples: int) -> Path:
    """The FLAC file with another number of samples in its header: the last 36 bits of 8 bytes of STREAMINFO."""
    data = bytearray(path.read_bytes())
    fields = int.from_bytes(data[18:26], "big") >> 36 << 36 | samples
    data[18:26] = fields.to_bytes(8, "big")
    path.write_bytes(data)
    return path


def test_lengths_are_those_of_the_content_where_the_header_has_none(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, TONE, RATE)
    assert audio_length(path) == (RATE, RATE) and audio_length(path).seconds == 1
    assert audio_length(stated(path, 0)).samples == RATE


def test_a_rate_that_no_recording_has_is_refused(tmp_path):
    for rate in (1, 999, 1_000_000):
        soundfile.write(tmp_path / "a.wav", TONE, rate)
        with pytest.raises(AudioFileError, match=f"a rate of {rate} Hz, outside 1000 to 768000 Hz"):
            audio_length(tmp_path / "a.wav")


def test_a_file_that_may_not_be_opened_has_the_reason_of_the_system(tmp_path, monkeypatch):
    def refuse(path, size):
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "a.wav").write_bytes(b"RIFF")
    monkeypatch.setattr("amphion_core.audio_files.reading.ending", refuse)
    with pytest.raises(AudioFileError, match=r"not readable audio \(Permission denied\)"):
        AudioFile(tmp_path / "a.wav")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS", "MPEG_LAYER_III", "PCM_16"])
def test_a_part_of_a_file_equals_that_part_of_the_whole(tmp_path, subtype):
    random = np.random.default_rng(0)
    level = np.repeat(random.uniform(0.001, 0.3, 120), 800)  # changes of level make an encoder change its block sizes
    wave = np.convolve(random.standard_normal(96000), np.hanning(9) / 4, "same") * level
    path = tmp_path / "sound"
    container = {"PCM_16": "FLAC", "MPEG_LAYER_III": "MP3"}.get(subtype, "OGG")
    with soundfile.SoundFile(path, "w", 24000, 1, format=container, subtype=subtype) as file:
        for start in range(0, len(wave), 4800):  # libsndfile cannot write a long Vorbis block at once
            file.write(wave[start : start + 4800])
    with AudioFile(path) as file:
        whole = file.whole()
        for start in random.integers(0, len(whole) - 4096, 25):
            part = file.span(int(start), 4096)
            np.testing.assert_allclose(part, whole[start : start + 4096], atol=0.005)  # Opus rounds differently
