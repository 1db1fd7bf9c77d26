"""The autoencoder of mels: reference numbers, published layouts, any number of frames, and what wrong input says."""

import pytest
import torch

import amphion_core as amphion
from amphion_core.checkpoints.weight_names import check_keys, expected_shapes
from amphion_core.errors import AudioError, RecipeError, WeightsError
from amphion_core.loading import convert

TINY = amphion.get("models", "autoencoder/kl").example_config().model_dump()


@pytest.fixture
def mel():
    return torch.randn(2, 8, 10, generator=torch.Generator().manual_seed(0))


def test_reference_numbers(golden):
    case = golden("audioldm_amphion")
    net = convert("autoencoder/kl", case["state_dict"]["vae"], layout="amphion")
    image, wanted = case["inputs"]["vae"]["mel"], case["outputs"]["vae"]
    with torch.no_grad():  # the case has 16 bands, of which our mel has 80
        moments = net.network.quant_conv(net.network.encoder(image))
        decoded = net.network.decoder(net.network.post_quant_conv(wanted["mean"]))
    torch.testing.assert_close(moments, torch.cat([wanted["mean"], wanted["logvar"]], 1), atol=1e-4, rtol=0)
    torch.testing.assert_close(decoded, wanted["dec"], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("layout", "file"), [("diffusers", "audioldm_diffusers_vae"), ("amphion", "audioldm_amphion_vae")]
)
def test_published_sizes(published_layout, layout, file):
    shapes = published_layout(file)
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    architecture = amphion.get("models", "autoencoder/kl")
    config, tensors = architecture.import_state_dict(state, layout=layout, config={"scaling_factor": 0.9})
    check_keys(tensors, expected_shapes(lambda: architecture(config)), "AutoencoderKL")
    assert len(tensors) == len(shapes)
    if layout == "diffusers":
        assert config == architecture.Config(latent_scale=0.9)
    else:
        assert config.channels == (128, 128, 256, 256, 512) and config.latent_channels == 4 and not config.attention


def tiny_diffusers(attention=True):
    import diffusers

    torch.manual_seed(0)
    return diffusers.AutoencoderKL(
        in_channels=1, out_channels=1, block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, latent_channels=2, scaling_factor=0.75,
        mid_block_add_attention=attention,
    ).eval()  # fmt: skip


def test_a_folder_of_diffusers(tmp_path):
    theirs = tiny_diffusers()
    theirs.save_pretrained(tmp_path)
    ours = amphion.import_model("autoencoder/kl", tmp_path, layout="diffusers")
    mel = torch.randn(2, 64, 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        posterior = theirs.encode(mel.mT[:, None]).latent_dist
        torch.testing.assert_close(ours.encode(mel).mean, posterior.mean, atol=1e-5, rtol=0)
        torch.testing.assert_close(ours.encode(mel).divergence(), posterior.kl(), atol=1e-2, rtol=1e-4)
        torch.testing.assert_close(ours.decode(posterior.mean).mT, theirs.decode(posterior.mean).sample[:, 0])
    assert ours.config.latent_scale == 0.75


def compvis_name(name):
    """The name that CompVis gives a tensor of diffusers' autoencoder with two levels."""
    kinds = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out", "group_norm": "norm"}
    for ours, theirs in kinds.items():
        name = name.replace(f"mid_block.attentions.0.{ours}.", f"mid.attn_1.{theirs}.")
    for block in (0, 1):
        name = name.replace(f"mid_block.resnets.{block}", f"mid.block_{block + 1}")
        name = name.replace(f"up_blocks.{block}.", f"up.{1 - block}.").replace(
            f"down_blocks.{block}.", f"down.{block}."
        )
    changes = {
        "resnets": "block", "conv_shortcut": "nin_shortcut", "conv_norm_out": "norm_out",
        "downsamplers.0": "downsample", "upsamplers.0": "upsample",
    }  # fmt: skip
    for ours, theirs in changes.items():
        name = name.replace(ours, theirs)
    return name


def test_the_single_file_of_the_authors():
    theirs = tiny_diffusers()
    state = {f"first_stage_model.{compvis_name(name)}": tensor for name, tensor in theirs.state_dict().items()}
    state = {name: t[..., None, None] if ".attn_1." in name and t.dim() == 2 else t for name, t in state.items()}
    others = {
        "model.diffusion_model.out.2.bias": torch.zeros(2),
        "first_stage_model.vocoder.conv_pre.bias": torch.ones(1),
    }
    state |= others | {"scale_factor": torch.tensor(0.5)}
    ours = amphion.import_model("autoencoder/kl", {"state_dict": state}, layout="haoheliu")
    mel = torch.randn(1, 64, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(mel)[0].mT, theirs(mel.mT[:, None]).sample[:, 0], atol=1e-5, rtol=0)
    assert ours.config.latent_scale == 0.5


@pytest.mark.parametrize("time_first", [True, False])
def test_frames_are_rounded_up_to_whole_latents(mel, time_first):
    net = amphion.build("autoencoder/kl", **TINY | {"time_first": time_first}).for_inference()
    longer = torch.randn(2, 8, 11, generator=torch.Generator().manual_seed(1))
    posterior = net.encode(longer)
    assert posterior.mean.shape[1:] == net.latent_shape(11) == ((2, 6, 4) if time_first else (2, 4, 6))
    assert posterior.mean.shape[net.time_axis] == net.latent_frames(11) == 6
    assert net.decode(posterior.mean).shape == (2, 8, 12)
    silent = torch.full((2, 8, 1), -11.512925)
    torch.testing.assert_close(net.encode(torch.cat([longer, silent], 2)).mean, posterior.mean)


def test_drawn_latents_have_the_distribution_of_the_posterior(mel):
    net = amphion.build("autoencoder/kl", **TINY).for_inference()
    posterior = net.encode(mel[:1])
    noise = torch.randn(4000, *net.latent_shape(10), generator=torch.Generator().manual_seed(0))
    drawn = posterior.sample(noise)
    torch.testing.assert_close(drawn.mean(0, keepdim=True), posterior.mean, atol=0.1, rtol=0)
    torch.testing.assert_close(drawn.var(0, keepdim=True).log(), posterior.log_variance, atol=0.15, rtol=0)
    normal = torch.distributions.Normal(posterior.mean, (posterior.log_variance / 2).exp())
    wanted = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum()
    torch.testing.assert_close(posterior.divergence()[0], wanted)


def test_wrong_sizes_are_one_sentence(mel):
    with pytest.raises(AudioError, match=r"takes \(B, F, N\) with F = 8"):
        amphion.build("autoencoder/kl", **TINY).encode(mel[:, :4])
    with pytest.raises(RecipeError, match="2 levels need a multiple of 2 mel bands"):
        amphion.build("autoencoder/kl", **TINY | {"mel": TINY["mel"] | {"n_mels": 9}})
    with pytest.raises(RecipeError, match="6 is not a positive multiple of groups 4"):
        amphion.build("autoencoder/kl", **TINY | {"channels": (4, 6), "groups": 4})
    with pytest.raises(WeightsError, match="no autoencoder of mels"):
        amphion.import_model("autoencoder/kl", {"conv.weight": torch.zeros(1)}, layout="amphion")
