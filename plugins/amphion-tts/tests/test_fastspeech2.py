"""FastSpeech 2: reference numbers, durations, controls, padding, speakers, levels of pitch and energy."""

import pytest
import torch

from amphion_tts.models.fastspeech2 import FastSpeech2
from amphion_tts.models.fastspeech2_modules import positions
from amphion_tts.models.fastspeech2_variance import spread


@pytest.fixture(scope="module")
def case(golden):
    return golden("fs2")


@pytest.fixture(scope="module")
def net(case):
    """The network of the reference numbers, whose position tables are computed here."""
    given = case["config"]
    sizes, stats = given["transformer"], given["stats"]
    built = FastSpeech2(
        FastSpeech2.Config(
            vocabulary=361, n_speakers=3, hidden_channels=32, encoder_layers=2, decoder_layers=2,
            filter_channels=sizes["conv_filter_size"], predictor_channels=32, n_bins=16, pitch_range=stats["pitch"],
            energy_range=stats["energy"],
        )
    )  # fmt: skip
    state = {name: value for name, value in case["state_dict"].items() if not name.endswith("position_enc")}
    bins = built.variance_adaptor.pitch_bins.clone()
    built.load_state_dict(state)
    torch.testing.assert_close(bins, built.variance_adaptor.pitch_bins)
    return built.eval()


@pytest.fixture(scope="module")
def passed(case, net):
    x = case["inputs"]
    with torch.no_grad():
        return net(x["texts"], x["src_lens"], x["dur"], x["pitch"], x["energy"], x["speakers"])


def close(ours, theirs, tolerance=1e-5):
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) <= tolerance


def test_the_position_table_is_that_of_the_checkpoint(case):
    theirs = case["state_dict"]["encoder.position_enc"][0]
    close(positions(len(theirs), 32, torch.device("cpu")), theirs)


def test_teacher_forced_pass_equals_the_reference(case, passed):
    """Of the shorter text, the published predictors see padding in the last two symbols, its PostNet in ten frames."""
    y = case["outputs"]
    assert torch.equal(~passed.token_mask, y["src_masks"]) and torch.equal(~passed.frame_mask, y["mel_masks"])
    close(passed.mel.mT[passed.frame_mask], y["mel"][passed.frame_mask])
    close(passed.refined.mT[0], y["postnet_mel"][0])
    close(passed.refined.mT[1, :2], y["postnet_mel"][1, :2])
    for ours, theirs in ((passed.log_durations, "logd_pred"), (passed.pitch, "p_pred"), (passed.energy, "e_pred")):
        close(ours[0], y[theirs][0])
        close(ours[1, :3], y[theirs][1, :3])


def test_without_masks_even_the_padding_of_the_reference_is_repeated(case, net, passed):
    x, y = case["inputs"], case["outputs"]
    with torch.no_grad():
        h = net.encoder(x["texts"], passed.token_mask) + net.speaker_emb(x["speakers"])[:, None]
        found = net.variance_adaptor.duration_predictor(h, None) * passed.token_mask
        close(found, y["logd_pred"])
        pitch = net.variance_adaptor.pitch_predictor(h, None) * passed.token_mask
        close(pitch, y["p_pred"])
        h = net.variance_adaptor.with_pitch(h, x["pitch"])
        energy = net.variance_adaptor.energy_predictor(h, None) * passed.token_mask
        close(energy, y["e_pred"])
        close(y["mel"] + net.postnet(y["mel"], None), y["postnet_mel"])
    frames, tokens = passed.frame_mask, passed.token_mask
    log_d = torch.log(x["dur"] + 1.0)
    refined = y["mel"] + net.postnet(y["mel"], None)
    losses = [
        (passed.mel.mT - x["mel"])[frames].abs().mean(), (refined - x["mel"])[frames].abs().mean(),
        (pitch - x["pitch"])[tokens].square().mean(), (energy - x["energy"])[tokens].square().mean(),
        (found - log_d)[tokens].square().mean(),
    ]  # fmt: skip
    close(torch.stack([sum(losses), *losses]).detach(), torch.tensor(y["losses"]))


def test_free_running_pass_equals_the_reference(case, net):
    """The reference rounds durations, multiplies them by 1.5 and cuts off the fraction; the rest is repeated here."""
    x, y = case["inputs"], case["outputs"]["free"]
    durations = y["d_rounded"].long()
    with torch.no_grad():
        own = net(x["texts"], x["src_lens"], durations, speaker=x["speakers"])
        close(own.log_durations[0], y["logd_pred"][0])
        close(own.pitch[0] * 1.2, y["p_pred"][0])
        made = net(x["texts"], x["src_lens"], durations, y["p_pred"], y["e_pred"], x["speakers"])
    close(made.mel.mT[made.frame_mask], y["mel"][made.frame_mask])
    close(made.refined.mT[0], y["postnet_mel"][0])


def test_durations_spread_the_rows_as_in_the_reference(case):
    x = case["inputs"]["length_regulator"]
    assert torch.equal(spread(x["x"], x["dur"], 15), case["outputs"]["length_regulator"])
