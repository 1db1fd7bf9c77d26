"""MelGAN: reference numbers, the authors' checkpoints, odd inputs, and what a wrong config says."""

import pytest
import torch
from hypothesis import given, settings, strategies as st

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import Vocoder
from amphion_core.errors import AudioError, RecipeError, WeightsError
from amphion_core.loading import convert

TINY = amphion.get("models", "vocoder/melgan").example_config().model_dump()


@pytest.fixture(scope="module")
def case(golden):
    return golden("melgan_small")


def test_reference_numbers_before_and_after_folding(case):
    net = convert("vocoder/melgan", case["state_dict"], layout="descriptinc")
    mel, wanted = case["inputs"]["mel"], case["outputs"]["wav"]
    with torch.no_grad():
        torch.testing.assert_close(net(mel), wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(net.for_inference().vocode(mel), wanted[:, 0], atol=1e-5, rtol=0)


def renamed(state, old, new):
    return {name.replace(old, new): tensor for name, tensor in state.items()}


def folded(state):
    from amphion_core.checkpoints.weight_names import to_folded

    return to_folded(state)


@pytest.mark.parametrize(
    "spelling",
    [
        lambda state: {"netG": {f"module.{name}": tensor for name, tensor in state.items()}},
        lambda state: renamed(
            renamed(state, "weight_g", "parametrizations.weight.original0"), "weight_v",
            "parametrizations.weight.original1",
        ),
        folded,
    ],
    ids=["wrapped", "new names", "folded"],
)  # fmt: skip
def test_the_authors_checkpoints_load_in_every_spelling(case, spelling):
    net = amphion.import_model("vocoder/melgan", spelling(case["state_dict"]), layout="descriptinc")
    made = net.vocode(case["inputs"]["mel"])
    torch.testing.assert_close(made, case["outputs"]["wav"][:, 0], atol=1e-5, rtol=0)


def test_the_published_layout_is_complete_and_its_sizes_are_the_defaults(published_layout):
    architecture = amphion.get("models", "vocoder/melgan")
    state = {name: torch.empty(shape) for name, shape in published_layout("melgan").items()}
    config, tensors = architecture.import_state_dict(state, layout="descriptinc")
    assert config == architecture.Config()
    with torch.device("meta"):
        net = architecture(config)
    assert {name: tensor.shape for name, tensor in net.state_dict().items()} == {
        name: tensor.shape for name, tensor in tensors.items()
    }
    assert sum(parameter.numel() for parameter in net.parameters()) == 4_266_050


def test_the_rate_of_another_publisher_is_read_from_its_config(case):
    config = {"sampling_rate": 16000, "n_fft": 2048, "win_length": 1024}
    net = amphion.import_model("vocoder/melgan", case["state_dict"], layout="descriptinc", config=config)
    mel = net.config.mel
    assert (mel.sample_rate, mel.n_fft, mel.win_length, mel.hop_length, mel.n_mels) == (16000, 2048, 1024, 256, 20)


def test_a_missing_tensor_and_a_foreign_checkpoint_are_reported(case):
    state = dict(case["state_dict"])
    del state["model.8.block.2.bias"]
    with pytest.raises(WeightsError, match=r"1 missing: stages\.1\.layers\.0\.dilated\.bias"):
        amphion.import_model("vocoder/melgan", state, layout="descriptinc")
    for foreign in ({"conv_pre.bias": torch.zeros(3)}, {"model.0.bias": torch.zeros(3)}):
        with pytest.raises(WeightsError, match="not a checkpoint of vocoder/melgan"):
            amphion.import_model("vocoder/melgan", foreign, layout="descriptinc")


@settings(max_examples=20, deadline=None)
@given(frames=st.integers(1, 20), rates=st.sampled_from([(2, 2), (4, 2), (2, 3), (3, 5)]))
def test_every_frame_becomes_one_hop(frames, rates):
    fields = TINY | {"upsample_rates": rates, "mel": TINY["mel"] | {"hop_length": rates[0] * rates[1]}}
    net: Vocoder = amphion.build("vocoder/melgan", **fields | {"residual_layers": 3}).for_inference()
    mel = torch.randn(2, 4, frames, generator=torch.Generator().manual_seed(0))
    wave = net.vocode(mel)
    assert wave.shape == (2, frames * net.config.mel.hop_length)
    torch.testing.assert_close(net.vocode(mel[1:]), wave[1:], atol=1e-5, rtol=0)


def test_a_piece_with_context_is_the_same_as_in_the_whole(case):
    net = amphion.import_model("vocoder/melgan", case["state_dict"], layout="descriptinc")
    mel = torch.randn(1, 20, 60, generator=torch.Generator().manual_seed(1))
    hop = net.config.mel.hop_length
    piece = net.vocode(mel[..., 20:50])[:, 10 * hop : 20 * hop]
    torch.testing.assert_close(piece, net.vocode(mel)[:, 30 * hop : 40 * hop], atol=1e-5, rtol=0)


def test_folded_weights_and_a_saved_folder_load_again(tmp_path):
    net = amphion.build("vocoder/melgan", **TINY).for_inference()
    mel = torch.randn(1, 4, 9)
    again: Vocoder = amphion.load(weights.save(net, tmp_path / "folder"))
    torch.testing.assert_close(again.vocode(mel), net.vocode(mel), atol=1e-6, rtol=0)


def test_no_frames_are_no_samples_and_another_shape_is_refused():
    net = amphion.build("vocoder/melgan", **TINY).for_inference()
    assert net.vocode(torch.zeros(2, 4, 0)).shape == (2, 0)
    with pytest.raises(AudioError, match=r"this vocoder takes \(B, 4, N\)"):
        net.vocode(torch.zeros(1, 5, 9))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"upsample_rates": (2, 4)}, r"upsample_rates: product 8 is not mel\.hop_length 4"),
        ({"upsample_rates": (-2, -2)}, r"upsample_rates: -2 is not above 1"),
        ({"channels": 6}, "channels: 6 cannot be halved 2 times"),
    ],
)
def test_a_wrong_config_is_refused_by_name(changes, message):
    with pytest.raises(RecipeError, match=message):
        amphion.build("vocoder/melgan", **TINY | changes)
