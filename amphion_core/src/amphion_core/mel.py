"""MelConfig: the whole convention of a mel spectrogram, with the presets of published models. Does not import torch.

A vocoder turns a mel of another convention into noise. So everything that changes a value is a field, and two
conventions are the same only if all their fields are. `amphion_core.features.mel` computes the spectrograms.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from amphion_core.config import BaseConfig
from amphion_core.errors import AudioError, nearest


class MelConfig(BaseConfig):
    """How a waveform (B, T) becomes a mel spectrogram (B, F, N). The window is a periodic Hann window throughout.

    With S the STFT, ``power`` p, W the filterbank and e ``epsilon``:
    ``M = W (|S|^2 + e)^(p/2)``, then ``log`` and ``floor`` make the value:

    ========= ===========================================================================
    ln        ln(max(M, floor))
    log10     log10(max(M, floor))
    unit_db   clip((20/p log10(max(M, floor)) - reference_db - min_db) / -min_db, 0, 1)
    ========= ===========================================================================

    Statistics of a training set (a mean for each band) are not part of a convention. They belong to a model's config.
    """

    sample_rate: int = Field(default=22050, gt=0, le=1_000_000, description="rate of the audio, Hz")
    n_fft: int = Field(default=1024, gt=0, le=2**20, multiple_of=2, description="length of the FFT, samples")
    win_length: int = Field(default=1024, gt=0, description="length of the window, centred in the FFT, samples")
    hop_length: int = Field(default=256, gt=0, description="step between frames, samples")
    n_mels: int = Field(default=80, gt=0, le=10_000, description="number of mel bands")
    fmin: float = Field(default=0.0, ge=0, description="lower edge of the lowest band, Hz")
    fmax: float | None = Field(
        default=8000.0,
        gt=0,
        description="upper edge of the highest band, Hz; null: half the rate (which is stored as null)",
    )
    scale: Literal["slaney", "htk"] = Field(
        default="slaney", description="mel scale: Auditory Toolbox, or HTK's formula"
    )
    norm: Literal["slaney", "none"] = Field(default="slaney", description="slaney: each band has area 1; none: peak 1")
    power: float = Field(
        default=1.0, gt=0, le=10, description="exponent of the magnitude before the filterbank: 1 or 2"
    )
    normalized: bool = Field(default=False, description="divide the STFT by the root of the window's energy")
    log: Literal["ln", "log10", "unit_db"] = Field(default="ln", description="how a mel magnitude is compressed")
    floor: float = Field(default=1e-5, gt=0, description="smallest mel magnitude before the logarithm")
    reference_db: float = Field(default=0.0, description="level subtracted with log unit_db, dB")
    min_db: float = Field(default=-100.0, lt=0, description="level that becomes 0 with log unit_db, dB")
    epsilon: float = Field(default=1e-9, ge=0, description="added to the squared magnitude of the STFT")
    padding: Literal["same", "center"] = Field(
        default="same",
        description="samples added around the audio. same: (n_fft - hop) / 2 on each side, N = T // hop; "
        "center: n_fft / 2 on each side, N = T // hop + 1",
    )
    pad_mode: Literal["reflect", "constant"] = Field(
        default="reflect", description="content of the padding: mirrored audio, or 0"
    )

    @field_validator("fmax")
    @classmethod
    def _store_half_the_rate_as_none(cls, fmax: float | None, info: ValidationInfo) -> float | None:
        return None if fmax is not None and fmax == info.data.get("sample_rate", 0) / 2 else fmax

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.win_length > self.n_fft:
            raise ValueError(f"win_length: {self.win_length} is more than n_fft {self.n_fft}")
        if self.hop_length > self.n_fft:
            raise ValueError(
                f"hop_length: {self.hop_length} is more than n_fft {self.n_fft}, so some audio would be in no frame"
            )
        if self.fmax is not None and self.fmax > self.sample_rate / 2:
            raise ValueError(f"fmax: {self.fmax} Hz is above half the rate, {self.sample_rate / 2} Hz")
        if self.fmin >= self.top:
            raise ValueError(f"fmin: {self.fmin} Hz is not below the upper edge {self.top} Hz")
        return self

    @classmethod
    def preset(cls, name: str) -> Self:
        """The published convention called ``name``. Raises ValueError with the nearest name."""
        if name not in _PRESETS:
            close = nearest(name, _PRESETS)
            help = f"did you mean {close}?" if close else f"presets are {', '.join(_PRESETS)}"
            raise ValueError(f"there is no mel preset {name!r}; {help}")
        return cls(**_PRESETS[name])

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """Every preset by its name."""
        return {name: cls.preset(name) for name in _PRESETS}

    @property
    def top(self) -> float:
        """Upper edge of the highest band, Hz: ``fmax``, or half the rate."""
        return self.sample_rate / 2 if self.fmax is None else self.fmax

    @property
    def pad(self) -> tuple[int, int]:
        """The numbers of samples added before and after the audio."""
        if self.padding == "center":
            return self.n_fft // 2, self.n_fft // 2
        around = self.n_fft - self.hop_length
        return around // 2, around - around // 2

    @property
    def first_centre(self) -> float:
        """Seconds from the start of the audio to the centre of the first frame; the next follow by a hop each."""
        return (self.n_fft / 2 - self.pad[0]) / self.sample_rate

    @property
    def shortest(self) -> int:
        """The smallest number of samples that give a frame, and can be mirrored at both ends."""
        return max(
            1 + max(self.pad) if self.pad_mode == "reflect" else 1, self.hop_length if self.padding == "same" else 1
        )

    def frames(self, samples: int) -> int:
        """N, the number of frames of ``samples`` (T) samples."""
        return samples // self.hop_length + (self.padding == "center")

    def differences(self, other: "MelConfig") -> dict[str, tuple[Any, Any]]:
        """The fields that differ, each with its value here and in ``other``; empty for the same convention."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in MelConfig.model_fields}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def require_same(self, other: "MelConfig", *, ours: str = "acoustic model", theirs: str = "vocoder") -> None:
        """Check that both conventions are the same. Raises AudioError that lists every field that differs."""
        if found := self.differences(other):
            listed = "; ".join(f"{name}: {here} and {there}" for name, (here, there) in found.items())
            raise AudioError(
                f"the mels of the {ours} and the {theirs} differ ({listed})",
                hint=f"choose a {theirs} trained on the mel of the {ours}: compare with amphion info NAME",
            )


def read_mel(value: Any) -> Any:
    """Turn a preset's name, ``{preset: NAME, field: ...}`` or ``{field: ...}`` into the fields of a MelConfig.

    Raises ValueError for an unknown preset.
    """
    if isinstance(value, str):
        return MelConfig.preset(value)
    if isinstance(value, Mapping) and "preset" in value:
        changes = {key: field for key, field in value.items() if key != "preset"}
        return MelConfig.preset(str(value["preset"])).model_dump() | changes
    return value


Mel = Annotated[MelConfig, BeforeValidator(read_mel)]
"""Annotation of a config field: accepts a preset's name, a mapping (with ``preset`` for a base), or a MelConfig."""

_HIFIGAN: dict[str, Any] = {}  # the fields' defaults are HiFi-GAN's 22.05 kHz convention, arXiv:2010.05646
_BIGVGAN_44K = {"sample_rate": 44100, "n_mels": 128, "fmax": None}
_MEL_16K = {"sample_rate": 16000, "fmax": 8000.0}
_AMPHION_24K = {"sample_rate": 24000, "n_mels": 100, "fmax": None}
_LIBROSA = {"epsilon": 0.0, "padding": "center"}
_TORCHAUDIO = {**_LIBROSA, "scale": "htk", "norm": "none"}

# Rates, sizes, edges and logarithms are those of the authors' code or configuration files.
_PRESETS: dict[str, dict[str, Any]] = {
    "hifigan_22k_80": _HIFIGAN,
    "hifigan_22k_80_full": {"fmax": None},  # the mel of HiFi-GAN's mel loss
    "amphion_24k_100": _AMPHION_24K,
    "bigvgan_24k_100": _AMPHION_24K,
    "bigvgan_22k_80_fmax8k": _HIFIGAN,
    "bigvgan_22k_80_full": {"fmax": None},
    "bigvgan_44k_128_256": _BIGVGAN_44K,
    "bigvgan_44k_128_512": _BIGVGAN_44K | {"n_fft": 2048, "win_length": 2048, "hop_length": 512},
    "nsf_44k_128": _BIGVGAN_44K
    | {"n_fft": 2048, "win_length": 2048, "hop_length": 512, "fmin": 40.0, "fmax": 16000.0, "epsilon": 0.0},
    "melgan_22k_80": {"fmax": None, "log": "log10", "epsilon": 0.0},
    "tacotron2_22k_80": _LIBROSA,  # also that of WaveGlow and FastSpeech 2
    # The published weights were trained with librosa < 0.10, which mirrored the edges; newer versions pad with zeros.
    # The documented reference level of 20 dB is not subtracted from mels.
    "wavernn_22k_80": _LIBROSA
    | {"n_fft": 2048, "win_length": 1100, "hop_length": 275, "fmin": 40.0, "fmax": None, "log": "unit_db"},
    "wavenet_22k_80": _LIBROSA | {"fmin": 125.0, "fmax": 7600.0, "log": "log10", "floor": 1e-10},
    "diffwave_22k_80": _TORCHAUDIO
    | {"fmin": 20.0, "fmax": None, "normalized": True, "log": "unit_db", "reference_db": 20.0},
    "apnet_16k_80": _MEL_16K | {"win_length": 320, "hop_length": 80, "padding": "center"},
    "apnet2_22k_80": {"padding": "center"},
    "tta_16k_80": _MEL_16K,
    "audioldm_16k_64": _LIBROSA | _MEL_16K | {"n_mels": 64, "hop_length": 160},
    "facodec_prosody_16k": _MEL_16K | {"win_length": 800, "hop_length": 200},
    "vits_22k_80": {"fmax": None, "epsilon": 1e-6},  # arXiv:2106.06103: its linear spectrogram and its mel loss
    "vocos_24k_100": _TORCHAUDIO | _AMPHION_24K | {"floor": 1e-7},  # arXiv:2306.00814
}
