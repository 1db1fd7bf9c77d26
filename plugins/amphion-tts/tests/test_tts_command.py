"""amphion tts: what it reads, many texts to many files, playing, streaming, and what it says about mistakes."""

import io
import json
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

import amphion_core as amphion
from amphion_core.cli.main import main
from amphion_core.errors import AmphionError
from amphion_tts import playing, speaking
from amphion_tts.tts_command import _in_language


@pytest.fixture
def speak(voice, tmp_path, monkeypatch, capfd):
    """A function that runs the command in an empty folder, and gives its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*words, stdin=None):
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            code = main(["tts", *map(str, words), "--model", str(voice)])
        except SystemExit as end:  # argparse
            code = end.code
        return code, *capfd.readouterr()

    return run


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        (b"caf\xe9 ole", "is not UTF-8 text: byte 4 (0xe9) in line 1", "iconv -f LATIN1 -t UTF-8"),
        ("Hello there.".encode("utf-16"), "is not UTF-8 text: byte 1 (0xff) in line 1", "iconv -f UTF-16 -t UTF-8"),
        ("Hello there.".encode("utf-16-le"), "is not UTF-8 text", "iconv -f UTF-16LE -t UTF-8"),
        (b"a\0b", "the text has a NUL character at character 2", "tr -d"),
        (b" \n", "the text is empty", "amphion tts"),
        (b"", "the text is empty", "amphion tts"),
        (b"...", "nothing to say", "amphion tts"),
    ],
)
def test_a_file_and_standard_input_are_read_by_the_same_rules(speak, tmp_path, content, message, hint):
    (tmp_path / "a.txt").write_bytes(content)
    for words, stdin in ((["--file", "a.txt"], None), (["-"], content)):
        code, out, err = speak(*words, stdin=stdin)
        assert code == 2 and not out
        assert message in err and hint in err.partition("hint: ")[2], err
    assert not (tmp_path / "speech.wav").exists()


def test_a_byte_order_mark_is_not_spoken(speak, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfhello")
    lengths = [
        json.loads(speak(*words, "--json", "--seed", 1)[1])["duration"] for words in (["hello"], ["--file", "a.txt"])
    ]
    assert lengths[0] == lengths[1]


def test_bytes_of_an_argument_that_are_not_utf8_are_refused(speak):
    code, _, err = speak(os.fsdecode(b"caf\xe9"))
    assert code == 2 and "the text has a byte that is not UTF-8 at character 4" in err


def test_each_line_of_a_file_becomes_a_file_named_by_its_number(speak, tmp_path):
    (tmp_path / "lines.txt").write_text("one line\r\n\r\nthe second | line\n")
    code, out, _ = speak("--file", "lines.txt", "-o", "out/")
    assert code == 0 and "wrote 2 files to out (0001.wav to 0003.wav)" in out
    alone = speak("one line", "-o", "alone.wav")
    assert alone[0] == 0
    np.testing.assert_array_equal(soundfile.read("out/0001.wav")[0], soundfile.read("alone.wav")[0])
    assert sorted(path.name for path in Path("out").glob("*.*")) == [".spoken.jsonl", "0001.wav", "0003.wav"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.txt", "a1.wav|hello | there\nb-2|good day\n"),
        ("t.txt", "id|text\na1|hello | there\nb-2|good day\n"),
        ("t.csv", 'text,id\n"hello, there",a1\ngood day,b-2\n'),
        ("t.tsv", "a1\thello there\nb-2\tgood day\n"),
    ],
)
def test_the_texts_of_a_table_are_named_by_their_ids(speak, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    (tmp_path / "out").mkdir()
    code, out, err = speak("--file", name, "-o", "out", "--json")
    assert code == 0, err
    assert sorted(result["file"] for result in json.loads(out)["files"]) == ["out/a1.wav", "out/b-2.wav"]


def test_a_table_may_name_the_speakers(speak, two_speakers, tmp_path, capfd):
    (tmp_path / "t.txt").write_text("id|speaker|text\na|ann|hello\nb|ben|hello\nc|carl|hello\n")
    assert main(["tts", "--file", "t.txt", "-o", "out/", "--model", str(two_speakers)]) == 2
    assert "line 4: " in (error := capfd.readouterr().err) and "no speaker 'carl'" in error
    (tmp_path / "t.txt").write_text("id|speaker|text\na|ann|hello\nb|ben|hello\n")
    assert main(["tts", "--file", "t.txt", "-o", "out/", "--model", str(two_speakers)]) == 0
    ann, ben = (soundfile.read(f"out/{name}.wav")[0] for name in "ab")
    assert ann.shape != ben.shape or not np.array_equal(ann, ben)


def test_all_wrong_lines_are_reported_before_anything_is_spoken(speak, tmp_path):
    (tmp_path / "t.txt").write_text("a|good\na/b|good\nc|\nd|good\nD|good\n..|good\n")
    code, _, err = speak("--file", "t.txt", "-o", "out/")
    assert code == 2 and "5 problems" in err
    for part in ("line 2: the id 'a/b' cannot", "line 3: the text is empty", "line 4: the id 'd' occurs 2", "line 6: "):
        assert part in err
    (tmp_path / "t.txt").write_text("a|good\nb|жук\nc|...\n")
    code, _, err = speak("--file", "t.txt", "-o", "out/")
    assert code == 2 and "2 problems" in err and "line 2: " in err and "line 3: there is nothing to say" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no texts"),
        ("id|words\na|b\n", "has no column text; it has the columns id, words"),
        ("a|b|c\nd|e|f\n", "3 columns"),
    ],
)
def test_a_table_without_texts_is_refused(speak, tmp_path, content, message):
    (tmp_path / "t.txt").write_text(content)
    code, _, err = speak("--file", "t.txt", "-o", "out/")
    assert code == 2 and message in err


def test_a_folder_for_one_text_is_refused(speak):
    code, _, err = speak("hello", "-o", ".")
    assert code == 2 and "is a folder, which gets a file for each line of --file" in err


def test_what_stream_ignores_is_said(speak):
    code, out, err = speak("hello", "--stream", "-o", "x.wav", "--json")
    assert code == 0 and "--stream writes to standard output only and ignores -o, --json" in err
    assert len(out) > 100 and not Path("x.wav").exists()


def test_a_closed_standard_output_is_one_sentence(speak, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    code, _, err = speak("hello", "--stream")
    assert code == 2 and "standard output, which is closed" in err and "-o speech.wav" in err


def test_audio_that_clips_is_reported_once(speak, tmp_path, monkeypatch):
    original = speaking._wave
    monkeypatch.setattr(speaking, "_wave", lambda *args: original(*args) * 1e3)
    (tmp_path / "t.txt").write_text("one. two.\nthree\n")
    with pytest.warns(UserWarning, match="2 of 2 files went beyond full scale") as caught:
        assert speak("--file", "t.txt", "-o", "out/")[0] == 0
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="beyond full scale") as caught:
        assert speak("one. two.", "--stream")[0] == 0
    assert len(caught) == 1


PLAYER = """#!/bin/sh
echo "$@" > {folder}/options
cat > {folder}/played
{end}
"""


@pytest.fixture
def aplay(tmp_path, monkeypatch):
    """A function that installs a program called aplay, which keeps what it gets and then runs the line ``end``."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)

    def install(end="exit 0", text=PLAYER):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "aplay").write_text(text.format(folder=folder, end=end))
        (folder / "aplay").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
        return folder

    return install


def test_play_gives_the_speech_to_a_player_and_writes_a_file_only_with_o(speak, aplay):
    folder = aplay()
    code, out, _ = speak("one. two.", "--play")
    assert code == 0 and out.startswith("played: ")
    assert not Path("speech.wav").exists()
    assert speak("one. two.", "--play", "-o", "x.wav")[0] == 0
    samples, rate = soundfile.read("x.wav", dtype="int16")
    np.testing.assert_allclose(np.frombuffer((folder / "played").read_bytes(), "<i2"), samples, atol=1)
    assert f"-f S16_LE -c 1 -r {rate} -" in (folder / "options").read_text()


def test_a_player_that_fails_is_an_error_with_its_last_line(speak, aplay):
    aplay("echo some line >&2; echo no sound card >&2; exit 1")
    code, _, err = speak("hello", "--play")
    assert code == 2 and "aplay cannot play the audio: no sound card" in err and "-o FILE" in err
    aplay(text="#!/bin/sh\necho no sound card >&2\nexit 1\n")  # it reads nothing
    code, _, err = speak("hello", "--play")
    assert code == 2 and "no sound card" in err


def test_a_player_that_the_user_closes_does_not_cut_the_file(speak, aplay):
    speak("one. two. three.", "-o", "whole.wav")
    aplay(text="#!/bin/sh\nexit 0\n")
    assert speak("one. two. three.", "--play", "-o", "x.wav")[0] == 0
    np.testing.assert_array_equal(soundfile.read("x.wav")[0], soundfile.read("whole.wav")[0])


def test_without_a_player_the_error_comes_before_the_work(speak, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(amphion, "task", lambda *_, **__: pytest.fail("loaded too early"))
    code, _, err = speak("hello", "--play")
    assert code == 2 and "no program here can play audio" in err and "amphion-tts[play]" in err


def test_sounddevice_is_preferred(monkeypatch):
    written = []

    class Stream:
        def __init__(self, **options):
            assert options == {"samplerate": 16000, "channels": 1, "dtype": "int16"}

        def __enter__(self):
            return types.SimpleNamespace(write=written.append)

        def __exit__(self, kind, error, trace):
            if error is None and len(written) > 1:
                raise Broken("device lost")

    class Broken(Exception):
        pass

    module = types.SimpleNamespace(RawOutputStream=Stream, PortAudioError=Broken)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    piece = amphion.Audio(np.array([0.0, 1.0, -2.0], np.float32), 16000)
    assert len(list(playing.play([piece], 16000, playing.find_player()))) == 1
    assert np.frombuffer(written[0], "<i2").tolist() == [0, 32767, -32767]
    with pytest.raises(AmphionError, match="cannot be played: device lost"):
        list(playing.play([piece], 16000, playing.find_player()))


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--modle", "x"], "--modle: did you mean --model?"),
        (["--length-scale", "2"], "--control length_scale=VALUE"),
        (["world"], "put a text or a path that has spaces in quotes"),
    ],
)
def test_an_unknown_option_has_a_hint(speak, words, hint):
    code, _, err = speak("Hello", *words)
    assert code == 2 and "unrecognized arguments" in err and hint in err


@pytest.fixture(scope="module")
def arpabet_voice(save_voice, tmp_path_factory):
    """The folder of a voice that reads English by the dictionary."""
    return save_voice(tmp_path_factory.mktemp("voice") / "arpabet", n_speakers=1, frontend={"name": "cmudict"})


def test_guessed_words_are_named_once_and_not_those_of_the_lexicon(arpabet_voice, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    names = "Zaphod met Vorlund. Vorlund met Kjersti. Zelnik, Hufflepuff and Grimbold left."
    Path("lines.txt").write_text(f"{names}\n{names}\nKnown words.\n", encoding="utf-8")
    Path("words.txt").write_text("zaphod Z AE1 F AA0 D\n", encoding="utf-8")
    begin = "note: the sounds of {} are guessed: {}; to state them: --lexicon FILE with lines such as '{} "
    five = "Zaphod, Vorlund, Kjersti, Zelnik, Hufflepuff, ..."
    for words, note in (
        (["--file", "lines.txt", "-o", "spoken/"], begin.format("6 words", five, "Zaphod")),
        ([names, "--lexicon", "words.txt"], begin.format("5 words", five[8:-5] + ", Grimbold", "Vorlund")),
        (["It is /V AO1 R L AH0 N D/, Kjersti.", "--stream"], begin.format("1 word", "Kjersti", "Kjersti")),
        (["Known words only."], ""),
        (["V AO1 R L AH0 N D", "--phonemes"], ""),
    ):
        assert main(["tts", *words, "--model", str(arpabet_voice)]) == 0
        error = capfd.readouterr().err
        assert error.count("guessed") == bool(note) and note in error


def test_the_line_that_the_note_shows_is_a_line_of_a_lexicon(arpabet_voice, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    main(["tts", "Vorlund.", "--model", str(arpabet_voice), "-o", "a.wav"])
    Path("words.txt").write_text(capfd.readouterr().err.split("'")[1], encoding="utf-8")
    main(["tts", "Vorlund.", "--model", str(arpabet_voice), "-o", "b.wav", "--lexicon", "words.txt"])
    assert "guessed" not in capfd.readouterr().err
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()


@pytest.mark.parametrize("value", ["true", "yes", "1e999", "nan"])
def test_a_control_that_is_no_number_is_refused(speak, value):
    code, _, err = speak("hello", "--control", f"length_scale={value}")
    assert code == 2 and "length_scale: " in err and "controls of this model" in err


def test_a_very_long_word_is_spoken_in_pieces_of_bounded_length(voice):
    pieces = amphion.task("tts", model=str(voice)).plan("a" * 100_000).pieces
    assert len(pieces) == 250 and max(len(piece.text) for piece in pieces) == 400


def test_a_text_that_is_the_name_of_a_file_is_noted(speak, tmp_path):
    (tmp_path / "lines.txt").write_text("Hello.")
    code, _, err = speak("lines.txt", "-o", "a.wav")
    assert code == 0
    assert "to speak its text: --file lines.txt" in err
    assert "--file" not in speak("Hello.", "-o", "a.wav")[2]


@pytest.mark.parametrize(("voice_language", "language"), [("de", "de"), ("en-us", "en")])
def test_the_word_error_rate_is_in_the_language_of_the_voice(voice_language, language):
    pytest.importorskip("amphion_eval", reason="it has the word error rate")
    config = types.SimpleNamespace(language=voice_language)
    task = types.SimpleNamespace(frontend=types.SimpleNamespace(config=config))
    assert _in_language(amphion.get("metrics", "wer"), task).config.language == language
