"""Forced alignment of a known text: against every possible path, and through the recogniser and its metric."""

import itertools

import numpy as np
import pytest

from amphion_core.errors import DataError
from amphion_eval.analysis.forced_alignment import align_labels
from amphion_eval.metrics.alignment_score import AlignmentScore


def collapsed(path):
    """The labels of a path of CTC: without repeats, then without blanks (0)."""
    return [label for label, _ in itertools.groupby(path) if label]


@pytest.mark.parametrize("labels", [[1], [1, 2], [1, 1], [2, 1, 2], [1, 2, 2]])
def test_the_spans_are_those_of_the_best_of_all_paths(labels):
    random = np.random.default_rng(len(labels))
    for _ in range(5):
        log_p = np.log(random.dirichlet(np.ones(3), size=6))
        paths = [path for path in itertools.product(range(3), repeat=6) if collapsed(path) == labels]
        best = max(paths, key=lambda path: sum(log_p[frame, label] for frame, label in enumerate(path)))
        runs, frame = [], 0
        for label, run in itertools.groupby(best):
            size = len(list(run))
            if label:
                runs.append((frame, frame + size, log_p[frame : frame + size, label].mean()))
            frame += size
        found = [(span.first, span.end, span.score) for span in align_labels(log_p, labels)]
        assert np.allclose(found, runs)


def test_more_letters_than_frames_are_refused():
    with pytest.raises(DataError, match="2 letters cannot be spoken in 2 frames"):  # equal letters need a blank between
        align_labels(np.zeros((2, 3)), [1, 1])


def test_words_get_their_times_and_a_wrong_text_a_low_score(hubert, monkeypatch):
    """With emissions that spell "BAD CAFE" at 20 frames a second."""
    import torch

    from amphion_core.api import Audio, RecognizerPart

    metric = AlignmentScore(AlignmentScore.Config(recognizer=RecognizerPart.named("hubert_ctc", model=str(hubert))))
    spelled = "__BB_AA_DD_||_CC_AA_FF_EE__"
    letters = metric.recognizer._loaded[1].tokenizer.get_vocab()
    logits = torch.full((len(spelled), len(letters)), 0.0)
    for frame, letter in enumerate(spelled):
        logits[frame, letters.get(letter, 0)] = 6.0
    monkeypatch.setattr(metric.recognizer, "_logits", lambda audio: iter([logits]))
    audio = Audio(np.zeros(16000 * len(spelled) // 20, np.float32) + 0.1, 16000)
    words = metric.recognizer.align(audio, "Bad, café?")
    assert [(word.word, word.start, word.end) for word in words[:1]] == [
        ("bad", pytest.approx(0.1), pytest.approx(0.5))
    ]
    right, wrong = (metric.measure(audio, text=text) for text in ("bad cafe", "jig cafe"))
    assert right.value > 90 and wrong.value < 30 and "jig" in wrong.notes["heard"]
    with pytest.raises(DataError, match="no text to align"):
        metric.measure(audio, text="...")
