"""Prepare texts for speech: write English numbers and symbols as words, split texts into sentences."""

from amphion_core.text.english import normalize_english
from amphion_core.text.line_breaks import paragraphs
from amphion_core.text.sentences import (
    clause_ends,
    clean,
    cut_sentence,
    plain_marks,
    sentence_ends,
    sentences_of_line,
    split_sentences,
)

__all__ = [
    "clause_ends",
    "clean",
    "cut_sentence",
    "normalize_english",
    "paragraphs",
    "plain_marks",
    "sentence_ends",
    "sentences_of_line",
    "split_sentences",
]
