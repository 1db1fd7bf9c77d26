"""Durations for FastSpeech 2: from TextGrid files, and fitted to the frames of the mel."""

import pickle

import pytest
import torch
from hypothesis import given, settings, strategies as st

from amphion_core.api import FrontendPart, MelConfig, Utterance
from amphion_core.errors import DataError, RecipeError
from amphion_tts.trainers.durations import fitted
from amphion_tts.trainers.fastspeech2 import Durations
from amphion_tts.trainers.textgrids import TextGrids
from amphion_tts.trainers.variances import token_means

MEL = MelConfig.preset("hifigan_22k_80")
HOP = MEL.hop_length / MEL.sample_rate  # seconds
TEXT = "The sea, the sea"
PHONES = [("", 0.1), ("DH", 0.15), ("AH0", 0.2), ("S", 0.33), ("IY1", 0.5), ("", 0.7), ("DH", 0.78), ("AH0", 0.8),
          ("S", 0.95), ("IY1", 1.2), ("", 1.5)]  # fmt: skip


def write(folder, phones, name="one", tier="phones"):
    """A TextGrid in Praat's long form, as MFA writes it."""
    end = phones[-1][1]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end}",
             "tiers? <exists>", "size = 1", "item []:", "    item [1]:",
             '        class = "IntervalTier"', f'        name = "{tier}"',
             "        xmin = 0", f"        xmax = {end}", f"        intervals: size = {len(phones)}"]  # fmt: skip
    start = 0.0
    for number, (phone, stop) in enumerate(phones, 1):
        lines += [f"        intervals [{number}]:", f"            xmin = {start}", f"            xmax = {stop}",
                  f'            text = "{phone}"']  # fmt: skip
        start = stop
    path = folder / f"{name}.TextGrid"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def frontend():
    return FrontendPart.named("cmudict", blank=None, begin=" ", end=" ").build()


def utterance(text=TEXT, duration=1.5, **fields):
    return Utterance("corpus/one", "wavs/one.wav", duration, text=text, **fields)


def row(folder, frontend, utterance):
    frames = MEL.frames(int(utterance.duration * MEL.sample_rate))
    ids, durations = TextGrids(str(folder)).row(utterance, frontend, MEL, frames)
    assert len(ids) == len(durations) and sum(durations) == frames
    return [frontend.config.symbols[index] for index in ids], durations


def test_phones_of_the_grid_are_the_tokens_and_marks_take_the_silences(tmp_path, frontend):
    write(tmp_path, PHONES)
    tokens, durations = row(tmp_path, frontend, utterance())
    assert tokens == [" ", "DH", "AH0", " ", "S", "IY1", ",", " ", "DH", "AH0", " ", "S", "IY1", " "]
    border = [0, *(round(end / HOP) for _, end in PHONES[:-1]), 129]
    silence = border[6] - border[5]
    assert durations[6:8] == [silence, 0]  # the comma takes the pause
    assert durations[0] == border[1] and durations[-1] == 129 - border[10]  # the symbols at both ends
    assert durations[3] == durations[10] == 0  # no silence between the words


@pytest.mark.parametrize("silence", ["", "sp", "sil", " "])
def test_every_name_of_silence_is_understood(tmp_path, frontend, silence):
    write(tmp_path, [(phone or silence, end) for phone, end in PHONES])
    assert row(tmp_path, frontend, utterance())[0].count("S") == 2


def test_another_pronunciation_is_taken_from_the_grid(tmp_path, frontend):
    write(tmp_path, [("IY0" if end == 0.8 else phone, end) for phone, end in PHONES])
    assert row(tmp_path, frontend, utterance())[0][8:10] == ["DH", "IY0"]


def test_blanks_and_end_symbols_of_the_frontend_get_no_frames(tmp_path):
    blank = FrontendPart.named("cmudict", begin="_", end="_").build()
    write(tmp_path, PHONES)
    tokens, durations = row(tmp_path, blank, utterance())
    assert tokens[::2] == ["_"] * (len(tokens) // 2 + 1) and not any(durations[::2])


def test_without_a_mark_the_phone_beside_a_silence_takes_it(tmp_path):
    frontend = FrontendPart.named("cmudict", blank=None).build()
    write(tmp_path, PHONES)
    tokens, durations = row(tmp_path, frontend, utterance())
    assert (tokens[0], durations[0]) == ("DH", round(0.15 / HOP))
    assert (tokens[-1], durations[-1]) == ("IY1", 129 - round(0.95 / HOP))


ends = st.lists(st.floats(0.001, 0.2), min_size=9, max_size=9)


@settings(deadline=None)
@given(ends)
def test_frames_always_sum_to_those_of_the_mel(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("grids")
    border, phones = 0.0, []
    for (phone, _), step in zip(PHONES[1:-1], steps, strict=True):
        border += step
        phones.append((phone, round(border, 6)))
    write(folder, phones)
    frontend = FrontendPart.named("cmudict", blank=None).build()
    tokens, durations = row(folder, frontend, utterance(duration=border))
    assert min(durations) >= 0 and len(tokens) == 13 - 1


def test_a_grid_of_another_text_is_refused_with_item_and_phone(tmp_path, frontend):
    write(tmp_path, PHONES)
    with pytest.raises(DataError, match=r"item corpus/one: .*does not fit its text: phone 1 is 'DH', .* is 'M'"):
        row(tmp_path, frontend, utterance("Mountains grow"))


def test_a_phone_that_the_model_lacks_is_named_with_its_item_and_time(tmp_path, frontend):
    write(tmp_path, [("spn" if end == 0.5 else phone, end) for phone, end in PHONES])
    with pytest.raises(DataError, match=r"item corpus/one: the phone 'spn' .* ends at 0.50 s, is not among the"):
        row(tmp_path, frontend, utterance())


def test_silence_that_prepare_left_out_is_left_out_of_the_grid(tmp_path, frontend):
    write(tmp_path, PHONES)
    whole = row(tmp_path, frontend, utterance())
    tokens, durations = row(tmp_path, frontend, utterance(start=0.05, duration=1.3))
    assert tokens == whole[0]
    assert durations[0] == round(0.05 / HOP) and durations[-1] == sum(durations) - round(1.15 / HOP)


def test_a_recording_that_ends_before_its_last_phone_is_refused(tmp_path, frontend):
    write(tmp_path, PHONES)
    with pytest.raises(DataError, match=r"its last phone at 1.20 s, and its recording at 1.00 s"):
        row(tmp_path, frontend, utterance(duration=1.0))


def test_a_grid_of_another_recording_is_refused(tmp_path, frontend):
    write(tmp_path, PHONES)
    with pytest.raises(DataError, match=r"ends at 1.50 s, its last phone at 1.20 s, and its recording at 2.00 s"):
        row(tmp_path, frontend, utterance(duration=2.0))


def test_missing_files_tiers_and_folders_are_named(tmp_path, frontend):
    with pytest.raises(DataError, match=r"item corpus/one has no one.TextGrid under"):
        row(tmp_path, frontend, utterance())
    write(tmp_path, PHONES, tier="words")
    with pytest.raises(DataError, match="has no tier 'phones'; its tiers: words"):
        row(tmp_path, frontend, utterance())
    (tmp_path / "one.TextGrid").write_text("nothing", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read as a TextGrid"):
        row(tmp_path, frontend, utterance())
    with pytest.raises(DataError, match="is not a folder of TextGrid files"):
        TextGrids(str(tmp_path / "absent"))


def test_a_reader_that_has_worked_still_pickles(tmp_path, frontend):
    write(tmp_path, PHONES)
    grids = TextGrids(str(tmp_path))
    grids.intervals(utterance())
    assert pickle.loads(pickle.dumps(grids)).intervals(utterance()) == grids.intervals(utterance())


def test_the_last_token_takes_a_difference_of_one_frame_and_more_is_an_error():
    durations, lengths = torch.tensor([[3, 2, 4], [2, 2, 0]]), torch.tensor([3, 2])
    found = fitted(durations, lengths, torch.tensor([10, 3]), ["a", "b"])
    assert found.tolist() == [[3, 2, 5], [2, 1, 0]]
    with pytest.raises(DataError, match="item b sum to 4 frames, and its mel has 6"):
        fitted(durations, lengths, torch.tensor([9, 6]), ["a", "b"])


def test_two_sources_of_durations_are_refused():
    with pytest.raises((ValueError, RecipeError), match="either a folder of TextGrids or a model"):
        Durations(textgrids="grids", model="runs/vits")


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=6).filter(sum))
def test_values_of_tokens_are_the_means_of_their_frames(counts):
    durations = torch.tensor([counts])
    values = torch.randn(1, sum(counts), generator=torch.Generator().manual_seed(sum(counts)))
    start, expected = 0, []
    for count in counts:
        own = values[0, start : start + count] if count else values[0, min(start, sum(counts) - 1)].reshape(1)
        expected.append(float(own.mean()))
        start += count
    torch.testing.assert_close(token_means(values, durations)[0], torch.tensor(expected), atol=1e-6, rtol=1e-5)
