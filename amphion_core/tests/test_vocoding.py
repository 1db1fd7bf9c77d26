"""Opening a vocoder for a mel convention: by name, from a folder, or the best that is there."""

import pytest
import torch

import amphion_core as amphion
from amphion_core import cards, registry, weights
from amphion_core.api import Card, MelConfig
from amphion_core.errors import AudioError, UnknownComponent, WeightsError
from amphion_core.vocoding import choose_vocoder, needs_no_weights, open_named_vocoder, open_vocoder

OTHER = MelConfig.preset("bigvgan_24k_100")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights of a small vocoder; its convention is not a preset."""
    net = amphion.build("vocoder/hifigan", **amphion.get("models", "vocoder/hifigan").example_config().model_dump())
    return weights.save(net, tmp_path_factory.mktemp("vocoder") / "small")


@pytest.fixture
def default_card(folder, monkeypatch):
    """Make the small vocoder the default card of its family."""
    card = Card("vocoder/hifigan@small", "small", source=str(folder), default=True)
    monkeypatch.setattr(cards, "_collect", lambda refs: ((card,), ()))
    return card


def test_a_vocoder_without_weights_is_built_for_the_wanted_convention():
    net = open_vocoder("vocoder/griffin_lim", OTHER)
    assert net.config.mel == OTHER and not net.training
    assert net.vocode(torch.full((1, 100, 3), -5.0), seed=0).shape == (1, 3 * OTHER.hop_length)
    assert open_vocoder("vocoder/griffin_lim").config.mel == MelConfig.preset("hifigan_22k_80")


def test_a_folder_is_opened_when_the_conventions_agree_and_refused_when_they_differ(folder):
    mel = open_vocoder(str(folder)).config.mel
    assert open_vocoder(folder, mel).config.mel == mel
    with pytest.raises(AudioError, match=r"differ \(.*n_mels: 5 and 4"):
        open_vocoder(folder, mel.replace(n_mels=5))


def test_the_default_is_the_card_with_the_same_convention_else_a_vocoder_without_weights(default_card, folder):
    mel = open_vocoder(folder).config.mel
    assert open_named_vocoder(None, mel)[0] == "vocoder/hifigan@small"
    assert open_named_vocoder(None, None)[0] == "vocoder/hifigan@small"
    name, net = open_named_vocoder(None, OTHER)
    assert name == "vocoder/griffin_lim" and net.config.mel == OTHER


def test_the_choice_without_a_trained_vocoder_comes_with_a_note(default_card, folder, monkeypatch):
    assert choose_vocoder(open_vocoder(folder).config.mel) == ("vocoder/hifigan@small", None)
    name, note = choose_vocoder(OTHER)
    assert name == "vocoder/griffin_lim" and "(vocoder/hifigan@small: another one)" in note
    monkeypatch.setattr(cards, "_collect", lambda refs: ((), ()))
    name, note = choose_vocoder()
    assert name == "vocoder/griffin_lim" and note.startswith("no trained vocoder is installed for general use")


def test_every_field_of_the_convention_counts_and_the_first_card_that_fits_is_chosen(folder, monkeypatch):
    mel = open_vocoder(folder).config.mel
    cut = [Card(f"vocoder/hifigan@{tag}", tag, source=str(folder), default=tag != "own") for tag in ("own", "a", "b")]
    monkeypatch.setattr(cards, "_collect", lambda refs: (tuple(cut), ()))
    assert choose_vocoder(mel).name == "vocoder/hifigan@a"  # a card that is not marked default is never chosen
    others = {"epsilon": 0.5, "pad_mode": "constant", "log": "log10", "floor": 0.1, "fmin": 1.0, "normalized": True}
    for field, value in others.items():
        assert getattr(mel, field) != value
        assert choose_vocoder(mel.replace(**{field: value})).name == "vocoder/griffin_lim"


def test_a_default_card_that_is_not_on_this_disk_is_not_taken(default_card, monkeypatch):
    monkeypatch.setattr(Card, "status", property(lambda card: "download"))
    assert open_named_vocoder(None, None)[0] == "vocoder/griffin_lim"


def test_without_a_vocoder_that_fits_the_error_says_what_there_is(default_card, monkeypatch):
    monkeypatch.setattr("amphion_core.vocoding.weightless_vocoders", lambda: iter(()))
    with pytest.raises(UnknownComponent, match=r"\(vocoder/hifigan@small: another one\)"):
        open_vocoder(None, OTHER)
    monkeypatch.setattr(cards, "_collect", lambda refs: ((), ()))
    with pytest.raises(UnknownComponent, match="of the family 'vocoder'"):
        open_vocoder(None, OTHER)


def test_names_that_are_no_vocoder_with_weights_are_errors(folder):
    with pytest.raises(UnknownComponent, match="did you mean vocoder/griffin_lim"):
        open_vocoder("vocoder/griffin_lin")
    with pytest.raises((UnknownComponent, WeightsError), match="without weights"):
        open_vocoder("vocoder/hifigan@v1")
    example = amphion.get("models", "discriminator/mpd").example_config()
    other = weights.save(amphion.build("discriminator/mpd", **example.model_dump()), folder.parent / "judge")
    with pytest.raises(AudioError, match="is not a vocoder"):
        open_vocoder(other)


def test_a_broken_vocoder_does_not_hide_those_that_work():
    broken = registry.ComponentRef(
        "models", "vocoder/aaa", "amphion_nowhere:Thing", "amphion-broken", "1", api="amphion_core.api:v1"
    )
    with registry.temporary(broken):
        assert open_named_vocoder(None, OTHER)[0] == "vocoder/griffin_lim"
    assert needs_no_weights("vocoder/griffin_lim") and not needs_no_weights("vocoder/hifigan")
