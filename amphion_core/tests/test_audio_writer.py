"""AudioWriter: files piece by piece, complete or not at all, and going on after an interruption."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from amphion_core.api import Audio, AudioWriter
from amphion_core.audio_files import writing
from amphion_core.errors import AmphionError, AudioError

RATE = 8000
SAMPLES = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
PIECES = [Audio(piece, RATE) for piece in np.array_split(SAMPLES, 7)]
WORK = {"text": "abc", "seed": 1}


def write(path, pieces, work=None):
    """Write what is missing; the writer, when its file is complete."""
    with AudioWriter(path, RATE, work=work) as file:
        for number in range(file.pieces, len(pieces)):
            file.write(pieces[number], note=number)
        file.noted = list(file.notes())
    return file


def interrupt(path, pieces, work=WORK, error=KeyboardInterrupt):
    with pytest.raises(error), AudioWriter(path, RATE, work=work) as file:
        for number, piece in enumerate(pieces):
            file.write(piece, note=number)
        raise error
    return file


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_the_file_equals_that_of_save(tmp_path, suffix):
    Audio(SAMPLES, RATE).save(tmp_path / f"whole{suffix}")
    write(tmp_path / f"pieces{suffix}", PIECES)
    assert (tmp_path / f"pieces{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_samples_of_16_bits_stay_as_they_are(tmp_path, suffix):
    values = np.array([-32768, -32767, -2, -1, 0, 1, 2, 12345, 32766, 32767], np.float32) / 32768
    loaded = Audio.load(Audio(values, RATE).save(tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(loaded.samples, values)


@pytest.mark.parametrize("suffix", [".ogg", ".mp3"])
def test_compressed_files_have_the_same_sound(tmp_path, suffix):
    tone = Audio(np.sin(np.arange(2 * RATE) * 0.3).astype(np.float32) * 0.5, RATE)
    write(tmp_path / f"a{suffix}", [tone, tone])
    loaded = Audio.load(tmp_path / f"a{suffix}")
    assert abs(loaded.duration - 4) < 0.2  # mp3 pads with whole frames of 72 ms
    assert np.sqrt(np.mean(loaded.samples**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_channels_stay_apart(tmp_path):
    stereo = Audio(np.stack([SAMPLES, -SAMPLES]), RATE)
    with AudioWriter(tmp_path / "a.flac", RATE, channels=2) as file:
        file.write(stereo)
    np.testing.assert_allclose(Audio.load(tmp_path / "a.flac").samples, stereo.samples, atol=1 / 32768)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_an_interrupted_work_goes_on_and_gives_the_same_file(tmp_path, suffix):
    write(tmp_path / f"whole{suffix}", PIECES)
    path = tmp_path / f"a{suffix}"
    assert interrupt(path, PIECES[:3]).keeps_part
    assert not path.exists()
    interrupt(path, [], WORK)  # a second interruption before anything new is there
    file = write(path, PIECES, WORK)
    assert file.noted == list(range(7))
    assert path.read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["line", "samples", "head"])
def test_what_a_kill_or_a_power_cut_left_half_written_is_written_again(tmp_path, damage):
    write(tmp_path / "whole.wav", PIECES)
    file = interrupt(tmp_path / "a.wav", PIECES[:4])
    journal = next(tmp_path.glob("*.json"))
    lines = journal.read_bytes().splitlines(keepends=True)
    if damage == "line":
        journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:-5])
    elif damage == "head":
        journal.write_bytes(lines[0][:10])
    else:
        os.truncate(file.part, file.part.stat().st_size - 10)
    with AudioWriter(tmp_path / "a.wav", RATE, work=WORK) as again:
        assert again.pieces == {"line": 3, "samples": 3, "head": 0}[damage]
        for number in range(again.pieces, len(PIECES)):
            again.write(PIECES[number])
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()


def test_another_work_begins_anew_and_leaves_the_first_one_alone(tmp_path):
    interrupt(tmp_path / "a.wav", PIECES[:3])
    write(tmp_path / "a.wav", PIECES[:1], {"text": "other"})
    assert Audio.load(tmp_path / "a.wav").samples.size == PIECES[0].samples.size
    assert write(tmp_path / "a.wav", PIECES, WORK).noted == list(range(7))


def test_an_error_without_work_leaves_nothing(tmp_path):
    interrupt(tmp_path / "a.wav", PIECES[:3], None, ValueError)
    assert not list(tmp_path.iterdir())


def test_a_file_without_samples_is_refused_and_the_old_one_stays(tmp_path):
    write(tmp_path / "a.wav", PIECES)
    before = (tmp_path / "a.wav").read_bytes()
    with pytest.raises(AudioError, match="the audio is empty"), AudioWriter(tmp_path / "a.wav", RATE):
        pass
    assert (tmp_path / "a.wav").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_one_sentence_and_the_work_goes_on_afterwards(tmp_path, monkeypatch):
    write(tmp_path / "whole.wav", PIECES)
    original, room = os.write, [3]

    def limited(descriptor, data):
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] -= len(data) > 500
        return original(descriptor, data)

    monkeypatch.setattr(writing.os, "write", limited)
    with pytest.raises(AmphionError, match=r"the disk is full; 0 s are kept in a\.wav\.[0-9a-f]{8}\.part") as caught:
        write(tmp_path / "a.wav", PIECES, WORK)
    assert "then type the same command again" in caught.value.hint
    monkeypatch.undo()
    assert write(tmp_path / "a.wav", PIECES, WORK).noted == list(range(7))
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()


@pytest.mark.parametrize("first", [WORK, None])
@pytest.mark.parametrize("second", [WORK, {"text": "other"}, None])
def test_two_programs_cannot_write_the_same_file(tmp_path, first, second):
    pytest.importorskip("fcntl", reason="there are no locks here")
    with AudioWriter(tmp_path / "a.wav", RATE, work=first) as file:
        for _ in range(2):  # before the first piece and after it
            with (
                pytest.raises(AmphionError, match="another program is writing") as caught,
                AudioWriter(tmp_path / "a.wav", RATE, work=second),
            ):
                pass
            file.write(PIECES[0])
        assert "wait" in caught.value.hint
        write(tmp_path / "b.wav", PIECES)
    assert Audio.load(tmp_path / "a.wav").samples.size == 2 * PIECES[0].samples.size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav"]


def test_the_lock_of_a_killed_program_does_not_hinder_the_next(tmp_path):
    script = f"""
import os
import numpy as np
from amphion_core.api import Audio, AudioWriter
with AudioWriter({str(tmp_path / "a.wav")!r}, {RATE}, work={WORK!r}) as file:
    file.write(Audio(np.zeros(9, np.float32), {RATE}))
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert (tmp_path / ".a.wav.lock").exists()
    with AudioWriter(tmp_path / "a.wav", RATE, work=WORK) as file:
        assert file.samples == 9
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_name_of_255_bytes_has_a_lock_too(tmp_path):
    write(tmp_path / f"{'a' * 251}.wav", PIECES)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.xyz", {}, "no audio format"),
        ("a.mp3", {"sample_rate": 1234}, "cannot be written at 1234 Hz"),
        ("a.flac", {"channels": 50}, "with 50 channels"),
        ("missing/a.wav", {}, "there is no folder"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(tmp_path, name, options, message):
    with pytest.raises(AmphionError, match=message):
        AudioWriter(tmp_path / name, **{"sample_rate": RATE} | options)


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        (Audio(np.zeros(5, np.float32), 16000), "another rate"),
        (Audio(np.zeros((2, 5), np.float32), RATE), "another number of channels"),
        (Audio(np.array([np.nan], np.float32), RATE), "not finite"),
    ],
)
def test_a_piece_that_does_not_fit_is_refused(tmp_path, piece, message):
    with pytest.raises(AudioError, match=message), AudioWriter(tmp_path / "a.wav", RATE) as file:
        file.write(piece)
    assert not list(tmp_path.iterdir())


def test_clipped_samples_are_reported_once(tmp_path):
    loud = Audio(np.array([2.0, -3.0, 0.5], np.float32), RATE)
    with pytest.warns(UserWarning, match=r"beyond full scale \(3.00\)") as caught:
        write(tmp_path / "a.wav", [loud, loud])
    assert len(caught) == 1
    assert Audio.load(tmp_path / "a.wav").samples[:3].tolist() == [32767 / 32768, -1.0, 0.5]


def test_a_wav_file_of_more_than_4_gb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_LARGEST_WAV", 100)
    with pytest.raises(AudioError, match="larger than 4 GB") as caught:
        write(tmp_path / "a.wav", PIECES)
    assert caught.value.hint == "use .flac"


def test_a_long_name_can_be_written(tmp_path):
    name = "ü" * 120 + ".wav"
    write(tmp_path / name, PIECES, WORK)
    assert [path.name for path in tmp_path.iterdir()] == [name]
