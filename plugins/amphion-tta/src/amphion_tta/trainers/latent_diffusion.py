"""Training of latent diffusion: the network learns to find the noise in the latents of recordings, given their
captions.

Ho, Jain, Abbeel: "Denoising Diffusion Probabilistic Models", arXiv:2006.11239, algorithm 1. Rombach et al.:
arXiv:2112.10752, section 3.3. Guidance without a classifier: Ho, Salimans, arXiv:2207.12598; some captions are replaced
by the empty one. Min-SNR weights: Hang et al., arXiv:2303.09556: min(SNR, gamma) / SNR where the noise is predicted,
and min(SNR, gamma) / (SNR + 1) where the velocity is.
"""

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core import loading, weights
from amphion_core.api import (
    BaseConfig,
    Batch,
    FeaturePart,
    MelConfig,
    ModelArchitecture,
    ModelTrainer,
    TextCondition,
    Update,
    Utterance,
    Validation,
)  # fmt: skip
from amphion_core.errors import DataError, RecipeError
from amphion_core.features.mel import hop_aligned_mel
from amphion_tta.autoencoders import AutoencoderPart, AutoencoderSource, require_same_settings
from amphion_tta.opening import open_text_encoder
from amphion_tta.sampled_validation import SampledValidation, SoundMetrics
from amphion_tta.trainers.caption_memory import CaptionMemory

if TYPE_CHECKING:
    from amphion_core.data.loader import Corpus
    from amphion_tta.models.autoencoder_kl import Posterior
    from amphion_tta.models.latent_diffusion import LatentDiffusion
    from amphion_tta.models.latent_unet import LatentUNet

PROBES = 4  # steps of the diffusion, spread evenly, at which a validation measures the prediction
MEASURED = 256  # recordings from which the scale of the latents is measured
LATENTS = "latents"  # name in the batch


class LatentDiffusionTrainer(ModelTrainer):
    """Each step adds noise of a random level to the latents of each recording and trains the network to find it."""

    class Config(BaseConfig):
        """Where latents come from, and what is learned."""

        autoencoder: AutoencoderSource | None = Field(
            default=None,
            description="card, weights folder or run of the trained autoencoder; null: engine.init_from gives it",
        )
        cache: bool = Field(
            default=True,
            description="compute latents once, before the first step, with `autoencoder`; augmentations need false",
        )
        unconditional: float = Field(
            default=0.1, ge=0, le=1, description="share of the items that are learned with the empty caption"
        )
        condition: Literal["caption", "audio"] = Field(
            default="caption",
            description="what the text encoder reads: the caption, or the recording, where it hears audio (CLAP)",
        )
        min_snr: float | None = Field(
            default=None,
            gt=0,
            le=1e6,
            description="gamma of the min-SNR weights of the steps; 5 is usual; null: no weights",
        )
        min_snr_formula: Literal["prediction", "epsilon"] = Field(
            default="prediction",
            description="the formula that belongs to what the network predicts, or always that of predicted noise",
        )
        vocoder: str | None = Field(
            default=None, description="vocoder of the same mel: a card, a run or a folder; stored with the weights"
        )
        sounds: SoundMetrics | None = Field(
            default=None,
            description="make sounds from captions in validations, and how they are judged; null: none are made",
        )

    config: Config
    network: "LatentDiffusion"
    trains = "tta"
    example_model = "tta/audioldm_t5"
    example_crop: ClassVar[int | None] = 8000

    @classmethod
    def example_config(cls) -> Config:
        """With min-SNR weights."""
        return cls.Config(min_snr=5.0)

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        """Raises RecipeError for another model, and what opening the text encoder and the autoencoder raises."""
        from amphion_tta.models.latent_diffusion import LatentDiffusion

        if not isinstance(model, LatentDiffusion):
            raise RecipeError(
                f"the trainer latent_diffusion cannot train {type(model).__name__}: it trains latent diffusion",
                hint="amphion list models 'tta/*'",
            )
        super().__init__(config, model=model)
        self.network = model
        self.mel: MelConfig = model.config.mel
        self.encoder = open_text_encoder(model.config.text_encoder)
        self._captions = CaptionMemory(self.encoder)
        if config.condition == "audio" and not self.encoder.hears_audio:
            raise RecipeError(
                f"trainer.condition: {model.config.text_encoder} hears no audio", hint="trainer.condition=caption"
            )
        if isinstance(config.autoencoder, str):
            found = loading.open_weights(config.autoencoder)
            require_same_settings(found, model.config.autoencoder, config.autoencoder)
            weights.load_state(model.autoencoder, found.state, what=f"the autoencoder {config.autoencoder}")
        self.weights = snr_weights(model.config.diffusion.levels(), self._formula(), config.min_snr)
        self.sampled = SampledValidation(config.sounds, model) if config.sounds else None
        self.higher_is_better = {"error": False, **(self.sampled.higher_is_better if self.sampled else {})}

    def _formula(self) -> str:
        return self.network.config.diffusion.prediction if self.config.min_snr_formula == "prediction" else "epsilon"

    @property
    def sample_rate(self) -> int:
        """The rate of the model's mel, Hz."""
        return self.mel.sample_rate

    @property
    def hop_length(self) -> int:
        """Samples of a latent."""
        return self.network.autoencoder.hop_length

    def features(self) -> dict[str, FeaturePart]:
        """The latents, where they are cached."""
        if self.config.autoencoder is None or not self.config.cache:
            return {}
        source = self.config.autoencoder
        given = {"name": source.name, **source.config.model_dump()} if isinstance(source, AutoencoderPart) else source
        return {LATENTS: FeaturePart.named("mel_latents", autoencoder=given)}

    def networks(self) -> dict[str, nn.Module]:
        """The UNet; the autoencoder and the text encoder are frozen."""
        return {"unet": self.network.unet}

    def unusable(self, utterance: Utterance) -> str | None:
        """Items without a caption cannot be learned from, unless the recordings are the condition."""
        return None if self.config.condition == "audio" or utterance.caption.strip() else "no caption"

    def measure(self, corpus: "Corpus") -> None:
        """Store the scale of the latents, one by their deviation, in the UNet, unless it is known.

        It is known where the model's config or the autoencoder's states it, and where initial weights have brought it.
        """
        if self.network.config.latent_scale is not None or float(self.network.unet.latent_scale) != 1:
            return
        collate, device = self.collator(), self.network.device
        count, total, square = 0, 0.0, 0.0
        with torch.no_grad():
            for item in np.unique(np.linspace(0, len(corpus) - 1, MEASURED).round().astype(int)).tolist():
                found = self._posterior(collate([corpus.example(item, (0, item))]).to(device))
                count += found.mean.numel()
                total += float(found.mean.double().sum())
                square += float((found.mean.double().square() + found.log_variance.double().exp()).sum())
        variance = square / count - (total / count) ** 2
        self.network.unet.latent_scale.fill_(variance**-0.5)

    def _posterior(self, batch: Batch) -> "Posterior":
        """The distribution of the latents of a batch, (B, Z, H, W), from the cache or from ``wave``."""
        from amphion_tta.features.mel_latents import read_latents

        if bool((batch["lengths"] != batch["wave"].shape[1]).any()):
            raise DataError(
                "the recordings of a batch have several lengths, and this trainer needs one",
                hint="state data.crop, the samples of each item, such as data.crop=79360",
            )
        if LATENTS in batch:
            return read_latents(batch[LATENTS], self.network.autoencoder)
        with torch.no_grad():
            return self.network.autoencoder.encode(hop_aligned_mel(batch["wave"], self.mel))

    def condition(self, batch: Batch, dropped: Tensor | None = None) -> TextCondition:
        """What the network reads for a batch. Items that are True in ``dropped`` (B) get the empty caption."""
        device = batch["wave"].device
        drops = [False] * len(batch) if dropped is None else dropped.tolist()
        captions = ["" if drop else text for drop, text in zip(drops, batch.texts["caption"], strict=True)]
        if self.config.condition == "caption":
            return self._captions(captions, device)
        heard = self.encoder.encode_audio(batch["wave"], self.sample_rate, batch["lengths"])
        nothing = self._captions([""] * len(batch), device)
        if dropped is None or heard.pooled is None or nothing.pooled is None:
            return heard
        return TextCondition(heard.states, heard.mask, torch.where(dropped[:, None], nothing.pooled, heard.pooled))

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave`` or cached latents, and captions -> the update of the UNet. Latents are drawn from the posterior.

        The step of the diffusion of each item and the noise are drawn at random.
        """
        posterior = self._posterior(batch)
        device, diffusion = posterior.mean.device, self.network.config.diffusion
        clean = posterior.sample(torch.randn_like(posterior.mean)) * self.network.unet.latent_scale
        steps = torch.randint(diffusion.steps, (len(batch),), device=device)
        noise = torch.randn_like(clean)
        dropped = torch.rand(len(batch), device=device) < self.config.unconditional
        errors = self._errors(self.network.unet, clean, noise, steps, self.condition(batch, dropped))
        weighted = errors * self.weights.to(device)[steps]
        items = batch.totals["items"]
        yield Update("unet", weighted.sum() / items, {"error": errors.detach().sum() / items})

    def _errors(
        self, unet: "LatentUNet", clean: Tensor, noise: Tensor, steps: Tensor, condition: TextCondition
    ) -> Tensor:
        """Scaled latents and noise (B, Z, H, W), steps (B) -> mean squared error of each item's prediction (B)."""
        diffusion = self.network.config.diffusion
        found = unet(diffusion.with_noise(clean, noise, steps), steps, condition).float()
        return (found - diffusion.wanted(clean, noise, steps)).square().mean((1, 2, 3))

    def validation_step(self, batch: Batch) -> Validation:
        """The mean squared error of the prediction at four steps, with fixed noise, and the scores of `sounds`."""
        unet = cast("LatentUNet", self.ema.get("unet", self.network.unet))
        scores = []
        for index, length in enumerate(batch["lengths"].tolist()):
            one = _item(batch, index, length)
            clean = self._posterior(one).mean * unet.latent_scale
            draw = torch.Generator().manual_seed(0)
            noise = torch.randn(clean.shape, generator=draw).to(clean.device)
            probes = torch.linspace(0, self.network.config.diffusion.steps - 1, PROBES + 2)[1:-1].round().long()
            condition = self.condition(one)
            found = [self._errors(unet, clean, noise, probe[None].to(clean.device), condition) for probe in probes]
            scores.append(float(torch.stack(found).mean()))
        if self.sampled is None:
            return Validation({"error": scores})
        averaged = copy.copy(self.network)  # with the UNet's moving average, if there is one
        averaged._modules = {**self.network._modules, "unet": unet}
        made = self.sampled(averaged, self.encoder, batch)
        return Validation({"error": scores, **made.scores}, made.audio, made.pictures)


def _item(batch: Batch, index: int, length: int) -> Batch:
    """One item of a batch of recordings of several lengths, without its padding."""
    row = slice(index, index + 1)
    tensors = {"wave": batch["wave"][row, :length], "lengths": batch["lengths"][row]}
    if LATENTS in batch:
        tensors[LATENTS] = batch[LATENTS][row, :, : int(batch[f"{LATENTS}_lengths"][index])]
    texts = {name: found[row] for name, found in batch.texts.items()}
    return Batch(batch.ids[row], tensors, {"items": 1}, {"items": 1}, texts)


def snr_weights(levels: Tensor, prediction: str, gamma: float | None) -> Tensor:
    """The weight of the squared error at each step of the training, (steps,), from ``levels``, alpha-bar (steps,).

    ``prediction`` is "epsilon" or "v_prediction". Without ``gamma`` all weights are 1.
    """
    if gamma is None:
        return torch.ones_like(levels)
    ratio = levels / (1 - levels)
    return ratio.clamp(max=gamma) / (ratio if prediction == "epsilon" else ratio + 1)
