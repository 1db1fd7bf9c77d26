"""Headers of audio files that state a wrong length or none: nothing is read as shorter audio without an error."""

import contextlib
import struct
import warnings

import numpy as np
import pytest
import soundfile

from amphion_core.api import Audio
from amphion_core.audio_files import AudioFileError, mpeg_frames
from amphion_core.audio_files.headers import ending
from amphion_core.audio_files.reading import AudioFile, audio_length

RATE, LENGTH = 24000, 50_000
SOUND = (np.random.default_rng(0).standard_normal(LENGTH) / 10).astype(np.float32)
FORMATS = {
    "wav": ("WAV", "PCM_16"), "float": ("WAV", "FLOAT"), "adpcm": ("WAV", "MS_ADPCM"),
    "extensible": ("WAVEX", "PCM_24"), "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"), "aiff": ("AIFF", "PCM_16"), "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"), "nist": ("NIST", "PCM_16"), "flac": ("FLAC", "PCM_16"), "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III"), "big-endian": ("WAV", "PCM_16"),
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The content of a file of noise in every format, by the format's short name."""
    folder = tmp_path_factory.mktemp("formats")
    for name, (form, subtype) in FORMATS.items():
        endian = "BIG" if name == "big-endian" else "FILE"
        with soundfile.SoundFile(folder / name, "w", RATE, 1, subtype, endian, form) as file:
            for start in range(0, LENGTH, 10_000):
                file.write(SOUND[start : start + 10_000])
    return {name: (folder / name).read_bytes() for name in FORMATS}


@pytest.fixture
def write(tmp_path):
    def write(data: bytes):
        (tmp_path / "audio").write_bytes(data)
        return tmp_path / "audio"

    return write


def read(path) -> int:
    """The number of samples; the length is the same when only the header is read."""
    with AudioFile(path) as file:
        found = len(file.whole())
    assert audio_length(path).samples == found
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_a_whole_file_is_read_without_doubt(files, write, name):
    path = write(files[name])
    assert abs(read(path) - LENGTH) < (2000 if name == "adpcm" else 1)  # ADPCM has blocks of some hundred samples
    with AudioFile(path) as file:
        assert file.doubt is None


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.99])
def test_a_file_that_was_cut_short_is_refused(files, write, name, kept):
    path = write(files[name][: int(kept * len(files[name]))])
    with pytest.raises(AudioFileError, match=r"cut short|malformed") as caught:
        Audio.load(path)
    assert caught.value.hint


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_ends_in_its_header_or_has_a_damaged_one_is_refused_or_read(files, write, name):
    """Cut at each of the first bytes, and with each of them changed. No other error may occur."""
    data = files[name]
    for at in range(1, 100):
        with pytest.raises(AudioFileError):
            Audio.load(write(data[:at]))
    for at in range(0, 60, 3):
        for byte in (0, 0x7F, 0xFF):
            changed = data[:at] + bytes([byte]) + data[at + 1 :]
            with contextlib.suppress(AudioFileError), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert Audio.load(write(changed)).samples.size


@pytest.mark.parametrize("name", FORMATS)
def test_the_last_hundred_bytes_are_missed(files, write, name):
    with pytest.raises(AudioFileError, match="cut short"):
        Audio.load(write(files[name][:-100]))


@pytest.mark.parametrize("name", ["wav", "float", "extensible", "big-endian"])
@pytest.mark.parametrize("stated", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000000, 0xFFFFFFDB])
def test_a_wav_file_from_a_pipe_is_read_to_its_end(files, write, name, stated):
    data = bytearray(files[name])
    at = data.index(b"data")
    number = struct.pack(">I" if name == "big-endian" else "<I", stated)
    data[4:8] = data[at + 4 : at + 8] = number
    assert read(write(data)) == LENGTH
    with AudioFile(write(data)) as changed, AudioFile(write(files[name])) as original:
        np.testing.assert_array_equal(changed.whole(), original.whole())


def test_a_wav_file_with_chunks_after_the_samples_is_whole(files, write):
    assert read(write(files["wav"] + b"LIST\x04\0\0\0INFO")) == LENGTH
    odd = files["wav"][:40] + struct.pack("<I", 2 * LENGTH - 1) + files["wav"][44:-1]  # no byte to make it even
    assert read(write(odd)) == LENGTH - 1
    empty = files["wav"][:40] + bytes(4) + b"LIST\x04\0\0\0INFO"
    assert read(write(empty)) == 0


def test_other_formats_from_a_pipe_are_read_to_their_end(files, write):
    aiff = bytearray(files["aiff"])
    at = aiff.index(b"SSND")
    aiff[4:8] = aiff[at + 4 : at + 8] = bytes(4)
    au = files["au"][:8] + b"\xff" * 4 + files["au"][12:]
    caf = bytearray(files["caf"])
    at = caf.index(b"data")
    caf[at + 4 : at + 12] = b"\xff" * 8
    for data in (aiff, au, caf):
        assert read(write(data)) == LENGTH


def test_parts_of_a_file_in_any_order_are_those_of_the_whole(files, write, tmp_path):
    """Also where libsndfile cannot seek (GSM), and in files that state no length."""
    soundfile.write(tmp_path / "gsm.wav", SOUND, 8000, subtype="GSM610", format="WAV")
    contents = [files["flac"], stated(files["flac"], 0), (tmp_path / "gsm.wav").read_bytes(), files["wav"]]
    for path in map(write, contents):
        with AudioFile(path) as file:
            whole = file.whole()
            for start, count in ((0, 10), (40_000, 5000), (300, 700), (1000, 1), (49_990, 100)):
                np.testing.assert_array_equal(file.span(start, count), whole[start : start + count])


def stated(data: bytes, samples: int) -> bytes:
    """The FLAC file with another number of samples in its header: the last 36 bits of 8 bytes of STREAMINFO."""
    fields = int.from_bytes(data[18:26], "big") >> 36 << 36 | samples
    return data[:18] + fields.to_bytes(8, "big") + data[26:]


def test_a_flac_file_from_a_pipe_is_read_to_its_end(files, write):
    path = write(stated(files["flac"], 0))
    assert read(path) == LENGTH
    with AudioFile(path) as file:
        assert [len(piece) for piece in file.pieces()] == [LENGTH]
        np.testing.assert_allclose(file.span(1000, 50)[:, 0], SOUND[1000:1050], atol=1 / 32768)


@pytest.mark.parametrize("samples", [2**36 - 1, 2**30, LENGTH + 1, 2 * LENGTH])
def test_a_flac_file_that_states_more_than_it_has_is_refused(files, write, samples):
    path = write(stated(files["flac"], samples))
    with pytest.raises(AudioFileError, match=rf"its header states {samples} samples, {LENGTH} are there"):
        Audio.load(path)
    with AudioFile(path) as file, pytest.raises(AudioFileError, match="cut short"):
        file.span(0, 1000)  # although these samples are there
    if samples > 2**29:  # more than is possible in a file of this size
        with pytest.raises(AudioFileError, match="cut short"):
            audio_length(path)


def test_a_small_file_cannot_take_all_memory(tmp_path, monkeypatch):
    """Half an hour of digital silence in a small FLAC file, with a bound that is as much smaller as the file is."""
    monkeypatch.setattr("amphion_core.audio_files.reading.MOST", 1 << 20)
    monkeypatch.setattr("amphion_core.audio_files.reading.FEW", 1 << 10)
    soundfile.write(tmp_path / "a.flac", np.zeros(1 << 21), RATE)
    with pytest.raises(AudioFileError, match="far more audio than a recording of"):
        Audio.load(tmp_path / "a.flac")


def test_an_mp3_file_without_a_stated_length_is_read_to_its_end(tmp_path):
    """libsndfile estimates the length from the first frames, which are longer here, and stops there."""
    sound = np.concatenate([SOUND, np.zeros(8 * RATE)])
    soundfile.write(tmp_path / "a.mp3", sound, RATE, format="MP3", bitrate_mode="VARIABLE")
    data = (tmp_path / "a.mp3").read_bytes()
    first = mpeg_frames._length(data[1], data[2])
    (tmp_path / "b.mp3").write_bytes(data[first:])
    assert soundfile.info(tmp_path / "b.mp3").frames < 0.8 * len(sound)
    samples = Audio.load(tmp_path / "b.mp3").samples
    assert len(sound) <= len(samples) <= len(sound) + 3 * 576
    assert audio_length(tmp_path / "b.mp3").samples == len(samples)
    tagged = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + data[first:] + b"TAG" + bytes(125)
    (tmp_path / "c.mp3").write_bytes(tagged)
    np.testing.assert_array_equal(Audio.load(tmp_path / "c.mp3").samples, samples)


def test_mp3_files_one_after_the_other_are_read_to_the_end(files, write):
    assert read(write(2 * files["mp3"])) >= 2 * LENGTH


def test_frames_are_counted_over_bytes_that_are_no_frame(files):
    data = files["mp3"]
    whole, partial = mpeg_frames.count(data)
    first, info = mpeg_frames._length(data[1], data[2]), mpeg_frames.info(data)
    assert (whole, partial) == (info.n_frames, False)
    assert mpeg_frames.count(data[first:]) == (whole, False)
    second = first + mpeg_frames._length(data[first + 1], data[first + 2])
    assert mpeg_frames.count(data[:second] + b"\xff\x00junk\xff\xff" + data[second:]) == (whole, False)
    assert mpeg_frames.count(data[:-1]) == (whole - 1, True)
    assert mpeg_frames.count(b"\xff" * 10_000) == (0, False)


def test_several_ogg_recordings_in_one_file_are_refused(files, write):
    data = bytearray(2 * files["vorbis"])
    for at in range(len(files["vorbis"]), len(data)):
        if data[at : at + 4] == b"OggS":
            data[at + 14 : at + 18] = b"next"  # the number of the stream
    with pytest.raises(AudioFileError, match="several recordings, one after the other"):
        Audio.load(write(data))


def test_an_ogg_file_without_its_last_page_is_read_with_a_warning(files, write):
    last = files["vorbis"].rindex(b"OggS")
    path = write(files["vorbis"][:last])
    with pytest.warns(UserWarning, match="may have been cut short"):
        assert 0 < len(Audio.load(path).samples) < LENGTH


@pytest.mark.parametrize(
    "magic", [b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b".snd", b"caff", b"NIST", b"OggS", b"ID3"]
)
def test_headers_of_any_content_are_inspected_without_an_error(write, magic):
    random = np.random.default_rng(1)
    for size in [*range(50), 3000, 9000]:
        for data in (bytes(size), random.bytes(size), b"\xff" * size):
            ending(write(magic + data), len(magic) + size)


def test_every_recording_of_the_data_pack_is_whole(data_pack):
    """Only headers and ends are read; the recordings of one corpus are decoded."""
    paths = sorted(data_pack.rglob("*.flac"))
    lengths = {path: audio_length(path) for path in paths}
    assert len(lengths) > 1000
    for path in paths[::50]:
        with AudioFile(path) as file:
            assert (len(file.whole()), file.doubt) == (lengths[path].samples, None)


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.flac"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "it is a pointer of Git LFS"),
        (b"\n<!DOCTYPE html><html>404</html>", "it is a web page, not a recording"),
        (b"Not found", "not readable audio"),
    ],
)
def test_what_was_downloaded_in_place_of_audio_is_named(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AudioFileError, match=reason) as caught:
        read(tmp_path / name)
    assert "does not exist" not in caught.value.message


def test_an_impossible_rate_is_said_in_plain_words(write):
    format = struct.pack("<IHHIIHH", 16, 1, 1, 0, 0, 2, 16)
    data = b"RIFF" + struct.pack("<I", 236) + b"WAVEfmt " + format + b"data" + struct.pack("<I", 200) + bytes(200)
    with pytest.raises(AudioFileError, match="its header states an impossible rate"):
        read(write(data))
