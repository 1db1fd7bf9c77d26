"""AudioLDM, both: reference numbers, published layouts, sampling with guidance, editing, and what wrong input says."""

import math

import pytest
import torch

import amphion_core as amphion
from amphion_core.api import TextCondition
from amphion_core.checkpoints.weight_names import check_keys, expected_shapes
from amphion_core.errors import DataError, RecipeError, WeightsError
from amphion_core.loading import convert
from amphion_tta.models.latent_diffusion import stacked

NAMES = ("tta/audioldm", "tta/audioldm_t5")


@pytest.fixture(scope="module", params=NAMES)
def net(request):
    architecture = amphion.get("models", request.param)
    torch.manual_seed(0)
    found = architecture(architecture.example_config())
    for parameter in found.unet.network.conv_out.parameters():
        torch.nn.init.normal_(parameter, 0, 0.3)
    return found.for_inference()


def condition(net, seed=0):
    draw, size = torch.Generator().manual_seed(seed), net.config.condition_dim
    mask = torch.tensor([[True, True, True], [True, True, False]])
    return TextCondition(torch.randn(2, 3, size, generator=draw), mask, torch.randn(2, size, generator=draw))


def test_reference_numbers(golden):
    case = golden("audioldm_amphion")
    state, config = case["state_dict"], {"num_heads": 4, "autoencoder": case["state_dict"]["vae"]}
    found = convert("tta/audioldm_t5", {"model": state["unet"], "step": 1}, layout="amphion", config=config)
    given = case["inputs"]["unet"]
    captions = TextCondition(given["ctx"], torch.ones(2, 7, dtype=torch.bool))
    with torch.no_grad():
        predicted = found(given["x"], torch.tensor(given["t"]), captions)
        decoded = found.autoencoder.network.decode(case["outputs"]["vae"]["mean"]).sample
    torch.testing.assert_close(predicted, case["outputs"]["unet"]["y"], atol=1e-5, rtol=0)
    torch.testing.assert_close(decoded, case["outputs"]["vae"]["dec"], atol=1e-4, rtol=0)
    assert float(found.unet.latent_scale) == 1 and found.config.condition_dim == 24


def empty(shapes, prefix=""):
    return {f"{prefix}{name}": torch.empty(shape, device="meta") for name, shape in shapes.items()}


def test_sizes_of_the_published_model_of_amphion(published_layout):
    unet, autoencoder = published_layout("audioldm_amphion_unet"), published_layout("audioldm_amphion_vae")
    architecture = amphion.get("models", "tta/audioldm_t5")
    state = {"model": empty(unet)}
    config, tensors = architecture.import_state_dict(
        state, layout="amphion", config={"autoencoder": empty(autoencoder)}
    )
    assert config == architecture.Config()
    check_keys(tensors, expected_shapes(lambda: architecture(config)), "AudioLDMT5")
    assert len(tensors) == len(unet) + len(autoencoder) + 1


def test_sizes_of_the_published_folders(published_layout):
    unet, autoencoder = published_layout("audioldm_diffusers_unet"), published_layout("audioldm_diffusers_vae")
    architecture = amphion.get("models", "tta/audioldm")
    beside = {"vae": empty(autoencoder), "vae_config": {"scaling_factor": 0.9}}
    given = {"attention_head_dim": [4, 8, 12, 20], **beside}
    config, tensors = architecture.import_state_dict(empty(unet), layout="diffusers", config=given)
    kind = config.autoencoder.config.replace(latent_scale=1.0)
    assert (
        config.replace(latent_scale=None, autoencoder={"name": "autoencoder/kl", **kind.model_dump()})
        == architecture.Config()
    )
    assert config.latent_scale == 0.9
    check_keys(tensors, expected_shapes(lambda: architecture(config)), "AudioLDM")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tiny folders as those of cvssp/audioldm, which diffusers writes, and their networks."""
    import diffusers

    root = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=2, out_channels=2, block_out_channels=(32, 64), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=[2, 4], cross_attention_dim=(32, 64), class_embed_type="simple_projection",
        projection_class_embeddings_input_dim=12, class_embeddings_concat=True,
    ).eval()  # fmt: skip
    vae = diffusers.AutoencoderKL(
        in_channels=1, out_channels=1, block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, latent_channels=2, scaling_factor=0.75,
    ).eval()  # fmt: skip
    scheduler = diffusers.DDIMScheduler(beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear")
    for name, part in (("unet", unet), ("vae", vae), ("scheduler", scheduler)):
        part.save_pretrained(root / name)
    return root, unet, vae


def test_the_published_folders_give_what_diffusers_gives(folders):
    root, unet, vae = folders
    ours = amphion.import_model("tta/audioldm", root / "unet", layout="diffusers")
    draw = torch.Generator().manual_seed(1)
    x, pooled = torch.randn(2, 2, 8, 32, generator=draw), torch.randn(2, 12, generator=draw)
    step = torch.tensor([10, 800])
    captions = TextCondition(torch.zeros(2, 1, 12), torch.ones(2, 1, dtype=torch.bool), pooled)
    with torch.no_grad():
        wanted = unet(x, step, encoder_hidden_states=None, class_labels=pooled).sample
        torch.testing.assert_close(ours(x, step, captions), wanted, atol=1e-5, rtol=0)
        decoded = vae.decode(x / 0.75).sample[:, 0].mT
        torch.testing.assert_close(ours._decoded(x), decoded, atol=1e-5, rtol=0)
    assert ours.config.diffusion.first_noise == 0.0015 and ours.config.unet.heads == (2, 4)


def test_sampling_is_that_of_a_plain_loop_of_diffusers(folders):
    """Twenty steps of DDIM with guidance, as the published pipeline makes them from the same noise."""
    import diffusers

    root, unet, vae = folders
    ours = amphion.import_model("tta/audioldm", root / "unet", layout="diffusers")
    captions, nothing = (
        TextCondition(torch.zeros(1, 1, 12), torch.ones(1, 1, dtype=torch.bool), torch.full((1, 12), value))
        for value in (1.0, -1.0)
    )
    made = ours.sample(captions, duration=0.16, negative=nothing, seed=4, controls=ours.controls({"steps": 20}))
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    )  # fmt: skip
    scheduler.set_timesteps(20)
    x = torch.randn(1, 2, 8, 32, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        for step in scheduler.timesteps:
            labels = torch.cat([nothing.pooled, captions.pooled])
            without, found = unet(
                x.repeat(2, 1, 1, 1), step, encoder_hidden_states=None, class_labels=labels
            ).sample.chunk(2)
            x = scheduler.step(without + 2.5 * (found - without), step, x).prev_sample
        wanted = vae.decode(x / 0.75).sample[:, 0].mT
    torch.testing.assert_close(made.mel, wanted, atol=1e-4, rtol=1e-4)


def test_a_folder_without_its_autoencoder_is_one_sentence(folders, tmp_path):
    _, unet, _ = folders
    unet.save_pretrained(tmp_path / "unet")
    with pytest.raises(WeightsError, match="the autoencoder of the model is missing"):
        amphion.import_model("tta/audioldm", tmp_path / "unet", layout="diffusers")
    with pytest.raises(WeightsError, match="publisher's autoencoder is in another file"):
        amphion.import_model("tta/audioldm_t5", {"model": {"unet.x": torch.zeros(1)}}, layout="amphion")
    with pytest.raises(WeightsError, match="no UNet of AudioLDM"):
        amphion.import_model("tta/audioldm", {"state_dict": {"x": torch.zeros(1)}}, layout="haoheliu")


def test_the_length_is_the_asked_one_to_a_frame(net):
    mel = net.config.mel
    for duration in (0.01, 0.33, 0.5):
        made = net.sample(condition(net), duration=duration, seed=0, controls=net.controls({"steps": 1}))
        frames = math.ceil(duration * mel.sample_rate / mel.hop_length)
        assert made.mel.shape == (2, mel.n_mels, frames) and made.lengths.tolist() == [frames] * 2


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "pndm", "dpm_solver"])
def test_an_item_does_not_depend_on_its_batch_with_any_sampler(net, sampler):
    controls = net.controls({"sampler": sampler, "steps": 4, "guidance": 2.0})
    both = condition(net)
    nothing = TextCondition(both.states[:, :1] * 0, both.mask[:, :1], both.pooled * 0)
    made = net.sample(both, duration=0.2, negative=nothing, seed=5, controls=controls)
    own = TextCondition(both.states[1:, :2], both.mask[1:, :2], both.pooled[1:])
    none = TextCondition(nothing.states[1:], nothing.mask[1:], nothing.pooled[1:])
    alone = net.sample(own, duration=0.2, negative=none, seed=6, controls=controls)
    torch.testing.assert_close(alone.mel[0], made.mel[1], atol=1e-4, rtol=0)


def test_guidance_and_the_negative_caption_count(net):
    both, other = condition(net), condition(net, 1)

    def made(guidance, negative):
        controls = net.controls({"steps": 3, "guidance": guidance})
        return net.sample(both, duration=0.2, negative=negative, seed=0, controls=controls).mel

    assert torch.equal(made(1.0, other), made(7.0, None))  # guidance 1 is the caption alone
    assert not torch.allclose(made(3.0, other), made(1.0, other))
    assert not torch.allclose(made(3.0, other), made(3.0, condition(net, 2)))
    torch.testing.assert_close(made(0.0, both), made(1.0, None), atol=1e-4, rtol=0)


def test_editing_at_a_small_strength_stays_near_the_recording(net):
    wave = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0)) * 0.1
    _, start = net.latents(wave)
    near, far = (
        net.edit(condition(net), wave, strength=strength, seed=0, controls=net.controls({"steps": 50})).mel
        for strength in (0.02, 1.0)
    )
    rebuilt = net._decoded(start)[..., : near.shape[2]]
    assert (near - rebuilt).abs().mean() < 0.2 * (far - rebuilt).abs().mean()


def test_only_the_region_is_made_anew(net):
    wave = torch.randn(2, 16000, generator=torch.Generator().manual_seed(0)) * 0.1
    given, _ = net.latents(wave)
    mel = net.config.mel
    made = net.edit(
        condition(net), wave, strength=1.0, regions=[(0.25, 0.5)], seed=0, controls=net.controls({"steps": 3})
    )
    same = (made.mel == given).all(1)[0]
    first, last = (int(time * mel.sample_rate / mel.hop_length) for time in (0.25, 0.5))
    assert same[: first - 1].all() and same[last + 2 :].all()
    assert not same[first:last].any()


def test_wrong_requests_are_one_sentence(net):
    wave = torch.zeros(2, 8000)
    for given in ({"regions": [(0.4, 0.2)]}, {"regions": [(0.0, 0.9)]}, {"strength": 0.0}, {"strength": 1.5}):
        with pytest.raises(DataError, match=r"is not (within|over)"):
            net.edit(condition(net), wave, **given)
    with pytest.raises(DataError, match="3600 seconds were asked for, and this model makes at most 60"):
        net.sample(condition(net), duration=3600)
    with pytest.raises(RecipeError, match="steps: input should be greater"):
        net.controls({"steps": 0})
    narrow = TextCondition(torch.zeros(1, 1, 3), torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 3))
    with pytest.raises(DataError, match="the model reads captions with 128 values, and these have 3"):
        net.sample(narrow, duration=0.2)


def test_latents_that_are_not_finite_are_an_error(net, monkeypatch):
    monkeypatch.setattr(net.unet, "latent_scale", net.unet.latent_scale)
    monkeypatch.setattr(type(net), "forward", lambda self, x, step, condition: x * float("nan"))
    with pytest.raises(DataError, match="not finite numbers, so there is no sound"):
        net.sample(condition(net), duration=0.2, controls=net.controls({"steps": 1}))


def test_stacked_captions_keep_their_states():
    short = TextCondition(torch.ones(1, 2, 3), torch.ones(1, 2, dtype=torch.bool), torch.ones(1, 3))
    long = TextCondition(2 * torch.ones(2, 4, 3), torch.ones(2, 4, dtype=torch.bool), 2 * torch.ones(2, 3))
    both = stacked(short, long)
    assert both.states.shape == (3, 4, 3) and both.mask.sum(1).tolist() == [2, 4, 4]
    assert both.states[0, :2].eq(1).all() and both.pooled[:, 0].tolist() == [1, 2, 2]


@pytest.mark.parametrize(
    ("card", "millions"),
    [("autoencoder/kl@audioldm", 55.377), ("autoencoder/kl@amphion-4x5x39", 62.078),
     ("autoencoder/kl@amphion-4x10x78", 60.3), ("tta/audioldm@s", 240.413), ("tta/audioldm_t5@4x5x39", 462.174)],
)  # fmt: skip
def test_cards_have_the_published_sizes(card, millions):
    with torch.device("meta"):
        found = amphion.build(card)
    count = sum(parameter.numel() for parameter in found.parameters()) / 1e6
    assert count == pytest.approx(millions, abs=0.05)
