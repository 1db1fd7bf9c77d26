"""WaveRNN: reference numbers of two implementations, generation that equals the parallel pass, and its training."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import amphion_core as amphion
from amphion_core import recipe as recipes, weights
from amphion_core.api import Vocoder
from amphion_core.errors import AudioError, RecipeError, WeightsError
from amphion_core.loading import convert
from amphion_core.training.run import train
from amphion_core.training.run_folder import RunFolder
from amphion_vocoders.models import wavernn_generation
from amphion_vocoders.models.compiled import COMPILED
from amphion_vocoders.models.wave_outputs import MuLaw
from amphion_vocoders.models.wave_pieces import Pieces
from amphion_vocoders.models.wavernn_generation import generate

ARCHITECTURE = amphion.get("models", "vocoder/wavernn")
TINY = ARCHITECTURE.example_config().model_dump()
FREQUENCIES = 3.59  # nats for each sample of the four clips, from how often each of 64 classes is there
PATHS = [
    pytest.param(True, marks=pytest.mark.skipif(not COMPILED, reason="numba is not installed"), id="compiled"),
    pytest.param(False, id="layers"),
]


@pytest.fixture(scope="module")
def mol(golden):
    return golden("wavernn_mol_small")


@pytest.fixture(scope="module")
def raw(golden):
    return golden("wavernn_torchaudio")


def loaded(case, layout="fatchord"):
    return convert("vocoder/wavernn", case["state_dict"], layout=layout, config=case["config"]).eval()


def random_net(output):
    """The example with weights that differ from silence, ready to generate."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = amphion.build("vocoder/wavernn", **TINY | {"output": output, "classes": 32})
        for parameter in net.parameters():
            parameter.data.mul_(1.5)
    return net.for_inference()


@torch.no_grad()
def test_predictions_condition_and_loss_are_those_of_the_reference(mol):
    net, given, wanted = loaded(mol), mol["inputs"], mol["outputs"]
    mel, auxiliary = net.upsample(given["mel"])
    torch.testing.assert_close(mel.mT, wanted["up_mel"], atol=1e-6, rtol=0)
    torch.testing.assert_close(auxiliary.mT, wanted["up_aux_first"], atol=1e-6, rtol=0)
    predicted = net.predict(given["x"], mel, auxiliary)
    torch.testing.assert_close(predicted.mT, wanted["y"], atol=1e-5, rtol=0)
    loss = net.distribution.negative_log_likelihood(predicted, given["target"]).mean()
    assert float(loss) == pytest.approx(wanted["mol_loss"], rel=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("compiled", PATHS)
def test_the_generated_wave_is_that_of_the_reference(mol, compiled, monkeypatch):
    monkeypatch.setattr(wavernn_generation, "COMPILED", compiled)
    net, given, wanted = loaded(mol).for_inference(), mol["inputs"], mol["outputs"]["gen_wav"]
    frames = 22 if compiled else 4
    random = torch.from_numpy(np.random.RandomState(22).standard_normal((1, 20, 23)))
    mel = torch.nn.functional.pad(random.sigmoid().float(), (2, 2))
    uniform = torch.cat([given["gen_uniform_gumbel"], given["gen_uniform_logistic"]], 1)[None]
    made = generate(net, mel[..., : frames + 4], uniform=uniform)[0][0].double()
    fade = torch.ones(22 * 275, dtype=torch.float64)
    fade[-20 * 275 :] = torch.linspace(1, 0, 20 * 275, dtype=torch.float64)  # the reference fades out 20 frames
    size = frames * 275
    torch.testing.assert_close(made * fade[:size], wanted[:size], atol=1e-4, rtol=0)


@torch.no_grad()
def test_logits_are_those_of_torchaudio(raw):
    net, given = loaded(raw, "torchaudio"), raw["inputs"]
    predicted = net.predict(given["waveform"][:, 0], *net.upsample(given["specgram"][:, 0]))
    torch.testing.assert_close(predicted.mT[:, None], raw["outputs"]["logits"], atol=1e-5, rtol=0)
    assert (net.config.output, net.config.classes, net.config.upsample_rates) == ("mu_law", 64, (4, 4, 4))


def test_mu_law_classes_are_those_of_the_reference(golden):
    case = golden("wavernn_dsp")
    law = MuLaw(512, nearest=True)
    classes = law.encode(case["inputs"]["wav"])
    assert classes.equal(case["outputs"]["mu512"].long())
    torch.testing.assert_close(law.decode(classes).double(), case["outputs"]["mu512_dec"], atol=1e-6, rtol=0)
    assert law.at_level(law.level(classes)).equal(classes)


@torch.no_grad()
@pytest.mark.parametrize("compiled", PATHS)
@pytest.mark.parametrize("output", ["logistics", "mu_law"])
def test_generation_sample_by_sample_equals_the_parallel_pass(output, compiled, monkeypatch):
    monkeypatch.setattr(wavernn_generation, "COMPILED", compiled)
    net = random_net(output)
    mel = torch.rand(3, 4, 10, generator=torch.Generator().manual_seed(0))
    wave, predicted = generate(net, mel, seeds=[1, 2, 3], predictions=True)
    before = torch.cat([torch.zeros(3, 1), net.inputs(wave)[:, :-1]], 1)
    torch.testing.assert_close(net.predict(before, *net.upsample(mel)), predicted, atol=1e-5, rtol=0)
    assert wave.shape == (3, 96) and len(wave.unique()) > 20


@torch.no_grad()
@pytest.mark.skipif(not COMPILED, reason="numba is not installed, so there is one way only")
@pytest.mark.parametrize("output", ["logistics", "mu_law"])
def test_the_compiled_loop_gives_what_the_layers_give(output, monkeypatch):
    net, mel = random_net(output), torch.rand(2, 4, 10)
    compiled = generate(net, mel, seeds=[3, 4])[0]
    monkeypatch.setattr(wavernn_generation, "COMPILED", False)
    torch.testing.assert_close(generate(net, mel, seeds=[3, 4])[0], compiled, atol=1e-5, rtol=0)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_item_is_the_same_alone_and_in_a_batch_with_any_number_of_threads(threads):
    net, mel = random_net("mu_law"), torch.rand(5, 4, 60, generator=torch.Generator().manual_seed(0))
    controls = net.controls({"piece": 10})
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        together = net.vocode(mel, seed=7, controls=controls)
    finally:
        torch.set_num_threads(before)
    for item in (0, 4):
        assert together[item].equal(net.vocode(mel[item : item + 1], seed=7 + item, controls=controls)[0])
    assert not together[0].equal(net.vocode(mel[:1], seed=8, controls=controls)[0])


@settings(max_examples=10, deadline=None)
@given(frames=st.integers(1, 40), batch=st.integers(1, 3), piece=st.sampled_from([0, 1, 3, 7, 100]))
def test_every_frame_becomes_one_hop_in_pieces_of_any_length(frames, batch, piece):
    net = random_net("logistics")
    controls = net.controls({"piece": piece})
    made = net.vocode(torch.rand(batch, 4, frames), seed=0, controls=controls)
    assert made.shape == (batch, frames * 16) and float(made.abs().max()) <= 1
    assert net.vocode(torch.zeros(batch, 4, 0), seed=0, controls=controls).shape == (batch, 0)


@given(frames=st.integers(1, 50), piece=st.integers(0, 12), around=st.integers(0, 2))
def test_joined_pieces_are_the_recording_outside_of_the_fades(frames, piece, around):
    pieces = Pieces(frames, piece, warm_up=1, fade=1)
    wave = torch.arange(frames + 2 * around).repeat_interleave(3)[None, None].float() / 100
    cut = pieces.cut(wave, 3, around=around)
    assert cut.shape == (pieces.count, 1, (pieces.length + 2 * around) * 3)
    inner = cut[:, 0, around * 3 : cut.shape[2] - around * 3]
    joined, wanted = pieces.join(inner, 3)[0], wave[0, 0, around * 3 : (frames + around) * 3]
    gain = (joined + 1e-9) / (wanted + 1e-9)  # in a fade the sum of a sine and a cosine
    assert float(gain.min()) > 1 - 1e-4 and float(gain.max()) < 1.4143
    assert int((gain > 1 + 1e-4).sum()) <= 3 * (pieces.count - 1)


@torch.no_grad()
def test_the_likelihood_leaves_out_the_context_and_takes_long_recordings_in_sections():
    net = random_net("logistics").double()  # in float32 the sums of different lengths are rounded apart
    mel, wave = torch.rand(2, 4, 9).double(), torch.rand(2, 9 * 16).double() - 0.5
    predicted = net.predict(wave[:, 32:112], *net.upsample(mel))[..., :-1]
    wanted = net.distribution.negative_log_likelihood(predicted, wave[:, 33:112]).mean(1)
    torch.testing.assert_close(net.negative_log_likelihood(mel, wave), wanted)
    short = net.distribution.negative_log_likelihood(net(mel[..., :3], wave[:, :48])[..., :-1], wave[:, 1:48]).mean(1)
    torch.testing.assert_close(net.negative_log_likelihood(mel[..., :3], wave[:, :48]), short)
    mel, wave = (
        torch.rand(2, 4, 104).double(),
        torch.rand(2, 104 * 16).double() - 0.5,
    )  # three sections of 33 frames, and one frame
    parts = [
        net.negative_log_likelihood(mel[..., 33 * n : 33 * n + 37], wave[:, 33 * 16 * n : (33 * n + 37) * 16])
        for n in range(3)
    ]
    torch.testing.assert_close(net.negative_log_likelihood(mel, wave), torch.stack(parts).mean(0))


def test_the_published_layout_is_complete_and_its_sizes_are_the_defaults(published_layout):
    state = {name: torch.empty(shape, device="meta") for name, shape in published_layout("wavernn_mol").items()}
    config, tensors = ARCHITECTURE.import_state_dict(state, layout="fatchord")
    assert config == ARCHITECTURE.Config()
    with torch.device("meta"):
        net = ARCHITECTURE(config)
    assert {name: tensor.shape for name, tensor in net.state_dict().items()} == {
        name: tensor.shape for name, tensor in tensors.items()
    }
    assert sum(parameter.numel() for parameter in net.parameters()) == 4_233_675


@pytest.mark.parametrize(("card", "count"), [("raw", 4_480_941), ("torchaudio", 4_349_613), ("small", 1_096_173)])
def test_the_cards_have_the_parameters_that_they_state(card, count):
    with torch.device("meta"):
        net = amphion.build(f"vocoder/wavernn@{card}")
    assert sum(parameter.numel() for parameter in net.parameters()) == count


def test_the_config_gives_the_mel_and_the_kind_of_outputs(mol, raw):
    config = mol["config"] | {"sample_rate": 24000, "n_fft": 4096, "win_length": 1200, "fmin": 20}
    found = convert("vocoder/wavernn", mol["state_dict"], layout="fatchord", config=config).config
    assert (found.mel.sample_rate, found.mel.n_fft, found.mel.win_length) == (24000, 4096, 1200)
    assert (found.mel.fmin, found.mel.hop_length, found.output, found.mixtures) == (20, 275, "logistics", 10)
    assert found.residual_blocks == 2 and found.auxiliary_channels == 16
    classes = convert("vocoder/wavernn", mol["state_dict"], layout="fatchord", config={"mode": "RAW"}).config
    assert (classes.output, classes.classes) == ("mu_law", 30)


def test_foreign_and_incomplete_checkpoints_are_refused_with_the_reason(mol, raw):
    with pytest.raises(WeightsError, match="not a checkpoint of vocoder/wavernn"):
        convert("vocoder/wavernn", {"conv_pre.bias": torch.zeros(3)}, layout="fatchord")
    with pytest.raises(WeightsError, match="not a checkpoint of vocoder/wavernn"):
        convert("vocoder/wavernn", raw["state_dict"], layout="fatchord")
    with pytest.raises(WeightsError, match="mode is 'BITS'; WaveRNN has RAW and MOL"):
        convert("vocoder/wavernn", mol["state_dict"], layout="fatchord", config={"mode": "BITS"})
    state = dict(mol["state_dict"])
    del state["rnn2.bias_hh_l0"]
    with pytest.raises(WeightsError, match=r"1 missing: rnn2\.bias_hh_l0"):
        convert("vocoder/wavernn", state, layout="fatchord", config=mol["config"])
    state = dict(mol["state_dict"]) | {"I.weight": torch.zeros(32, 40)}
    with pytest.raises(WeightsError, match="its first layer does not take a sample, the mel and a quarter"):
        convert("vocoder/wavernn", state, layout="fatchord", config=mol["config"])


def test_a_saved_folder_loads_again(tmp_path):
    net, mel = random_net("mu_law"), torch.rand(1, 4, 9)
    again: Vocoder = amphion.load(weights.save(net, tmp_path / "folder"))
    assert again.vocode(mel, seed=0).equal(net.vocode(mel, seed=0))
    with pytest.raises(AudioError, match=r"this vocoder takes \(B, 4, N\)"):
        again.vocode(torch.zeros(1, 5, 9))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"upsample_rates": (4, 8)}, r"upsample_rates: product 32 is not mel\.hop_length 16"),
        ({"upsample_rates": (16, 1)}, "upsample_rates: every factor is at least 2"),
        ({"context": 1}, "context: .* greater than or equal to 2"),
        ({"channels": 6}, "channels: .* multiple of 4"),
    ],
)
def test_a_wrong_config_is_refused_by_name(changes, message):
    with pytest.raises(RecipeError, match=message):
        amphion.build("vocoder/wavernn", **TINY | changes)


def test_eighty_steps_beat_the_frequencies_of_the_classes(four_clips, tmp_path):
    recipe = recipes.check({
        "name": "overfit", "audio": {"preset": "wavernn_22k_80", "n_mels": 20}, "seed": 1,
        "model": {
            "name": "vocoder/wavernn", "output": "mu_law", "classes": 64, "channels": 32, "head_channels": 32,
            "residual_channels": 16, "residual_blocks": 1, "auxiliary_channels": 16,
        },
        "data": {"root": str(four_clips[0]), "crop": 1650, "budget": 0.6},
        "trainer": "autoregressive_vocoder",
        "optim": {"name": "adam", "lr": 1e-2, "weight_decay": 0, "clip": 4.0},
        "engine": {"steps": 80, "validate_every": 80, "log_every": 10, "device": "cpu", "monitor": "nll"},
    })  # fmt: skip
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = train(recipe, tmp_path / "run")
    torch.set_num_threads(threads)
    scores = RunFolder(tmp_path / "run").curve()[-1]
    assert scores["dev/nll"] < FREQUENCIES - 0.4
    assert scores["dev/mel"] > 0
    assert amphion.load(found).vocode(torch.zeros(1, 20, 3), seed=0).shape == (1, 3 * 275)
