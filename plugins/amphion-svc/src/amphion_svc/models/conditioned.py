"""What the trained SVC models share: their conditions as a config, the features they read, and mels in [-1, 1].

Zhang et al.: "Leveraging Content-based Features from Multiple Acoustic Models for Singing Voice Conversion",
arXiv:2310.11160. Letters: B batch, C channels, F bands, N frames of the mel, G values of a voice.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from amphion_core.api import BaseConfig, CorpusFacts, FeaturePart, Mel, MelConfig, VoiceConverter
from amphion_core.errors import DataError
from amphion_core.features.f0 import interpolate_f0, voiced
from amphion_core.features.resampling import to_frames
from amphion_core.speakers import check_speakers, speaker_fields, speakers_for
from amphion_svc.models.condition import Condition, ConditionEncoder
from amphion_svc.speaker_pitch import median_f0_of_speakers

LOUDNESS = "loudness"
ONLY = "singer"  # the name of the only singer of a corpus that states none
SILENT = 1e-4  # mean norm of mel magnitudes of a source without sound
SMALLEST_RANGE = 1e-3  # of a band of the mel that is the same in the whole corpus


class ConditionedConfig(BaseConfig):
    """The features that a model reads, and its singers. A model's own Config is a subclass."""

    mel: Mel = Field(default=MelConfig.preset("amphion_24k_100"), description="mel convention of frames and output")
    content: tuple[FeaturePart, ...] = Field(
        default=("contentvec", "whisper_encoder"),
        validate_default=True,
        description="features of what is said or sung; several are added up",
    )
    f0: FeaturePart | None = Field(default=None, description="tracker of F0, which gets this mel; null: f0_dio")
    melody: Literal["coarse", "fine"] = Field(
        default="fine", description="coarse: 255 classes of F0, as published; fine: mixtures of neighbouring classes"
    )
    loudness: bool = Field(default=True, description="read the loudness of each frame")
    loudness_range: tuple[float, float] = Field(
        default=(1e-4, 100.0), description="norms of mel magnitudes between which loudness has its 255 borders"
    )
    loudness_mean: float | None = Field(
        default=None, gt=0, description="mean norm in training, to which a source is brought; left out: computed"
    )  # fmt: skip
    condition_channels: int = Field(default=384, gt=0, description="channels of the condition")
    n_speakers: int = Field(default=1, ge=1, description="number of singers")
    speakers: tuple[str, ...] = Field(
        default=(), description="names of the singers by index; left out: the corpus's, or numbers"
    )
    speaker_f0: tuple[float, ...] = Field(
        default=(), description="median F0 of each singer in Hz, 0 where not known; left out: computed before training"
    )
    voice: FeaturePart | None = Field(
        default=None, description="feature of any voice, such as speaker_embedding; null: singers have numbers"
    )
    variants: dict[str, str] = Field(
        default_factory=dict, description="weights of the features in training; left out: those found before training"
    )

    @model_validator(mode="before")
    @classmethod
    def _complete_speakers(cls, values: Any) -> Any:
        return speaker_fields(values) if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _conditions_agree(self) -> Self:
        check_speakers(self.speakers, self.n_speakers)
        names = [part.name for part in self.content]
        if len({*names, LOUDNESS}) != len(names) + 1:
            raise ValueError(f"content: every feature must be there once, and {LOUDNESS} is no content: {names}")
        if self.voice is not None and self.speakers:
            raise ValueError("voice: a model of any voice has no table of speakers; leave out one of them")
        if self.speaker_f0 and len(self.speaker_f0) != self.n_speakers:
            raise ValueError(f"speaker_f0: {len(self.speaker_f0)} values for {self.n_speakers} speakers")
        if not 0 < self.loudness_range[0] < self.loudness_range[1]:
            raise ValueError(f"loudness_range: {self.loudness_range} must be two rising numbers above 0")
        return self

    @property
    def pitch_feature(self) -> FeaturePart:
        """The tracker of F0 in Hz in the frames of ``mel``, 0 where unvoiced."""
        if self.f0 is None:
            return FeaturePart.named("f0_dio", mel=self.mel)
        return FeaturePart.named(self.f0.name, **self.f0.config.model_dump() | {"mel": self.mel})


class ConditionedConverter(VoiceConverter):
    """Base of the trained models: it has ``condition``, and turns features into what its encoder gives."""

    config: Any

    def __init__(self, config: ConditionedConfig) -> None:
        """Raises MissingPackage where a content feature or the voice needs a package."""
        super().__init__(config)
        extractors = {part.name: part.build() for part in config.content}
        self._places = {name: (each.frame_shift, each.first_centre) for name, each in extractors.items()}
        self.condition = ConditionEncoder(
            config.condition_channels,
            {name: each.dim for name, each in extractors.items()},
            melody=config.melody,
            loudness=config.loudness_range if config.loudness else None,
            n_speakers=config.n_speakers,
            voice_dim=None if config.voice is None else config.voice.build().dim,
        )

    @classmethod
    def config_for(cls, config: Any, facts: CorpusFacts) -> Any:
        """``config`` with the singers of the corpus, the median F0 of each, the loudness, and the features' weights.

        Raises DataError for a singer whom the stated table lacks, MissingPackage and WeightsError.
        """
        parts = {part.name: part for part in config.content}
        changes: dict[str, Any] = {}
        if config.voice is not None:
            parts["voice"] = config.voice
        else:
            names = speakers_for(config.speakers, facts) or (ONLY,)
            changes = {"speakers": names, "n_speakers": len(names)}
            if not config.speaker_f0 or names != config.speakers:
                medians = median_f0_of_speakers(facts, config.pitch_feature)
                changes["speaker_f0"] = tuple(medians.get(name, medians.get("", 0.0)) for name in names)
        if config.loudness and config.loudness_mean is None:
            changes["loudness_mean"] = facts.statistics(FeaturePart.named(LOUDNESS, mel=config.mel)).mean[0]
        found = {name: part.build().variant for name, part in parts.items()}
        changes["variants"] = {name: variant for name, variant in found.items() if variant} | config.variants
        return config.replace(**changes)

    @property
    def features(self) -> dict[str, FeaturePart]:
        """The content features, and the loudness where the model reads it."""
        found = {part.name: part for part in self.config.content}
        return found | ({LOUDNESS: FeaturePart.named(LOUDNESS, mel=self.config.mel)} if self.config.loudness else {})

    @property
    def voice_feature(self) -> FeaturePart | None:
        """The feature of any voice, where the config has one."""
        found: FeaturePart | None = self.config.voice
        return found

    @property
    def pitch_feature(self) -> FeaturePart:
        """The tracker of the config."""
        found: FeaturePart = self.config.pitch_feature
        return found

    @property
    def feature_variants(self) -> Mapping[str, str]:
        """The weights of the features in training."""
        found: Mapping[str, str] = self.config.variants
        return found

    def encode(
        self,
        features: Mapping[str, Tensor],
        lengths: Tensor,
        speaker: Tensor,
        f0: Tensor | None,
        *,
        counts: Mapping[str, Tensor] | None = None,
        offsets: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Features by name, lengths (B), speaker (B) or (B, G), F0 (B, N) -> condition (B, C, N), mask (B, 1, N).

        ``features`` and ``f0`` are those of `convert`; N is the number of frames of ``f0``. The condition of padding
        is 0, and a source is brought to the loudness of the corpus. In training, ``counts`` are the valid frames of
        each item and ``offsets`` the seconds to the centre of the first frame, for content by its name; the loudness
        stays. Raises DataError for what is missing, and for a speaker of the wrong kind.
        """
        self._check(features, speaker, f0)
        assert f0 is not None
        size = f0.shape[1]
        valid = torch.arange(size, device=f0.device) < lengths[:, None]
        f0 = torch.where(valid, f0, 0.0)
        content = {
            name: self._at_mel(name, features[name], lengths, size, (counts or {}).get(name), (offsets or {}).get(name))
            for name in self._places
        }
        loudness = features[LOUDNESS][:, 0, :size] if self.config.loudness else None
        if loudness is not None and counts is None and self.config.loudness_mean is not None:
            own = (loudness * valid).sum(1, keepdim=True) / lengths[:, None]
            loudness = loudness * (self.config.loudness_mean / own.clamp(min=SILENT))
        found = self.condition(Condition(content, interpolate_f0(f0), ~voiced(f0), loudness, speaker))
        mask = valid[:, None].to(found.dtype)
        return found * mask, mask

    def _at_mel(
        self, name: str, feature: Tensor, lengths: Tensor, size: int, counts: Tensor | None, offset: Tensor | None
    ) -> Tensor:
        """A content feature (B, dim, M) at the frames of the mel: (B, dim, N)."""
        shift, centre = self._places[name]
        mel = self.config.mel
        hop = mel.hop_length / mel.sample_rate
        if counts is None:  # frames that lie inside the item's own time
            seconds = lengths.double() * hop + 1e-6
            inside = torch.minimum((seconds - 2 * centre) / shift + 1, seconds / shift).floor()
            counts = inside.clamp(1, feature.shape[2]).long()
        return to_frames(
            feature, size, frame_shift=shift, offset=centre if offset is None else offset, to_shift=hop,
            to_offset=mel.first_centre, lengths=counts,
        )  # fmt: skip

    def _check(self, features: Mapping[str, Tensor], speaker: Tensor, f0: Tensor | None) -> None:
        name = type(self).__name__
        if f0 is None:
            raise DataError(f"{name} needs F0", hint="give f0 (B, N) in Hz, 0 where unvoiced")
        if absent := [each for each in self.features if each not in features]:
            raise DataError(f"{name} needs the feature {absent[0]}", hint="net.features lists what it reads")
        if speaker.ndim != (1 if self.config.voice is None else 2):
            wanted = "numbers of its singers (B)" if self.config.voice is None else "vectors of voices (B, G)"
            raise DataError(f"{name} takes {wanted}, and speaker has the shape {tuple(speaker.shape)}")


class MelConverterConfig(ConditionedConfig):
    """For models that make mels: the range of each band, which becomes -1 to 1 inside the network."""

    mel_lowest: tuple[float, ...] = Field(
        default=(), description="smallest value of each band of the mel; left out: that of the corpus"
    )
    mel_highest: tuple[float, ...] = Field(
        default=(), description="largest value of each band of the mel; left out: that of the corpus"
    )

    @model_validator(mode="after")
    def _range_of_bands(self) -> Self:
        for name in ("mel_lowest", "mel_highest"):
            if len(getattr(self, name)) not in (0, self.mel.n_mels):
                raise ValueError(f"{name}: {len(getattr(self, name))} values for {self.mel.n_mels} bands")
        if bool(self.mel_lowest) != bool(self.mel_highest):
            raise ValueError("mel_lowest: give mel_highest with it, or neither")
        if any(low >= high for low, high in zip(self.mel_lowest, self.mel_highest, strict=True)):
            raise ValueError("mel_highest: every band must reach from a smaller to a larger value")
        return self


class MelConverter(ConditionedConverter):
    """Base of the models that make mels. Inside the network, each band of the corpus reaches from -1 to 1."""

    output = "mel"
    lowest: Tensor
    highest: Tensor

    def __init__(self, config: MelConverterConfig) -> None:
        """Raises MissingPackage where a content feature or the voice needs a package.

        Without the ranges of the bands, as before `config_for`, mels stay as they are.
        """
        super().__init__(config)
        bands = config.mel.n_mels
        self.register_buffer("lowest", torch.tensor(config.mel_lowest or [-1.0] * bands)[:, None], persistent=False)
        self.register_buffer("highest", torch.tensor(config.mel_highest or [1.0] * bands)[:, None], persistent=False)

    @classmethod
    def config_for(cls, config: Any, facts: CorpusFacts) -> Any:
        """As for all conditioned models, and the range of each band. Raises DataError for a corpus without sound."""
        config = super().config_for(config, facts)
        if config.mel_lowest:
            return config
        found = facts.statistics(FeaturePart.named("mel", mel=config.mel))
        highest = tuple(
            max(high, low + SMALLEST_RANGE) for low, high in zip(found.smallest, found.largest, strict=True)
        )
        return config.replace(mel_lowest=found.smallest, mel_highest=highest)

    def scaled(self, mel: Tensor) -> Tensor:
        """A mel (B, F, N) -> the values that the network makes, -1 to 1 in each band of the corpus."""
        return 2 * (mel - self.lowest) / (self.highest - self.lowest) - 1

    def unscaled(self, values: Tensor) -> Tensor:
        """The inverse of `scaled`: (B, F, N) -> mel (B, F, N)."""
        return (values + 1) / 2 * (self.highest - self.lowest) + self.lowest


def example_conditions() -> dict[str, Any]:
    """Fields of a tiny config: eight bands, two singers, and a mel in the role of the content."""
    mel = MelConfig.preset("amphion_24k_100").replace(n_mels=8)
    return {
        "mel": mel, "content": (FeaturePart.named("mel", mel=mel),), "n_speakers": 2, "speaker_f0": (150.0, 250.0),
        "mel_lowest": (-11.5,) * 8, "mel_highest": (2.0,) * 8,
    }  # fmt: skip


def example_condition_inputs(net: ConditionedConverter) -> dict[str, Any]:
    """Arguments of `ConditionedConverter.encode` for `example_conditions`: two items of 12 and 8 frames."""
    draw = torch.Generator().manual_seed(0)
    return {
        "features": {
            "mel": torch.randn(2, net.config.mel.n_mels, 12, generator=draw),
            LOUDNESS: torch.rand(2, 1, 12, generator=draw) + 0.1,
        },
        "lengths": torch.tensor([12, 8]), "speaker": torch.tensor([0, 1]),
        "f0": torch.tensor([0.0, 150.0, 155.0]).repeat(2, 4),
    }  # fmt: skip
