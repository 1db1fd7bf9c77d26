"""Training of PicoAudio: reference losses, what its trainer takes, and that it learns times, also for new captions."""

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import recipe as recipes
from amphion_core.api import Example, Utterance
from amphion_core.errors import DataError, RecipeError
from amphion_tta.autoencoders import AutoencoderPart
from amphion_tta.models.picoaudio import PicoAudio
from amphion_tta.trainers.latent_diffusion import snr_weights
from amphion_tta.trainers.timed_diffusion import TimedDiffusionTrainer


def trainer(model=None, **fields):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = model or PicoAudio(PicoAudio.example_config())
    return TimedDiffusionTrainer(TimedDiffusionTrainer.Config(**fields), model=model)


def test_losses_are_the_reference_numbers(golden):
    case = golden("pico")
    inputs, outputs, unet = case["inputs"], case["outputs"], case["config"]["unet"]
    coder = {"channels": (32, 32, 32), "blocks": 1, "attention": False}
    config = PicoAudio.Config(
        autoencoder=AutoencoderPart.named("autoencoder/kl", **coder), reads="text", condition_dim=24,
        unet={
            "channels": unet["block_out_channels"], "blocks": 1, "attention": (True, False), "heads": (4, 4),
            "groups": 8, "linear_projection": True,
        },
    )  # fmt: skip
    model = PicoAudio(config).eval()
    model.unet.network.load_state_dict(case["state_dict"]["unet"])
    states = torch.cat([torch.zeros(3, 32, 1), outputs["onset"].float()], 2)
    mask = torch.ones(3, 32, dtype=torch.bool)
    condition = amphion.api.TextCondition(states, mask, inputs["event_emb"][:, 0])
    levels, t = config.diffusion.levels(), inputs["t"]
    torch.testing.assert_close((levels / (1 - levels))[t], outputs["snr"], rtol=1e-4, atol=0)
    weights = snr_weights(levels, "epsilon", 5.0)[t]
    torch.testing.assert_close(weights, outputs["minsnr5_w"], rtol=1e-4, atol=0)
    for prediction, name in (("v_prediction", "loss_v"), ("epsilon", "loss_eps")):
        model.config = config.replace(diffusion=config.diffusion.replace(prediction=prediction))
        with torch.no_grad():
            errors = trainer(model)._errors(model.unet, inputs["latent"], inputs["noise"], t, condition)
        torch.testing.assert_close((errors * weights).mean(), outputs[name], rtol=1e-4, atol=0)


def test_the_weights_of_velocities_and_those_of_the_published_code():
    levels = PicoAudio.example_config().diffusion.levels()
    ratio = levels / (1 - levels)
    ours, published = trainer(min_snr=5.0), trainer(min_snr=5.0, min_snr_formula="epsilon")
    torch.testing.assert_close(ours.weights, ratio.clamp(max=5) / (ratio + 1))
    torch.testing.assert_close(published.weights, ratio.clamp(max=5) / ratio)


@pytest.mark.parametrize(
    ("caption", "duration", "reason"),
    [
        ("fine at 0.1-0.4", 1.0, None),
        ("", 1.0, "no caption"),
        ("hello", 1.0, "states no times"),
        ("fine at 0-1", 3.0, "longer than 2.56 s"),
        ("horse at 0-1", 1.0, "no event 'horse'"),
        ("fine at 1-3", 1.0, "not within the 2.56 s"),
    ],
)
def test_which_recordings_can_be_used(caption, duration, reason):
    found = trainer().unusable(Utterance("a", "a.wav", duration, caption=caption))
    assert found is None if reason is None else reason in found


def example(samples, seconds, **features):
    return Example(Utterance("a", "a.wav", seconds, caption="fine at 0-1"), np.ones(samples, np.float32), features)


def test_recordings_are_filled_up_and_never_cut():
    collate = trainer().collator()
    batch = collate([example(16000, 1.0), example(40960, 2.56)])
    assert batch["lengths"].tolist() == [40960, 40960] and batch["wave"][0].sum() == 16000
    with pytest.raises(DataError, match="was cut or stretched"):
        collate([example(8000, 1.0)])
    with pytest.raises(DataError, match="its 25 cached latents do not fill the 64 columns"):
        collate([example(16000, 1.0, latents=np.zeros((8, 25), np.float32))])


def test_dropped_items_get_the_empty_caption():
    one = trainer()
    batch = one.collator()([example(16000, 1.0), example(16000, 1.0)])
    condition = one.condition(batch, torch.tensor([False, True]))
    assert condition.states[0, 3].sum() == 26 and not condition.states[1].any()  # 25 columns, and the event's share


def test_models_and_conditions_that_it_cannot_train():
    other = amphion.get("models", "tta/audioldm_t5")
    with pytest.raises(RecipeError, match="it trains tta/picoaudio"):
        TimedDiffusionTrainer(TimedDiffusionTrainer.Config(), model=other(other.example_config()))
    with pytest.raises(RecipeError, match="audio cannot be the condition"):
        trainer(condition="audio")


def test_times_are_learned_and_hold_for_new_captions():
    """Latents that are 1 while an event sounds, and else -1: generated ones follow captions that were never seen."""
    one = trainer()
    model, random = one.network.train(), np.random.default_rng(0)

    def batch(size):
        captions = []
        for name in random.choice(model.config.events, size):
            start = random.uniform(0, 1.5)
            captions.append(f"{name} at {start:.2f}-{start + random.uniform(0.3, 1.0):.2f}")
        condition = model.read_captions(captions, duration=2.56)
        sounding = condition.states[..., 1:].amax(1) * 2 - 1  # (B, N)
        return sounding[:, None, :, None].expand(-1, 2, -1, 2), condition

    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(0)
        optimiser = torch.optim.Adam(model.unet.parameters(), lr=5e-3)
        for _ in range(120):
            clean, condition = batch(8)
            steps, noise = torch.randint(1000, (8,)), torch.randn(clean.shape)
            loss = one._errors(model.unet, clean, noise, steps, condition).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    clean, condition = batch(8)
    with torch.no_grad():
        noise, draws = model.eval()._noise(8, 256, 1)
        made = model._generate(condition, None, noise, draws, model.controls({"sampler": "ddim", "steps": 20}))
    right = ((made.mean((1, 3)) > 0) == (clean[:, 0, :, 0] > 0)).float().mean()
    assert right > 0.97  # measured: 1.0, and 0.48 before the training


@pytest.mark.parametrize("name", ["picoaudio", "picoaudio_small_vae", "picoaudio_small"])
def test_recipes_can_be_read_and_their_models_built(name):
    recipe = recipes.read(name)
    assert name in recipe.resolved()  # what a run writes into its folder
    with torch.device("meta"):
        recipe.model.build()
