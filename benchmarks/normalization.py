"""English normalisation against NeMo text processing, on sentences of our own (normalization_sentences.txt).

Words only are compared: case, punctuation and hyphens are ignored, and so is the choice between two right readings
(`SAME`). Prints the share of sentences that agree and every sentence that does not. Building NeMo's grammars takes
about half a minute on an idle core; with --cache FOLDER they are kept for the next run.
Needs: pip install nemo-text-processing
Run: python benchmarks/normalization.py [--cache FOLDER]
"""

import argparse
import logging
import re
from importlib.util import find_spec
from pathlib import Path

from amphion_core.text import normalize_english

SAME = (
    (r"\bhundred and\b", "hundred"),
    (r"\bthousand and\b", "thousand"),
    (r"\b(?:oh|o)\b", "zero"),
    (r"\b(and) one (half|quarter|third|eighth)\b", r"\1 a \2"),
    (r"\bzero point\b", "point"),
    (r"\b(dollars?|pounds?|euros?) and\b", r"\1"),
    (r"\bmisses\b", "missus"),
    (r"\betcetera\b", "et cetera"),
    (r"\b([a-z])(?: ([a-z])\b)+", lambda match: match[0].replace(" ", "")),  # U S and US
)
"""Readings that are both right, as pairs of a regular expression and its replacement."""


def words(text: str) -> str:
    """The words of a text in the form in which two readings are compared."""
    text = re.sub(r"[^a-z' ]", " ", text.lower().replace("-", " "))
    for pattern, replacement in SAME:
        text = re.sub(pattern, replacement, text)
    return " ".join(text.split())


def main() -> None:
    """Compare all sentences, and print a table of those that differ."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cache", help="folder for NeMo's compiled grammars")
    arguments = parser.parse_args()
    if not find_spec("nemo_text_processing"):
        print("skipped: this comparison needs NeMo text processing: pip install nemo-text-processing")
        return
    from nemo_text_processing.text_normalization.normalize import Normalizer

    logging.disable(logging.INFO)
    theirs = Normalizer(input_case="cased", lang="en", cache_dir=arguments.cache)
    sentences = Path(__file__).with_name("normalization_sentences.txt").read_text(encoding="utf-8").splitlines()
    different = []
    for sentence in sentences:
        ours, reference = normalize_english(sentence), theirs.normalize(sentence, punct_post_process=True)
        if words(ours) != words(reference):
            different.append((sentence, ours, reference))
    agreed = len(sentences) - len(different)
    for sentence, ours, reference in different:
        print(f"{sentence}\n  ours: {ours}\n  NeMo: {reference}")
    print(f"{agreed} of {len(sentences)} sentences agree ({100 * agreed / len(sentences):.1f} %)")


if __name__ == "__main__":
    main()
