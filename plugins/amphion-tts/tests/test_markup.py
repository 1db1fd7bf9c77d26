"""Texts with pauses and phones, lexicons, texts of phones, paragraphs, and early first pieces.

Two tiny untrained voices speak: one reads letters, the other ARPAbet. IPA is read by eSpeak where it is installed.
"""

import json
import re
import time
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import amphion_core as amphion
from amphion_core.api import FrontendPart
from amphion_core.cli.main import main
from amphion_core.errors import DataError, RecipeError
from amphion_tts.lexicon import Lexicon, Pronunciations
from amphion_tts.markup import Marked, read_markup

QUIET = {"noise_scale": 0.0, "duration_noise_scale": 0.0}
ARPABET = FrontendPart.named("cmudict").build()
IPA_TABLE = FrontendPart.named("characters", symbols=[*"_ .,abcdefghijklmnopqrstuvwxyzˈˌːæɑəɛɪʊɹ"]).build()
needs_espeak = pytest.mark.skipif(
    not all(map(find_spec, ("phonemizer", "espeakng_loader"))),
    reason='needs eSpeak NG: pip install "amphion-tts[espeak]"',
)


@pytest.fixture(scope="module")
def task(voice):
    return amphion.task("tts", model=str(voice))


@pytest.fixture(scope="module")
def arpabet_voice(save_voice, tmp_path_factory):
    return save_voice(tmp_path_factory.mktemp("voice") / "arpabet", n_speakers=1, frontend={"name": "cmudict"})


@pytest.fixture(scope="module")
def arpabet(arpabet_voice):
    return amphion.task("tts", model=str(arpabet_voice))


def pieces(task, text, early=False, **fields):
    return task.plan(task.request(text=text, **fields), early=early).pieces


def tokens(task, text, **fields):
    return [" ".join(piece.tokens).replace("   ", " | ") for piece in pieces(task, text, **fields)]


def samples(task, text, **fields):
    return task.generate(task.request(text=text, controls=QUIET, **fields)).samples


ORDINARY = (
    "and/or", "he/she/they", "90 km/h", "1/2 of 3/4", "24/7", "on 3/4/2020 or 2020/03/04", "http://a.b/c/d/ is",
    "/usr/lib", "see /etc/ and /home/", "either / or / both", "/her/ and /b/ and /ah/", "a //b// c", "/ a /", "//", "/",
    "[sic] [1] [pauses] [pause-menu] [a pause]", r"C:\dir and \n", "AC/DC", "/AC/DC/", "x/K AE1 T/", "/K AE1 T/s",
    "/K AE1\n\nT", "/./ and /?/", "/US/ and /UK/", "5 $/kg and 6 $/pound",
)  # fmt: skip


@pytest.mark.parametrize("frontend", [ARPABET, IPA_TABLE], ids=["arpabet", "ipa"])
@pytest.mark.parametrize("text", ORDINARY)
def test_slashes_and_brackets_of_ordinary_texts_are_no_markup(text, frontend):
    assert read_markup(text, frontend) == Marked(text)


@pytest.mark.parametrize(
    "text", ["/K AE1 T/", "(/K AE1 T/)", "the /K AE1 T/, a", '"/K AE1 T/"', "a /k ae1 t/.", "the\n/K\nAE1 T/\nsat"]
)
def test_phones_stand_between_slashes_at_the_borders_of_words(text):
    (phones,) = read_markup(text, ARPABET).phones
    assert phones.tokens == ("K", "AE1", "T") and phones.text in text


def test_phones_of_single_characters_are_not_all_ascii():
    text = "/ˈbed/ but /bed/, /kæt/ but /cat/"
    assert [phones.text for phones in read_markup(text, IPA_TABLE).phones] == ["/ˈbed/", "/kæt/"]


@pytest.mark.skipif(find_spec("pypinyin") is None, reason='needs pypinyin: pip install "amphion-tts[chinese]"')
@pytest.mark.parametrize("text", ["我去 /ch ong2 q ing4/。", "我去/chong2 qing4/。", "我去重庆。"])
def test_phones_need_no_spaces_around_them_in_chinese(text):
    mandarin = FrontendPart.named("pypinyin").build()
    marked = Pronunciations(Lexicon.of({"重庆": "chong2 qing4"}), mandarin).apply(read_markup(text, mandarin))
    assert [phones.tokens for phones in marked.phones] == [("ch", "ong2", "q", "ing4")]


def test_words_around_stated_phones_are_read_as_in_a_sentence(arpabet):
    stated = tokens(arpabet, "Then a /T AH0 M EY1 T OW2/ fell, and the /K AE1 T/.")
    assert stated == tokens(arpabet, "Then a tomato fell, and the cat.")
    assert tokens(arpabet, "HELLO /W ER1 L D/ THERE") == tokens(arpabet, "HELLO WORLD THERE")


def test_a_piece_says_which_symbols_are_whose(arpabet):
    (piece,) = pieces(arpabet, "The /K AE1 T/ sat.")
    assert [part.text for part in piece.parts] == ["The ", "/K AE1 T/", " sat."]
    assert [part.is_word for part in piece.parts] == [True, False, True]
    assert piece.parts[1].tokens == ("K", "AE1", "T")
    assert list(piece.ids) == arpabet.frontend.ids(piece.tokens)


def test_a_stated_pronunciation_sounds_like_the_word(arpabet):
    word = samples(arpabet, "The cat sat.")
    np.testing.assert_array_equal(samples(arpabet, "The /K AE1 T/ sat."), word)
    np.testing.assert_array_equal(samples(arpabet, "The xyz sat.", lexicon={"xyz": "K AE1 T"}), word)
    np.testing.assert_array_equal(samples(arpabet, "DH AH0 | K AE1 T | S AE1 T .", phonemes=True), word)


@needs_espeak
def test_ipa_is_read_as_in_a_sentence_too(save_voice, tmp_path):
    task = amphion.task("tts", model=str(save_voice(tmp_path / "ipa", n_speakers=1, frontend={"name": "espeak"})))
    stated = pieces(task, "Then a /təmˈeɪɾoʊ/ came, and the /ˈæpəl/.")[0].tokens
    assert stated == pieces(task, "Then a tomato came, and the apple.")[0].tokens
    possessive = pieces(task, "Nguyen's and Mac's", lexicon={"nguyen": "nwˈiːn", "Mac": "mˈæk"})[0].tokens
    assert re.fullmatch("nwˈiːnz .*mˈæks", "".join(possessive))


@pytest.mark.parametrize(
    ("text", "pauses", "total"),
    [
        ("one [pause 0.5] two", [0.5, 0], 0.5),
        ("one [pause 500 ms] two", [0.5, 0], 0.5),
        ("one [PAUSE .5s], two", [0.5, 0], 0.5),
        ("one. [pause 0] two", [0, 0], 0),
        ("one. [pause 1] Two.", [1, 0], 1),
        ("One. [pause 1]\n\n[pause 0.25] Two.", [1.25, 0], 1.25),
        ("[pause 1] one [pause 2]", [1, 2], 3),
        ("one [pause 1] ... two", [1, 0], 1),
        ("one [pause 1].\n\nTwo.", [1, 0], 1),
    ],
)
def test_a_stated_pause_is_as_long_as_the_text_says(task, text, pauses, total):
    spoken = pieces(task, text)
    assert [piece.pause for piece in spoken] == pytest.approx(pauses)
    words = sum(len(samples(task, piece.text)) for piece in spoken if piece.parts)
    assert len(samples(task, text)) - words == round(total * task.sample_rate)


def test_an_escaped_bracket_or_slash_is_text(arpabet):
    assert [piece.text for piece in pieces(arpabet, r"one \[pause 1] or \/K AE1 T/")] == ["one [pause 1] or /K AE1 T/"]
    assert len(pieces(arpabet, "one [pause 1] two", markup=False)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Hello [pause] there", "'[pause]' at character 7 states no length"),
        ("one\nHello [pause 0,5]", "'[pause 0,5]' at character 7 of line 2 states no length"),
        ("a [pause for effect] b", "at character 3 states no length"),
        ("a [pause 61] b", "at character 3 is too long"),
        ("a [pause 1", "'[pause 1' at character 3 has no end"),
        ("a /HH AX0 L OW1/ b", "the phones at character 3 are not all phones of the voice: unknown phone 'AX0'"),
        ("a /həlˈoʊ/ b", "the phones at character 3 are not all"),
    ],
)
def test_wrong_markup_is_one_sentence_with_its_position(arpabet, text, message):
    with pytest.raises(DataError) as caught:
        arpabet.plan(text)
    assert message in caught.value.message and "belongs to the text" in caught.value.hint


WORDS = ("cat", "Dog.", "the,", "Mr.", "sat!", "x", "2", "I", "'quoted'", "and/or", "km/h", "A.", "word;", "(so)", "–")
ITEMS = st.sampled_from([*WORDS, *["[pause 1.25]"] * 3, *["/K AE1 T/", "/B AO1 L/."] * 2, r"\[pause", r"\/K/", "..."])
GAPS = st.sampled_from([" ", " ", " ", "\n", "\n\n", "  \r\n"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(ITEMS, GAPS), max_size=40), st.booleans())
def test_no_word_and_no_pause_is_lost_between_text_and_pieces(arpabet, found, early):
    text = "cat " + "".join(item + gap for item, gap in found)
    result = pieces(arpabet, text, early=early, pause=0, paragraph_pause=0, lexicon={"dog": "D AO1 G"})
    wanted = re.sub(r"\[pause 1.25\]", " ", text).replace("\\", "")
    assert re.sub(r"\W", "", "".join(piece.text for piece in result)) == re.sub(r"\W", "", wanted)
    stated = [part.tokens for piece in result for part in piece.parts if not part.is_word]
    assert stated == [("K", "AE1", "T") if item == "/K AE1 T/" else ("B", "AO1", "L") for item, _ in found
                      if item.startswith("/")]  # fmt: skip
    cuts = sum(piece.pause % 1.25 for piece in result)  # at commas
    assert sum(piece.pause for piece in result) - cuts == pytest.approx(1.25 * text.count("[pause 1.25]"))
    assert "".join("".join(piece.tokens) for piece in result).count("DAO1G") >= text.count("Dog.")
    assert not any(mark in piece.text for piece in result for mark in "\0\ud800")


@given(st.text(alphabet="/[]\\ pause0.5KAET1\n", max_size=80))
def test_any_text_of_brackets_and_slashes_is_read_or_refused_in_words(text):
    try:
        marked = read_markup(text, ARPABET)
    except DataError as error:
        assert "at character" in error.message
    else:
        assert marked.text.count("\ud800") == len(marked.pauses) and marked.text.count("\0") == len(marked.phones)


@pytest.mark.parametrize("unit", ["/", "/a ", " /a", "[pause", "\\", "[pause 1]", "/K AE1 T/ ", "[", " /" + "a" * 299])
def test_the_time_to_read_markup_grows_linearly(unit):
    def seconds(count):
        text = unit * (count // len(unit))
        start = time.process_time()
        try:
            read_markup(text, ARPABET)
        except DataError:
            assert "[pause" in unit
        return time.process_time() - start

    seconds(1_000)
    short, long = (min(seconds(count) for _ in range(2)) for count in (5_000, 40_000))
    assert long < 30 * short + 0.05  # 8 times the text; quadratic time would be 64 times as long


def test_wrapped_prose_is_one_paragraph_and_blank_lines_are_longer_pauses(task):
    wrapped = "one line of this wrapped prose that goes on\nand on until it ends here. then another.\n\nthe end."
    assert [piece.pause for piece in pieces(task, wrapped)] == [0.2, 0.6, 0]
    assert [piece.pause for piece in pieces(task, wrapped, pause=1, paragraph_pause=0.5)] == [1, 1, 0]
    assert [piece.pause for piece in pieces(task, "a" * 250 + ", " + "b" * 250)] == [0.1, 0]
    assert [piece.pause for piece in pieces(task, "a" * 250 + " " + "b" * 250)] == [0, 0]


def test_markup_does_not_change_where_wrapped_lines_are_joined(arpabet):
    text = (
        "It was not the first time that the old guard had seen the cat, and so\n"
        "the /K AE1 T/ /K AE1 T/ /K AE1 T/ [pause 0] /K AE1 T/ [pause 0] of\n"
        "Mary was no surprise to him."
    )
    assert [piece.text for piece in pieces(arpabet, text)][2:] == ["of Mary was no surprise to him."]


LONG = (
    "when the last of them had left the museum, the old guard, who had worked there for forty years, walked "
    "slowly through the halls, switched off the lights one after another, and listened to the rain. the end."
)


def test_streaming_begins_with_the_first_clause_of_a_long_sentence(task):
    whole, early = pieces(task, LONG), pieces(task, LONG, early=True)
    assert [piece.text for piece in whole] == [LONG[:-9], "the end."]
    assert early[0].text == "when the last of them had left the museum," and early[0].pause == 0.1
    assert " ".join(piece.text for piece in early) == LONG
    assert [piece.number for piece in early] == [0] * (len(early) - 1) + [1]
    stream = list(task.stream(LONG))
    assert len(stream) == len(early) and stream[0].duration < 0.5 * task.generate(LONG).duration
    np.testing.assert_array_equal(stream[-1].samples, list(task.speak(task.plan(LONG)))[-1].samples)


@pytest.mark.parametrize("text", ["a short sentence, with a comma, and more.", "word " * 60, "one, two. three, four."])
def test_short_sentences_and_sentences_without_clauses_are_not_cut_early(task, text):
    assert pieces(task, text, early=True) == pieces(task, text)


def test_an_early_piece_is_never_much_longer_than_what_is_played_meanwhile(task):
    text = "a first sentence of some words, and " + "more of the same words, and " * 40 + "the end."
    lengths = [len(piece.text) for piece in pieces(task, text, early=True)]
    assert lengths[0] < 60 and len(lengths) > 4
    assert all(length <= max(60, 4 * sum(lengths[:index])) for index, length in enumerate(lengths) if index)


LEXICON = """# my words
;;; another comment
nguyen\tN W IY1 N
Polish  P OW1 L IH0 SH
polish P AA1 L IH0 SH
new york\tN UW1 | Y AO1 R K
york\tY AO1 R K
don't D OW1 N T
"""


def test_a_lexicon_says_how_words_sound(arpabet, tmp_path):
    (tmp_path / "words.txt").write_text(LEXICON)

    def said(text):
        return tokens(arpabet, text, lexicon=tmp_path / "words.txt")[0]

    assert said("Nguyen NGUYEN nguyen") == "N W IY1 N | N W IY1 N | N W IY1 N"
    assert said("Polish polish POLISH") == "P OW1 L IH0 SH | P AA1 L IH0 SH | P AA1 L IH0 SH"
    assert said("New\n York, york") == "N UW1 | Y AO1 R K , | Y AO1 R K"
    assert said("don’t don't") == "D OW1 N T | D OW1 N T"
    assert said("a york's") == "AH0 | Y AO1 R K S"  # the ending of an English word fits its last sound
    assert said("a nguyen.") == "AH0 | N W IY1 N ."
    assert said("yorkshire") == tokens(arpabet, "yorkshire")[0]
    assert [part.is_word for part in pieces(arpabet, "york", lexicon=tmp_path / "words.txt")[0].parts] == [True]


def test_a_lexicon_finds_words_with_marks_in_any_form_and_words_without_spaces():
    letters = FrontendPart.named("characters", symbols=[*"_ ab"]).build()
    known = Pronunciations(Lexicon.of({"café": "a", "重庆": "b"}), letters)
    for text, found in (("a cafe\u0301 b", "a \0 b"), ("a café", "a \0"), ("去重庆吧", "去\0吧"), ("cafés", "cafés")):
        assert known.apply(Marked(text)).text.replace("\u2060", "") == found


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("cat K AE1 T\ntomato T AX0 M\n", "line 2: tomato: unknown phone 'AX0' at position 2 of 'T AX0 M'"),
        ("cat\n", "line 1: the word 'cat' has no phones"),
        ("cat K AE1 T\n\ncat K AE1\n", "line 3: the word 'cat' has phones in line 1 too"),
        ("'tis T IH1 Z\n", 'line 1: "\'tis" does not begin with a letter or a digit'),
        ("# nothing\n", "has no entries"),
        ("cat .\n", "line 1: cat: there are no phones in '.'"),
        (b"caf\xe9 K\n", "is not UTF-8 text"),
        (None, "words.txt"),
    ],
)
def test_a_wrong_lexicon_is_named_with_its_lines(arpabet_voice, tmp_path, content, problem, capsys):
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    out = tmp_path / "a.wav"
    assert main(["tts", "A cat.", "--model", str(arpabet_voice), "--lexicon", str(path), "-o", str(out)]) == 2
    error = capsys.readouterr().err
    assert problem in error and str(path) in error and "hint: " in error and not out.exists()


def test_what_is_no_lexicon_is_a_wrong_field(arpabet):
    with pytest.raises(RecipeError, match="lexicon: a lexicon is the path of a file, or words with their phones"):
        arpabet.request(text="a", lexicon=5)
    with pytest.raises(DataError, match="'cat': the word has no phones"):
        arpabet.request(text="a", lexicon={"cat": " "})


def test_a_text_of_phones_has_sentences_paragraphs_and_pauses(arpabet):
    text = "HH AH0 L OW1 , W ER1 L D . HH\nAY1\n\nY EH1 S [pause 2] B AY1 ."
    found = pieces(arpabet, text, phonemes=True)
    assert [" ".join(piece.tokens) for piece in found] == ["HH AH0 L OW1 , W ER1 L D .", "HH AY1", "Y EH1 S", "B AY1 ."]
    assert [piece.pause for piece in found] == [0.2, 0.6, 2, 0]
    with pytest.raises(DataError, match="unknown phone 'XX' at position 3"):
        pieces(arpabet, "HH AY1 XX .", phonemes=True)
    with pytest.raises(DataError, match="nothing to say"):
        pieces(arpabet, " . ", phonemes=True)
    with pytest.raises(DataError, match="a lexicon of words has no use"):
        pieces(arpabet, "HH AY1", phonemes=True, lexicon={"a": "B"})


def test_the_command_takes_all_of_it(arpabet_voice, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("xyz K AE1 T\n")
    controls = ["--control", "noise_scale=0", "--control", "duration_noise_scale=0"]

    def seconds(*words):
        assert main(["tts", *words, "--model", str(arpabet_voice), *controls, "--json"]) == 0
        return json.loads(capsys.readouterr().out)["duration"]

    plain = seconds("The cat sat.")
    assert seconds("The xyz sat.", "--lexicon", "words.txt") == plain
    assert seconds("DH AH0 | K AE1 T | S AE1 T .", "--phonemes") == plain
    assert seconds("The /K AE1 T/ sat. [pause 2]") == pytest.approx(plain + 2, abs=0.002)
    longer = [seconds("The cat.\n\nIt sat.", "--paragraph-pause", pause) for pause in ("0.5", "1.5")]
    assert longer[1] - longer[0] == pytest.approx(1, abs=0.002)
    assert main(["tts", "A [pause] b.", "--no-markup", "--model", str(arpabet_voice)]) == 0
    assert main(["tts", "A [pause] b.", "--model", str(arpabet_voice)]) == 2
    assert main(["tts", "HH AY5", "--phonemes", "--model", str(arpabet_voice)]) == 2
    assert "unknown phone 'AY5'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["The /K AE1 T/ sat."], ["K AE1 T", "--phonemes"]])
def test_what_has_phones_is_not_scored_by_words(arpabet_voice, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        amphion, "get", lambda kind, name, get=amphion.get: _Scorer if name == "wer" else get(kind, name)
    )
    assert main(["tts", *words, "--model", str(arpabet_voice), "--wer"]) == 2
    assert "--wer needs words" in capsys.readouterr().err


def test_markup_is_not_part_of_the_words_that_are_scored(arpabet):
    plan = arpabet.plan(arpabet.request(text=r"The xyz [pause 1] sat \[here].", lexicon={"xyz": "K AE1 T"}))
    assert plan.text == "The xyz sat [here]." and not plan.has_phones


class _Scorer:
    """Stands in for the metric, whose package need not be installed here."""

    class Config:
        """Nothing to choose."""

    def __init__(self, config):
        pass
