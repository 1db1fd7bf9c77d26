"""CLAP: one vector for a caption, in a space where a sound and its description lie near each other.

Wu et al.: "Large-Scale Contrastive Language-Audio Pretraining with Feature Fusion and Keyword-to-Caption Augmentation",
arXiv:2211.06687. AudioLDM is trained on the vectors of sounds and used with those of captions. The networks are
`ClapTextModelWithProjection` (RoBERTa) and `ClapAudioModelWithProjection` (HTSAT, Chen et al., arXiv:2202.00874) of
transformers. Layout read: "transformers", a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``:
a whole `ClapModel`, or its text tower alone, as in the folders of AudioLDM.

Deviations: a sound beyond ten seconds is cut into parts of ten seconds and gets their mean; transformers takes ten
seconds at random. Audio towers with "feature fusion" are left out; their text towers are read.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from amphion_core.api import Audio, BaseConfig, MelConfig, TextCondition, TextEncoder
from amphion_core.errors import DataError
from amphion_core.features.mel import mel_spectrogram
from amphion_tta.models.caption_tokens import BYTES, CaptionTokenizer, stored_tokenizer
from amphion_tta.models.published_encoders import require_transformers, stated

MEL = MelConfig(
    sample_rate=48000, n_fft=1024, win_length=1024, hop_length=480, n_mels=64, fmin=50.0, fmax=14000.0, power=2.0,
    epsilon=0.0, log="log10", floor=1e-10, padding="center",
)  # fmt: skip
WINDOW = 480_000  # samples that the audio tower reads: ten seconds
DECIBELS = 10.0  # log10 of a power in decibels
COUNTERS = ("position_ids", "token_type_ids")  # buffers of constants, which old versions of transformers do not store
UNUSED = ("logit_scale_", *(f"text_model.embeddings.{name}" for name in COUNTERS))


class CLAP(TextEncoder):
    """Captions or sounds -> ``pooled`` (B, dim) of unit length; ``states`` (B, 1, dim) are the same vector."""

    needs_packages = ("transformers",)

    class Config(BaseConfig):
        """The sizes of both towers; the defaults are those of laion/clap-htsat-unfused."""

        dim: int = Field(default=512, gt=0, le=8192, description="values of the common space")
        text_dim: int = Field(default=768, gt=0, le=8192, description="values of the text tower's states")
        layers: int = Field(default=12, gt=0, le=48, description="layers of the text tower")
        heads: int = Field(default=12, gt=0, le=128, description="attention heads of the text tower")
        inner_dim: int = Field(default=3072, gt=0, le=65536, description="values inside its feed-forward layers")
        vocabulary: int = Field(default=50265, ge=BYTES, le=1_000_000, description="different tokens")
        positions: int = Field(default=514, gt=3, le=8192, description="rows of the table of positions")
        pad: int = Field(default=1, ge=0, description="id of the token after short captions")
        norm_epsilon: float = Field(default=1e-12, gt=0, lt=1, description="added to the variance in the text's norms")
        tokenizer_bytes: int = Field(
            default=0, ge=0, le=1 << 26, description="size of the stored tokenizer; 0: tokens are the bytes of the text"
        )
        audio: bool = Field(default=True, description="has an audio tower")
        audio_dim: int = Field(default=768, gt=0, le=8192, description="values after the audio tower")
        patch_dim: int = Field(default=96, gt=0, le=1024, description="values of a patch of the spectrogram")
        audio_layers: tuple[int, ...] = Field(default=(2, 2, 6, 2), description="layers of each of its stages")
        audio_heads: tuple[int, ...] = Field(
            default=(4, 8, 16, 32), description="attention heads of each of its stages"
        )

    config: Config
    layouts = layouts_with_config = ("transformers",)
    files_beside = {"tokenizer": ("tokenizer.json", "../tokenizer/tokenizer.json")}
    languages = ("en",)

    def __init__(self, config: Config) -> None:
        """Build both towers. Raises MissingPackage without transformers."""
        super().__init__(config)
        transformers = require_transformers("text_encoder/clap")
        self.dim = self.pooled_dim = config.dim
        self.max_tokens, self.hears_audio = config.positions - 2, config.audio
        self.tokenizer = CaptionTokenizer(config.tokenizer_bytes, max_tokens=self.max_tokens, pad=config.pad)
        self.text = transformers.ClapTextModelWithProjection(
            transformers.ClapTextConfig(
                vocab_size=config.vocabulary, hidden_size=config.text_dim, num_hidden_layers=config.layers,
                num_attention_heads=config.heads, intermediate_size=config.inner_dim,
                max_position_embeddings=config.positions, pad_token_id=config.pad, projection_dim=config.dim,
                layer_norm_eps=config.norm_epsilon, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
            )
        )  # fmt: skip
        for name in COUNTERS:
            embeddings = self.text.text_model.embeddings
            embeddings.register_buffer(name, getattr(embeddings, name), persistent=False)
        if config.audio:
            self.audio = transformers.ClapAudioModelWithProjection(
                transformers.ClapAudioConfig(
                    hidden_size=config.audio_dim, patch_embeds_hidden_size=config.patch_dim,
                    depths=list(config.audio_layers), num_attention_heads=list(config.audio_heads),
                    num_hidden_layers=len(config.audio_layers), projection_dim=config.dim, hidden_dropout_prob=0.0,
                )
            )  # fmt: skip

    @classmethod
    def example_config(cls) -> Config:
        """Towers of one and two layers; tokens are bytes."""
        return cls.Config(
            dim=8, text_dim=8, layers=1, heads=2, inner_dim=16, vocabulary=BYTES, positions=66, pad=0, audio_dim=16,
            patch_dim=8, audio_layers=(1, 1), audio_heads=(1, 2),
        )  # fmt: skip

    def example_inputs(self) -> dict[str, Any]:
        """Two captions of different lengths and the mels of two sounds."""
        ids, mask = self.tokenizer(["a dog barks", "rain"])
        mel = torch.linspace(-50, 10, 2 * 1001 * 64).view(2, 1, 1001, 64)
        return {"ids": ids, "mask": mask} | ({"mel": mel} if self.config.audio else {})

    def token_count(self, text: str) -> int:
        """Tokens of a caption, with the two that mark its beginning and end."""
        return self.tokenizer.count(text)

    def forward(self, ids: Tensor, mask: Tensor, mel: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Vectors (B, dim) of unit length: of captions ids (B, L), mask (B, L), and of mels (B, 1, N, 64) in dB."""
        texts = F.normalize(self.text(input_ids=ids, attention_mask=mask.long()).text_embeds.float(), dim=1)
        return texts, None if mel is None else self._of_mels(mel)

    def _of_mels(self, mel: Tensor) -> Tensor:
        return F.normalize(self.audio(input_features=mel).audio_embeds.float(), dim=1)

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> TextCondition:
        """B captions -> TextCondition. A caption beyond ``max_tokens`` is cut. The empty one is a vector as well."""
        ids, mask = self.tokenizer(texts)
        with self.autocast():
            found, _ = self(ids.to(self.device), mask.to(self.device))
        return _condition(found)

    @torch.no_grad()
    def encode_audio(self, wave: Tensor, sample_rate: int, lengths: Tensor | None = None) -> TextCondition:
        """wave (B, T) at ``sample_rate`` Hz -> TextCondition. Raises DataError without an audio tower or samples."""
        if not self.config.audio:
            raise DataError(
                "these weights of CLAP have no audio tower",
                hint="take a whole ClapModel, such as laion/clap-htsat-unfused",
            )
        sizes = [wave.shape[1]] * len(wave) if lengths is None else lengths.tolist()
        if not all(sizes):
            raise DataError("a sound without samples has no vector", hint="leave it out")
        parts: list[Tensor] = []
        counts: list[int] = []
        for row, size in zip(wave, sizes, strict=True):
            heard = Audio(row[:size].float().cpu().numpy(), sample_rate).resample(MEL.sample_rate).samples
            pieces = torch.split(torch.from_numpy(heard.copy()), WINDOW)
            parts += [_repeated(piece) for piece in pieces]
            counts.append(len(pieces))
        with self.autocast():
            mel = mel_spectrogram(torch.stack(parts).to(self.device), MEL).mT[:, None] * DECIBELS
            found = self._of_mels(mel)
        means = torch.stack([own.mean(0) for own in torch.split(found, counts)])
        return _condition(F.normalize(means, dim=1))

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """``state`` is that of a `ClapModel` or of its text tower; ``config`` is its ``config.json`` and ``tokenizer``.

        Raises WeightsError for another network and without a tokenizer.
        """
        whole = dict(config or {}).get("model_type") != "clap_text_model"
        given = stated(config, "clap" if whole else "clap_text_model", "text_encoder/clap")
        tokenizer = stored_tokenizer(given.get("tokenizer"))
        text = {**given.get("text_config", {})} if whole else given
        audio = dict(given.get("audio_config") or {}) if whole else {}
        hears = whole and not audio.get("enable_fusion", False)
        names = {
            "text_dim": "hidden_size", "layers": "num_hidden_layers", "heads": "num_attention_heads",
            "inner_dim": "intermediate_size", "vocabulary": "vocab_size", "positions": "max_position_embeddings",
            "pad": "pad_token_id", "norm_epsilon": "layer_norm_eps",
        }  # fmt: skip
        fields = {ours: text[theirs] for ours, theirs in names.items() if theirs in text}
        heard = {
            "audio_dim": "hidden_size", "patch_dim": "patch_embeds_hidden_size", "audio_layers": "depths",
            "audio_heads": "num_attention_heads",
        }  # fmt: skip
        fields |= {ours: audio[theirs] for ours, theirs in heard.items() if theirs in audio} if hears else {}
        dim = given.get("projection_dim", text.get("projection_dim", 512))
        own = cls.Config(dim=dim, audio=hears, tokenizer_bytes=len(tokenizer), **fields)
        tensors = {
            f"{key.split('_')[0]}.{key}": value
            for key, value in state.items()
            if not key.startswith(UNUSED) and (hears or not key.startswith("audio_"))
        }
        return own, {**tensors, "tokenizer.json": tokenizer}


def _condition(found: Tensor) -> TextCondition:
    """Vectors (B, dim) as a condition of one state."""
    return TextCondition(found[:, None], torch.ones(len(found), 1, dtype=torch.bool, device=found.device), found)


def _repeated(wave: Tensor) -> Tensor:
    """(T,) -> (WINDOW,): repeated as often as it fits whole, then zeros."""
    wave = wave.repeat(WINDOW // len(wave))
    return F.pad(wave, (0, WINDOW - len(wave)))
