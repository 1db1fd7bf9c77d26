"""Prepare texts for speech: write English numbers and symbols as words, split texts into sentences."""

from amphion_core.text.english import normalize_english
from amphion_core.text.sentences import clean, plain_marks, sentence_ends, split_sentences

__all__ = ["clean", "normalize_english", "plain_marks", "sentence_ends", "split_sentences"]
