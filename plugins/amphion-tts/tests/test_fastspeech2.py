"""FastSpeech 2: reference numbers, durations, controls, padding, speakers, levels of pitch and energy."""

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core.api import CorpusFacts
from amphion_core.data.config import DataConfig
from amphion_core.errors import DataError, RecipeError, WeightsError
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


TINY = FastSpeech2.example_config().replace(frontend=None, vocabulary=10, postnet_channels=0, aligner=False)


def build(**changes):
    """A small network that always has the same weights, with durations of some frames."""
    torch.manual_seed(0)
    made = FastSpeech2(TINY.replace(**changes)).for_inference()
    made.variance_adaptor.duration_predictor.linear_layer.bias.data.fill_(1.6)
    return made


def speak(made, **controls):
    ids, lengths = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8]]), torch.tensor([8])
    return made.synthesize(ids, lengths, torch.tensor([1]), controls=made.controls(controls))


@pytest.mark.parametrize("level", ["token", "frame"])
def test_an_item_is_the_same_alone_and_in_a_batch_also_in_training(level):
    net = build(pitch_level=level, energy_level=level, postnet_channels=8, kernels=(5, 3))
    ids, lengths = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 0, 0]]), torch.tensor([5, 3])
    durations = torch.tensor([[3, 0, 2, 4, 1], [2, 5, 1, 9, 9]])  # those of padding do not count
    both = net(ids, lengths, durations, speaker=torch.tensor([0, 1]))
    alone = net(ids[1:, :3], lengths[1:], durations[1:, :3], speaker=torch.tensor([1]))
    size = 3 if level == "token" else 8
    close(both.refined[1:, :, :8], alone.refined)
    close(both.log_durations[1:, :3], alone.log_durations)
    close(both.pitch[1:, :size], alone.pitch)
    close(both.energy[1:, :size], alone.energy)
    assert both.pitch.shape == ((2, 5) if level == "token" else (2, 10))
    assert both.refined[1, :, 8:].abs().max() == 0 and both.durations[1].tolist() == [2, 5, 1, 0, 0]


def test_durations_scale_and_each_item_has_a_frame():
    net = build()
    plain, slow = speak(net), speak(net, length_scale=2)
    assert int(plain.lengths[0]) == int(plain.durations.sum()) == plain.mel.shape[2] > 8
    assert int(slow.lengths[0]) == pytest.approx(2 * int(plain.lengths[0]), abs=8)
    assert int(speak(net, length_scale=1.1).lengths[0]) > int(plain.lengths[0])  # the published code gives the same
    assert 0 < int(speak(net, length_scale=0.25).lengths[0]) < int(plain.lengths[0]) / 2
    with pytest.raises(RecipeError, match="length_scale: input should be greater than or equal to"):
        speak(net, length_scale=0.0001)
    net.variance_adaptor.duration_predictor.linear_layer.bias.data.fill_(-9.0)
    assert speak(net).durations.tolist() == [[1, 0, 0, 0, 0, 0, 0, 0]]
    net.variance_adaptor.duration_predictor.linear_layer.bias.data.fill_(99.0)
    assert int(speak(net).durations.max()) == 5 * 22050 // 128  # five seconds at most


@pytest.mark.parametrize("level", ["token", "frame"])
def test_pitch_and_energy_follow_the_controls(level, monkeypatch):
    net = build(pitch_level=level, energy_level=level)
    used = {}
    adaptor = net.variance_adaptor
    for name in ("pitch", "energy"):
        add = getattr(adaptor, f"with_{name}")
        monkeypatch.setattr(
            adaptor, f"with_{name}", lambda x, values, name=name, add=add: used.update({name: values}) or add(x, values)
        )
    speak(net)
    pitch, energy = used["pitch"] * 40 + 150, used["energy"] + 1.0
    speak(net, pitch=12)
    torch.testing.assert_close(used["pitch"] * 40 + 150, pitch * 2)  # an octave
    speak(net, energy=20)
    torch.testing.assert_close(used["energy"] + 1.0, energy * 10)
    speak(net, pitch_variation=0, energy_variation=2)
    assert used["pitch"].abs().max() == 0
    speak(net, pitch_variation=0, pitch=-12)
    torch.testing.assert_close(used["pitch"], torch.full_like(used["pitch"], -75 / 40))


def test_a_shift_needs_statistics_and_a_variation_does_not():
    net = build(pitch_mean=None, pitch_std=None)
    speak(net, pitch_variation=2.0)
    with pytest.raises(DataError, match="does not state the mean and deviation of its pitch"):
        speak(net, pitch=2)


def test_long_and_short_texts():
    net = build()
    ids = torch.randint(1, 10, (1, 1500), generator=torch.Generator().manual_seed(0))
    long = net.synthesize(ids, torch.tensor([1500]), torch.tensor([0]))
    assert long.mel.shape[2] > 1500 and torch.isfinite(long.mel).all()
    single = net.synthesize(ids[:, :1], torch.tensor([1]), torch.tensor([0]))
    assert single.mel.shape[2] == int(single.durations[0, 0]) >= 1


@pytest.mark.parametrize(
    ("ids", "lengths", "speaker", "message"),
    [
        ([[1, 10]], [2], [0], "ids from 1 to 10: this FastSpeech 2 has 0 to 9"),
        ([[1, -1]], [2], [0], "ids from -1 to 1"),
        ([[1, 2]], [3], [0], "each item needs 1 to L tokens"),
        ([[1, 2]], [0], [0], "each item needs 1 to L tokens"),
        ([[1, 2]], [2], [2], "speakers from 2 to 2: this FastSpeech 2 has 0 to 1"),
        ([[1, 2]], [2], None, "has 2 speakers; none is given"),
    ],
)
def test_what_the_network_does_not_have_is_named(ids, lengths, speaker, message):
    given = None if speaker is None else torch.tensor(speaker)
    with pytest.raises(DataError, match=message):
        build().synthesize(torch.tensor(ids), torch.tensor(lengths), given)


def test_packed_layers_give_the_same(net):
    x = torch.randint(0, 361, (1, 300), generator=torch.Generator().manual_seed(0))
    plain = FastSpeech2(net.config).eval()
    plain.load_state_dict(net.state_dict())
    plain.variance_adaptor.duration_predictor.linear_layer.bias.data.fill_(1.2)
    packed = FastSpeech2(net.config)
    packed.load_state_dict(plain.state_dict())
    inputs = x, torch.tensor([300]), torch.tensor([2])
    one, other = plain.synthesize(*inputs), packed.for_inference().synthesize(*inputs)
    assert torch.equal(one.durations, other.durations)
    close(one.mel, other.mel, 1e-4 * float(one.mel.abs().max()))
    assert plain.state_dict().keys() == packed.state_dict().keys()


def test_an_aligner_finds_durations_that_add_up_to_the_frames():
    config = TINY.replace(aligner=True)
    net = FastSpeech2(config).eval()
    ids, lengths = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]]), torch.tensor([4, 2])
    wave_lengths = torch.tensor([1280, 900])
    found = net.align(ids, lengths, torch.randn(2, 1280), wave_lengths)
    assert found.sum(1).tolist() == [config.mel.frames(1280), config.mel.frames(900)]
    assert (found[0] > 0).all() and found[1, 2:].tolist() == [0, 0]
    with pytest.raises(WeightsError, match="has no aligner"):
        FastSpeech2(TINY).align(ids, lengths, torch.randn(2, 1280), wave_lengths)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_heads": 3}, "n_heads: 3 does not divide hidden_channels 8"),
        ({"kernels": (4, 1)}, "kernels: 4 is not odd"),
        ({"pitch_range": (2.0, 1.0)}, "pitch_range: 2.0 is not below 1.0"),
        ({"pitch_std": None}, "pitch_mean: give pitch_std with it"),
        ({"speakers": ("a",), "n_speakers": 2}, "n_speakers: 2 is stated, and speakers has 1 names"),
        ({"frontend": "cmudict"}, "vocabulary: 10 rows are too few for"),
    ],
)
def test_configs_that_contradict_themselves(changes, message):
    with pytest.raises(RecipeError, match=message):
        amphion.build("tts/fastspeech2", **TINY.model_dump() | changes)


def test_the_corpus_gives_speakers_and_statistics(prepared):
    """The pitch of voiced frames and the energy of all; a stated value is kept."""
    times = np.arange(22050) / 22050
    tone = sum(np.sin(2 * np.pi * 200 * k * times) / k for k in range(1, 8)).astype(np.float32) * 0.1
    silence = np.zeros(11025, np.float32)
    folder = prepared(
        {"train": {"a": np.concatenate([tone, silence]), "b": tone}}, 22050, speaker={"a": "ann", "b": "ben"}
    )
    facts = CorpusFacts(DataConfig(root=str(folder), train="train"))
    config = FastSpeech2.config_for(FastSpeech2.Config(vocabulary=10, energy_mean=3.0, energy_std=2.0), facts)
    assert config.speakers == ("ann", "ben") and config.n_speakers == 2
    assert config.pitch_mean == pytest.approx(200, abs=2) and config.pitch_std < 5
    assert -4 <= config.pitch_range[0] < 0 < config.pitch_range[1] <= 4
    assert (config.energy_mean, config.energy_std, config.energy_range) == (3.0, 2.0, (-4.0, 4.0))
    computed = FastSpeech2.config_for(FastSpeech2.Config(vocabulary=10), facts)
    assert 0 < computed.energy_mean < computed.energy_mean + computed.energy_std
    assert computed.energy_range[0] == pytest.approx(-computed.energy_mean / computed.energy_std, abs=0.2)
