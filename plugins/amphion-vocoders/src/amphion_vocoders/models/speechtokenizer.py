"""SpeechTokenizer: a codec for speech whose first codebook holds what is said, at 16 kHz and 50 frames a second.

Zhang et al.: "SpeechTokenizer: Unified Speech Tokenizer for Speech Large Language Models", arXiv:2308.16692. The
network is EnCodec's with a bidirectional LSTM in the encoder. In the authors' training the first codebook learned to
predict HuBERT's features; ``transform`` is the linear layer to them.
Layout read: "speechtokenizer" (``SpeechTokenizer.pt`` with ``config.json``, also in the weights of ``amphion/valle``).
Deviations: none in the network. A recording that is too long for memory is encoded in overlapping pieces; the LSTM then
sees four seconds around each piece instead of everything.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from amphion_core.checkpoints.publisher_values import flat_values
from amphion_vocoders.discriminators.checks import check_wave
from amphion_vocoders.models.seanet import SEANetConfig
from amphion_vocoders.models.seanet_codec import SEANetCodec, checked, names_of_encodec, sizes_of, stated


class SpeechTokenizer(SEANetCodec):
    """Wave (B, 1, T) -> codes (K, B, N) -> wave (B, 1, N * hop_length)."""

    class Config(SEANetConfig):
        """The defaults are the authors': 103,675,586 parameters."""

        sample_rate: int = Field(default=16000, gt=0, le=768000, description="rate of the audio, Hz")
        filters: int = Field(default=64, gt=1, le=1024, multiple_of=2, description="channels of the first convolution")
        dim: int = Field(default=1024, gt=0, le=8192, description="channels of the latents and of the codebooks")
        codebooks: int = Field(default=8, gt=0, le=256, description="number of codebooks K")
        quantizer_dropout: float = Field(
            default=0.0, ge=0, le=1,
            description="how often a training item uses only the first codebooks, their number drawn evenly",
        )  # fmt: skip
        semantic_dim: int = Field(
            default=768, gt=0, le=8192, description="channels of the features that the first codebook predicts"
        )

    config: Config
    bidirectional = True
    layouts = ("speechtokenizer",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        same = config.dim == config.semantic_dim
        self.transform = nn.Identity() if same else nn.Linear(config.dim, config.semantic_dim)

    @classmethod
    def example_config(cls) -> Config:
        """Frames of 4 samples, 3 codebooks of 8 entries, which are never replaced."""
        return cls.Config(**cls._example_sizes(), semantic_dim=6, dead_below=0)

    def semantic(self, wave: Tensor) -> Tensor:
        """(B, 1, T) -> the features (B, N, semantic_dim) that the first codebook predicts, with gradients."""
        check_wave(wave, shortest=1)
        return self.transform(self.quantizer(self.encoder(wave)).parts[0].mT)

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published network as (Config, state dict). Raises WeightsError, RecipeError."""
        given, tensors = flat_values(config), names_of_encodec(state)
        fields = sizes_of(tensors)
        if (linear := tensors.get("transform.bias")) is not None:
            fields["semantic_dim"] = len(linear)
        elif "dim" in fields:
            fields["semantic_dim"] = fields["dim"]
        if given.text("activation", "ELU") != "ELU":
            raise given.problem("activation", f"is {given.get('activation')}; only networks with ELU are read")
        if not given.flag("bidirectional", True):
            raise given.problem("bidirectional", "is false; only networks with a bidirectional LSTM are read")
        names = {
            "sample_rate": "sample_rate", "residual_kernel_size": "residual_kernel", "dilation_base": "dilation_base",
            "n_residual_layers": "residual_layers", "lstm_layers": "lstm_layers",
        }  # fmt: skip
        return checked(cls.Config, fields | stated(given, names, {"strides": "strides"}), layout), tensors
