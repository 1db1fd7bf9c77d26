"""WaveGlow: reference numbers in both directions, its likelihood, the authors' checkpoints, noise and its denoiser."""

import pickle
import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import Audio, Vocoder
from amphion_core.checkpoints.weight_names import to_folded
from amphion_core.errors import AudioError, RecipeError, WeightsError
from amphion_core.loading import convert
from amphion_vocoders import VocoderRequest

ARCHITECTURE = amphion.get("models", "vocoder/waveglow")
TINY = ARCHITECTURE.example_config().model_dump()
SIGMA = 0.6  # of the recorded inference


@pytest.fixture(scope="module")
def case(golden):
    return golden("waveglow_small")


def loaded(state, **more):
    return convert("vocoder/waveglow", state, layout="nvidia", **more)


def recorded(case, net):
    return net.inverse(case["inputs"]["mel"], [SIGMA * draw for draw in case["inputs"]["infer_draws"]])


@torch.no_grad()
def test_audio_becomes_the_references_latents_with_its_loss(case):
    found, wanted = loaded(case["state_dict"])(case["inputs"]["mel"], case["inputs"]["audio"]), case["outputs"]
    torch.testing.assert_close(found.z, wanted["z"], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.log_scales[0], torch.stack(wanted["log_s_sums"]), atol=1e-4, rtol=1e-5)
    groups = found.z.shape[2]  # the reference multiplies each determinant by them
    torch.testing.assert_close(groups * found.log_determinants, torch.stack(wanted["log_det"]), atol=5e-4, rtol=0)
    assert float(found.negative_log_likelihood()) == pytest.approx(wanted["loss"], rel=1e-4)


@torch.no_grad()
def test_recorded_noise_becomes_the_references_audio_before_and_after_packing(case):
    net, wanted = loaded(case["state_dict"]), case["outputs"]["wav"]
    torch.testing.assert_close(recorded(case, net), wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(recorded(case, net.for_inference()), wanted, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_flow_is_inverted_to_a_ten_thousandth(case):
    net, mel = loaded(case["state_dict"]), case["inputs"]["mel"]
    wave = torch.randn(1, 3072, generator=torch.Generator().manual_seed(0)) * 0.3
    z = net(mel, wave).z
    early = [z[:, 2 * n : 2 * n + 2] for n in (1, 0)]
    torch.testing.assert_close(net.inverse(mel, [z[:, 4:], *early]), wave, atol=1e-4, rtol=0)


def test_the_log_determinant_is_that_of_the_jacobian():
    torch.manual_seed(0)
    net = ARCHITECTURE(ARCHITECTURE.example_config())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    mel, wave = torch.randn(1, 4, 2), torch.randn(32)
    jacobian = torch.autograd.functional.jacobian(lambda x: net(mel, x[None]).z.flatten(), wave)
    found = net(mel, wave[None])
    ours = found.log_scales.sum() + found.z.shape[2] * found.log_determinants.sum()
    torch.testing.assert_close(ours, torch.linalg.slogdet(jacobian)[1], atol=1e-4, rtol=1e-4)


def separate(state):
    """One conditioning layer for each dilated convolution, as in older checkpoints."""
    found = {}
    for name, tensor in state.items():
        if ".cond_layer." in name:
            rows = enumerate(tensor.chunk(3))
            found |= {name.replace("cond_layer", f"cond_layers.{index}"): part for index, part in rows}
        else:
            found[name] = tensor
    return {"model": found, "iteration": 1}


def inverted(state):
    """The inverses of the 1x1 convolutions in place of the convolutions."""
    return {
        name.replace("conv.weight", "W_inverse") if name.startswith("convinv") else name: torch.linalg.inv(
            tensor[..., 0]
        )[..., None]
        if name.startswith("convinv")
        else tensor
        for name, tensor in state.items()
    }


def distributed(state):
    return {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}, "optimizer": {}}


@pytest.mark.parametrize("spelling", [separate, inverted, distributed, to_folded])
def test_the_authors_checkpoints_load_in_every_spelling(case, spelling):
    net = amphion.import_model("vocoder/waveglow", spelling(case["state_dict"]), layout="nvidia")
    torch.testing.assert_close(recorded(case, net), case["outputs"]["wav"], atol=1e-5, rtol=0)


def test_the_published_layout_is_complete_and_its_sizes_are_the_defaults(published_layout):
    names = published_layout("waveglow_256channels")
    state = {name: torch.empty(shape, device="meta") for name, shape in names.items()}
    config, tensors = ARCHITECTURE.import_state_dict(state, layout="nvidia")
    assert config == ARCHITECTURE.Config()
    with torch.device("meta"):
        net = ARCHITECTURE(config)
    assert {name: tensor.shape for name, tensor in net.state_dict().items()} == {
        name: tensor.shape for name, tensor in tensors.items()
    }
    assert sum(parameter.numel() for parameter in net.parameters()) == 87_879_272


def test_the_mel_of_another_publisher_is_read_from_its_config(case):
    data = {"sampling_rate": 16000, "filter_length": 1024, "hop_length": 256, "win_length": 800, "mel_fmax": 7600.0}
    mel = loaded(case["state_dict"], config={"data_config": data}).config.mel
    assert (mel.sample_rate, mel.win_length, mel.fmax, mel.n_mels) == (16000, 800, 7600.0, 8)


def test_a_pickled_network_is_refused_with_the_reason_before_it_is_opened(tmp_path, monkeypatch):
    module = types.ModuleType("glow")
    module.WaveGlow = type("WaveGlow", (torch.nn.Linear,), {"__module__": "glow"})
    monkeypatch.setitem(sys.modules, "glow", module)
    path = tmp_path / "waveglow_256channels_universal_v5.pt"
    torch.save({"model": module.WaveGlow(2, 2)}, path, pickle_module=pickle)
    with pytest.raises(WeightsError, match=r"contains code, and was not opened: it names .*glow\.WaveGlow") as caught:
        amphion.import_model("vocoder/waveglow", path, layout="nvidia")
    assert "state_dict()" in caught.value.hint


def test_a_foreign_checkpoint_and_a_missing_tensor_are_reported(case):
    with pytest.raises(WeightsError, match="not a checkpoint of vocoder/waveglow"):
        loaded({"conv_pre.bias": torch.zeros(3)})
    state = dict(case["state_dict"])
    del state["WN.2.in_layers.1.bias"]
    with pytest.raises(WeightsError, match=r"1 missing: WN\.2\.in_layers\.1\.bias"):
        loaded(state)


@settings(max_examples=15, deadline=None)
@given(frames=st.integers(1, 20), batch=st.integers(1, 3))
def test_every_frame_becomes_one_hop(frames, batch):
    net: Vocoder = amphion.build("vocoder/waveglow", **TINY).for_inference()
    assert net.vocode(torch.zeros(batch, 4, frames), seed=0).shape == (batch, frames * net.config.mel.hop_length)
    assert net.vocode(torch.zeros(batch, 4, 0), seed=0).shape == (batch, 0)


def test_the_seed_draws_the_noise_and_sigma_scales_it():
    net = amphion.build("vocoder/waveglow", **TINY).for_inference()
    mel = torch.zeros(1, 4, 200)

    def speak(seed, **controls):
        return net.vocode(mel, seed=seed, controls=net.controls({"denoise": 0, **controls}))

    assert speak(1).equal(speak(1)) and not speak(1).equal(speak(2))
    # A new network only rotates its noise: the level of its output is that of the noise.
    assert float(speak(1, sigma=0.1).std()) == pytest.approx(0.1, rel=0.05)
    torch.testing.assert_close(speak(1, sigma=0.2), 2 * speak(1, sigma=0.1), atol=1e-5, rtol=0)
    with pytest.raises(RecipeError, match="controls of this model: sigma, denoise"):
        net.controls({"sigmoid": 1})


def test_the_denoiser_takes_away_what_the_network_adds_to_silence():
    net = amphion.build("vocoder/waveglow", **TINY).for_inference()
    with torch.no_grad():
        net.WN[0].end.bias.fill_(0.05)  # a hum that depends on nothing
    mel = torch.zeros(2, 4, 60)
    plain, clean = (
        net.vocode(mel, seed=3, controls=net.controls({"sigma": 0.01, "denoise": strength})) for strength in (0, 1)
    )
    assert float(clean.square().mean()) < 0.2 * float(plain.square().mean())
    assert clean.shape == plain.shape


def test_a_saved_folder_loads_again(tmp_path):
    net = amphion.build("vocoder/waveglow", **TINY).for_inference()
    mel = torch.randn(1, 4, 9)
    again: Vocoder = amphion.load(weights.save(net, tmp_path / "folder"))
    torch.testing.assert_close(again.vocode(mel, seed=0), net.vocode(mel, seed=0), atol=1e-6, rtol=0)


def test_the_task_passes_controls_on_and_refuses_those_that_a_vocoder_does_not_have(tmp_path):
    weights.save(amphion.build("vocoder/waveglow", **TINY), tmp_path / "folder")
    audio = Audio(np.zeros(4000, np.float32), 22050)
    loud, quiet, none = (
        amphion.task("vocoder", model=str(tmp_path / "folder")).generate(VocoderRequest(audio=audio, controls=controls))
        for controls in ({"sigma": 0.1, "denoise": 0}, {"sigma": 0.025, "denoise": 0}, {"sigma": 0})
    )
    assert float(loud.samples.std()) == pytest.approx(4 * float(quiet.samples.std()), rel=1e-3)
    assert not none.samples.any()
    with pytest.raises(RecipeError, match="controls of this model: none"):
        amphion.task("vocoder", model="vocoder/griffin_lim").generate(
            VocoderRequest(audio=audio, controls={"sigma": 1})
        )


def test_a_mel_shorter_than_its_audio_is_refused():
    net = amphion.build("vocoder/waveglow", **TINY)
    with pytest.raises(AudioError, match="a mel of 2 frames is shorter than 4000 samples"):
        net(torch.zeros(1, 4, 2), torch.zeros(1, 4000))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"group": 6}, r"group: 6 does not divide mel\.hop_length 16"),
        ({"kernel": 4}, "kernel: 4 is even"),
        ({"upsample_kernel": 8}, "upsample_kernel: 8 is less than a hop, 16"),
        ({"flows": 3}, "early_size: the early outputs use up all 4 channels"),
    ],
)
def test_a_wrong_config_is_refused_by_name(changes, message):
    with pytest.raises(RecipeError, match=message):
        amphion.build("vocoder/waveglow", **TINY | changes)
