"""Training of autoencoders and of latent diffusion: losses, the scale of latents, guidance, weights of steps."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import amphion_core as amphion
from amphion_core import loading, recipe as recipes, yaml
from amphion_core.api import Batch, FeaturePart, TextCondition
from amphion_core.errors import DataError, RecipeError, WeightsError
from amphion_core.features.mel import hop_aligned_mel
from amphion_core.modules.diffusion import Diffusion, scheduler
from amphion_core.training.run import train, with_absolute_paths
from amphion_tta.autoencoders import AutoencoderPart, require_same_settings
from amphion_tta.features.mel_latents import read_latents
from amphion_tta.models.latent_unet import UNetConfig
from amphion_tta.sampled_validation import SoundMetrics
from amphion_tta.trainers.latent_diffusion import snr_weights

MEL = amphion.get("models", "autoencoder/kl").example_config().mel
AUTOENCODER = {
    "name": "autoencoder/kl",
    **amphion.get("models", "autoencoder/kl").example_config().model_dump(mode="json"),
}


def tone(hertz, seconds=1.0):
    times = np.arange(int(16000 * seconds)) / 16000
    return (0.3 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def of_rows(waves, captions=None):
    """A batch of equally long waves, as the engine gives it."""
    wave = torch.stack([torch.from_numpy(row) for row in waves])
    count = {"items": len(wave)}
    texts = {"caption": tuple(captions or ["tone"] * len(wave))}
    return Batch(tuple(map(str, range(len(wave)))), {
        "wave": wave, "lengths": torch.full((len(wave),), wave.shape[1]),
    }, count, count, texts)  # fmt: skip


def vae_trainer(**fields):
    torch.manual_seed(0)
    net = amphion.build(**AUTOENCODER)
    trainer = amphion.get("trainers", "kl_autoencoder")
    config = trainer.Config(**{"discriminator_start": 1, "channels": 4, "layers": 1} | fields)
    return trainer(config, model=net)


def test_the_adaptive_weight_is_the_ratio_of_the_gradients_of_the_last_layer():
    """For one item it is the published formula, from plain gradients of the parameters."""
    trainer = vae_trainer(largest_weight=1e6)
    batch = of_rows([tone(440)])
    torch.manual_seed(1)
    judged, drawn = trainer.training_step(batch, 1)
    torch.manual_seed(1)
    real = hop_aligned_mel(batch["wave"], MEL)
    made, posterior = trainer.network(real, torch.randn(1, *trainer.network.latent_shape(real.shape[2])))
    error = (made - real).abs().sum()
    adversarial = -trainer.discriminator(made[:, None]).mean()
    last = trainer.network.network.decoder.conv_out.weight
    norms = [torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (error, adversarial)]
    weight = norms[0] / (norms[1] + 1e-4)
    torch.testing.assert_close(drawn.logs["weight"], weight, rtol=1e-3, atol=0)
    wanted = (error + 1e-8 * posterior.divergence()[0] + 0.5 * weight * adversarial) / real.numel()
    torch.testing.assert_close(drawn.loss, wanted, rtol=1e-4, atol=0)
    assert (judged.group, drawn.group) == ("discriminator", "autoencoder")
    assert float(judged.loss.detach()) == pytest.approx(1.0, abs=0.3)  # a new discriminator scores near 0


def test_the_discriminator_begins_at_its_step_and_the_weight_is_limited():
    trainer = vae_trainer(discriminator_start=5, largest_weight=0.25)
    batch = of_rows([tone(440), tone(880)])
    assert [update.group for update in trainer.training_step(batch, 4)] == ["autoencoder"]
    judged, drawn = trainer.training_step(batch, 5)
    assert judged.group == "discriminator" and float(drawn.logs["weight"]) == 0.25


def test_recordings_of_several_lengths_need_a_crop():
    batch = of_rows([tone(440), tone(880)])
    batch.tensors["lengths"] = torch.tensor([16000, 9000])
    with pytest.raises(DataError, match="several lengths") as error:
        next(vae_trainer().training_step(batch, 1))
    assert "data.crop" in error.value.hint


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory):
    """A weights folder of an untrained autoencoder."""
    from amphion_core import weights

    torch.manual_seed(0)
    return weights.save(amphion.build(**AUTOENCODER), tmp_path_factory.mktemp("vae") / "weights")


def test_latents_are_those_of_the_autoencoder(autoencoder):
    net = amphion.load(autoencoder)
    extractor = FeaturePart.named("mel_latents", autoencoder=str(autoencoder)).build()
    wave = torch.from_numpy(np.stack([tone(440), tone(700)]))
    found = extractor.extract(wave, torch.tensor([16000, 8000]))
    assert found.shape == (2, extractor.dim, extractor.frames(16000)) and extractor.frames(8000) == 25
    for row, length in ((0, 16000), (1, 8000)):
        wanted = net.encode(hop_aligned_mel(wave[row : row + 1, :length], MEL))
        count = extractor.frames(length)
        posterior = read_latents(found[row : row + 1, :, :count], net)
        torch.testing.assert_close(posterior.mean, wanted.mean)
        torch.testing.assert_close(posterior.log_variance, wanted.log_variance)
    assert not found[1, :, 25:].any()
    with pytest.raises(WeightsError):
        FeaturePart.named("mel_latents", autoencoder="no/such/folder").build().dim  # noqa: B018


def recipe(root, autoencoder, **fields):
    values = {
        "name": "tones",
        "data": {"root": str(root), "crop": 12800, "budget": 4.0, "workers": 0},
        "model": {
            "name": "tta/audioldm", "autoencoder": AUTOENCODER, "text_encoder": "text_encoder/words",
            "condition_dim": 128, "steps": 50,
            "unet": {"channels": [32, 64], "blocks": 1, "attention": [False, True], "heads": [1, 2], "groups": 8},
        },
        "trainer": {"name": "latent_diffusion", "autoencoder": str(autoencoder)} | fields.pop("trainer", {}),
        "optim": {"name": "adamw", "lr": 2e-3},
        "engine": {"steps": 3, "micro_batches": 1, "device": "cpu", "validate_every": 3} | fields.pop("engine", {}),
        "seed": 1,
    }  # fmt: skip
    return recipes.check(values)


CAPTIONS = {"a": "low", "b": "high", "c": "low", "d": "high"}


@pytest.fixture
def tones(prepared):
    clips = {"a": tone(300), "b": tone(3000), "c": tone(300), "d": tone(3000)}
    return prepared({"train": clips, "dev": {"a": clips["a"]}}, caption=CAPTIONS)


def test_a_run_measures_the_scale_once_and_resumes_bit_for_bit(tones, autoencoder, tmp_path):
    whole = train(recipe(tones, autoencoder, engine={"ema": {"unet": 0.9}}), tmp_path / "whole")
    train(recipe(tones, autoencoder, engine={"ema": {"unet": 0.9}, "steps": 2}), tmp_path / "halves")
    halves = train(recipe(tones, autoencoder, engine={"ema": {"unet": 0.9}}), tmp_path / "halves", resume=True)
    one, other = amphion.load(whole), amphion.load(halves)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    net, values = amphion.load(autoencoder), []
    for clip in map(tone, (300, 3000)):
        found = net.encode(hop_aligned_mel(torch.from_numpy(clip)[None], MEL))
        values.append(found.sample(torch.randn(50, *found.mean.shape[1:], generator=torch.Generator().manual_seed(0))))
    assert float(one.unet.latent_scale) == pytest.approx(1 / float(torch.cat(values).std()), rel=0.1)
    stored = yaml.read(tmp_path / "whole" / "config.yaml")
    assert stored["model"]["text_encoder_fingerprint"]
    made = one.sample(one_caption("low"), duration=0.5, seed=0)
    assert made.mel.isfinite().all()


def one_caption(text):
    from amphion_tta.opening import open_text_encoder

    return open_text_encoder("text_encoder/words").encode([text])


def ldm_trainer(autoencoder, unet=None, **fields):
    checked = recipe("nowhere", autoencoder, trainer=fields)
    model = checked.model.config if unet is None else checked.model.config.replace(unet=unet)
    torch.manual_seed(0)
    return checked.trainer.build(model=amphion.get("models", "tta/audioldm")(model))


def test_eight_latents_are_learned_by_heart(autoencoder):
    """DDIM makes of each caption the latents that it was learned with: cosine 0.96 and more, measured."""
    small = UNetConfig(channels=(64,), blocks=1, attention=(False,), heads=(1,), groups=8)
    trainer = ldm_trainer(autoencoder, small)
    net, draw = trainer.network, torch.Generator().manual_seed(0)
    targets = F.interpolate(torch.randn(8, 2, 4, 2, generator=draw), (8, 4), mode="bilinear")
    targets = targets / targets.std()
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    condition = trainer._captions(words, torch.device("cpu"))
    states, mask, pooled = (part.repeat(4, *[1] * (part.ndim - 1)) for part in (
        condition.states, condition.mask, condition.pooled,
    ))  # fmt: skip
    optimizer = torch.optim.AdamW(net.unet.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    torch.manual_seed(0)
    for _ in range(400):
        steps, noise = torch.randint(1000, (32,)), torch.randn(32, 2, 8, 4)
        chosen = TextCondition(states, mask, pooled)
        loss = trainer._errors(net.unet, targets.repeat(4, 1, 1, 1), noise, steps, chosen).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    net.for_inference()
    noise, draws = net._noise(8, 16, 5)
    made = net._generate(condition, None, noise, draws, net.controls({"sampler": "ddim", "steps": 50}))
    similar = F.cosine_similarity(made.flatten(1)[:, None], targets.flatten(1)[None], dim=2)
    assert similar.argmax(1).tolist() == list(range(8))
    assert float(similar.diagonal().min()) > 0.9


def test_dropped_captions_are_the_empty_one(autoencoder):
    trainer = ldm_trainer(autoencoder)
    batch = of_rows([tone(440)] * 3, ["low", "high", "noise"])
    found = trainer.condition(batch, torch.tensor([False, True, False]))
    empty, low = (trainer._captions([text], torch.device("cpu")).pooled[0] for text in ("", "low"))
    assert torch.equal(found.pooled[1], empty) and torch.equal(found.pooled[0], low) and not torch.equal(empty, low)
    assert trainer.unusable(type("Item", (), {"caption": " "})()) == "no caption"


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_min_snr_weights_are_those_of_the_paper(prediction):
    """In the units of the clean data, the weight of each step is min(SNR, 5), whatever the network predicts."""
    diffusion = Diffusion(schedule="scaled_linear", prediction=prediction, clip="never")
    levels = diffusion.levels()
    weights = snr_weights(levels, prediction, 5.0)
    clean, noise = torch.zeros(3, 1), torch.ones(3, 1)
    steps = torch.tensor([0, 300, 999])
    found = diffusion.wanted(clean, noise, steps) + 0.1  # a prediction with an error of 0.1
    noisy = diffusion.with_noise(clean, noise, steps)
    source = scheduler("ddim", diffusion, 1000)
    for row, step in enumerate(steps.tolist()):
        kept, level = source.step(found[row], step, noisy[row]).pred_original_sample, levels[step]
        ratio = float(level / (1 - level))
        in_data = float(kept.square().mean()) * min(ratio, 5.0)
        assert float(weights[step]) * 0.01 == pytest.approx(in_data, rel=1e-3)
    assert snr_weights(levels, prediction, None).eq(1).all()


def test_wrong_parts_are_refused_before_training(autoencoder, tones):
    with pytest.raises(RecipeError, match="text_encoder/words hears no audio"):
        ldm_trainer(autoencoder, condition="audio")
    with pytest.raises(WeightsError, match="autoencoder"):
        wider = recipe("nowhere", autoencoder).model
        config = wider.config.replace(autoencoder={**AUTOENCODER, "latent_channels": 3})
        trainer = amphion.get("trainers", "latent_diffusion")
        trainer(trainer.Config(autoencoder=str(autoencoder)), model=type(wider.build())(config))


@pytest.mark.parametrize(("change", "message"), [
    ({"mel": MEL.replace(fmax=7000.0)}, "mel.fmax: None there and 7000.0 here"),
    ({"time_first": False}, "time_first: True there and False here"),
    ({"groups": 4}, "groups: 2 there and 4 here"),
])  # fmt: skip
def test_an_autoencoder_with_other_settings_and_weights_of_the_same_shapes_is_refused(autoencoder, change, message):
    part = AutoencoderPart.named(**{**AUTOENCODER, **change})
    with pytest.raises(WeightsError) as caught:
        require_same_settings(loading.open_weights(autoencoder), part, str(autoencoder))
    assert message in caught.value.message
    same = AutoencoderPart.named(**{**AUTOENCODER, "latent_scale": 0.5})
    require_same_settings(loading.open_weights(autoencoder), same, str(autoencoder))


def test_a_run_finds_its_autoencoder_and_text_encoder_from_another_folder(autoencoder, tmp_path, monkeypatch):
    """Also in a part of the trainer. Names that are no folders of weights stay as they are."""
    monkeypatch.chdir(autoencoder.parent)
    given = recipe("nowhere", "weights")
    sounds = SoundMetrics(vocoder="weights", controls={"steps": 2})
    trainer = type(given.trainer)(given.trainer.name, given.trainer.config.replace(sounds=sounds))
    model = type(given.model)(given.model.name, given.model.config.replace(text_encoder="weights"))
    stored = with_absolute_paths(given.model_copy(update={"trainer": trainer, "model": model}))
    place = str(autoencoder)
    assert stored.trainer.config.autoencoder == stored.trainer.config.sounds.vocoder == place
    assert stored.model.config.text_encoder == place and stored.model.config.unet == given.model.config.unet
    monkeypatch.chdir(tmp_path)
    unchanged = with_absolute_paths(given)
    assert unchanged.trainer.config.autoencoder == "weights" and unchanged.model is given.model
