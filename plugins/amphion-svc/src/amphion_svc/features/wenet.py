"""WeNet's encoder: what is said or sung, as a recogniser trained on 10,000 hours of Mandarin (WenetSpeech) hears it.

Zhang et al.: "WeNet 2.0: More Productive End-to-End Speech Recognition Toolkit", arXiv:2203.15455. Zhang et al.:
"WenetSpeech", arXiv:2110.03370. The feature is the output of the encoder after its last norm, with the whole window
as context. Layout read: a folder as WeNet publishes it, with ``final.pt`` and ``train.yaml``; Conformer encoders with
the published structure (filterbank energies, subsampling by 4, relative positions, macaron), of any size.

What was checked: the filterbank energies against torchaudio's Kaldi features; blocks with batch norm against
torchaudio's Conformer, with the same weights and without positions; the attention with positions, the causal
convolution and the layer norm against slow versions in the tests, written from the formulas. No published checkpoint
was read, and no package of WeNet was there to compare with.

Deviations: dither is not added, and recordings get no silence at their end, both of which Amphion's extractor does.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from amphion_core import yaml
from amphion_core.checkpoints.publisher_values import Values
from amphion_core.checkpoints.weight_names import unwrap
from amphion_core.errors import RecipeError, WeightsError
from amphion_core.weights import load_state, read_checkpoint
from amphion_core.weights_cache import sha256
from amphion_svc.features.content import RATE, ContentExtractor
from amphion_svc.features.kaldi_filterbank import HOP as FILTERBANK_HOP, SIZE as FILTERBANK_SIZE, kaldi_filterbank
from amphion_svc.features.wenet_network import Sizes, WeNetEncoder

WEIGHTS, SETTINGS = "final.pt", "train.yaml"
HINT = "unpack a checkpoint that WeNet publishes, and set the field model of wenet to the folder of final.pt"
SUBSAMPLING, CONTEXT = 4, 7  # energies between neighbouring frames, and energies that one frame sees
FIXED: dict[str, Any] = {  # the one value that is read; each is also what WeNet takes where it is left out
    "activation_type": "swish", "concat_after": False, "conv_bias": True, "input_layer": "conv2d", "key_bias": True,
    "layer_norm_type": "layer_norm", "macaron_style": True, "mlp_bias": True,
    "mlp_type": "position_wise_feed_forward", "normalize_before": True, "pos_enc_layer_type": "rel_pos",
    "positionwise_conv_kernel_size": 1, "query_bias": True, "selfattention_layer_type": "rel_selfattn",
    "static_chunk_size": 0, "use_cnn_module": True, "value_bias": True,
}  # fmt: skip
SIZES = (
    "attention_heads", "causal", "cnn_module_kernel", "cnn_module_norm", "linear_units", "norm_eps", "num_blocks",
    "output_size",
)  # fmt: skip
TRAINING = (  # without effect on a trained encoder that sees the whole window
    "attention_dropout_rate", "dropout_rate", "gradient_checkpointing", "positional_dropout_rate", "use_dynamic_chunk",
    "use_dynamic_left_chunk", "use_sdpa",
)  # fmt: skip
ENERGIES: dict[str, Any] = {"frame_length": 25, "frame_shift": 10}  # ms


class WeNet(ContentExtractor):
    """(B, T) at 16 kHz -> (B, dim, N), N = (T - 1360) // 640 + 1. The centre of frame n is at 42.5 ms + n * 40 ms."""

    hop = SUBSAMPLING * FILTERBANK_HOP
    frame_shift = hop / RATE
    receptive = (CONTEXT - 1) * FILTERBANK_HOP + FILTERBANK_SIZE
    name: ClassVar[str] = "wenet"

    class Config(ContentExtractor.Config):
        """The weights and the length of the windows."""

        model: str | None = Field(
            default=None,
            description="folder of a published model with final.pt and train.yaml, or a file of weights beside its "
            "train.yaml; there is no default",
        )
        dim: int = Field(default=512, gt=0, le=8192, description="channels of the feature; the weights must agree")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dim = config.dim

    @property
    def variant(self) -> str:
        """The name of the folder and the digests of weights and settings; empty where they are not there."""
        try:
            files = _files(self.config.model)
            return " ".join([files[0].parent.name, *(sha256(file)[:16] for file in files)])
        except (WeightsError, OSError):
            return ""

    @property
    def first_centre(self) -> float:
        """The middle of the samples that the first frame sees, in seconds."""
        return self.receptive / 2 / RATE

    def compute(self, waves: Tensor) -> Tensor:
        """(B, T) -> (B, dim, N)."""
        return self.network(kaldi_filterbank(waves, len(self.network.global_cmvn.mean))).mT

    def load_network(self) -> nn.Module:
        """The encoder. Raises WeightsError: no folder, settings that are not read, weights that do not fit them."""
        weights, settings = _files(self.config.model)
        network = WeNetEncoder(read_sizes(settings))
        stored = unwrap(read_checkpoint(weights), "model", "state_dict")
        state = {name.removeprefix("encoder."): value for name, value in stored.items() if name.startswith("encoder.")}
        load_state(network, {name: state[name] for name in state if _is_used(name)}, what=f"wenet ({weights})")
        return network.eval()


def read_sizes(path: Path) -> Sizes:
    """The encoder that ``train.yaml`` describes. Raises WeightsError with the first value that is not read."""
    try:
        found = yaml.read(path)
    except RecipeError as error:
        raise WeightsError(error.message, hint=HINT) from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path} has no settings by name", hint=HINT)
    whole = Values(found, file=str(path), hint=HINT)
    _only(whole, "encoder", "conformer")
    data = whole.section("dataset_conf")
    _only(data.with_defaults(feats_type="fbank"), "feats_type", "fbank")
    _only(data.section("resample_conf").with_defaults(resample_rate=RATE), "resample_rate", RATE)
    energies = data.section("fbank_conf")
    _only_known(energies, fixed=ENERGIES, free=("dither", "num_mel_bins"))
    return _encoder_sizes(whole.section("encoder_conf"), energies.whole("num_mel_bins", 80, least=7))


def _encoder_sizes(given: Values, bands: int) -> Sizes:
    """The values of ``encoder_conf``; those that are left out are WeNet's defaults."""
    _only_known(given, fixed=FIXED, free=(*SIZES, *TRAINING))
    norm = given.text("cnn_module_norm", "batch_norm")
    if norm not in ("batch_norm", "layer_norm"):
        raise given.wrong("cnn_module_norm", "batch_norm or layer_norm")
    sizes = Sizes(
        bands=bands,
        channels=given.whole("output_size", 256, least=2),
        heads=given.whole("attention_heads", 4),
        width=given.whole("linear_units", 2048),
        blocks=given.whole("num_blocks", 6),
        kernel=given.whole("cnn_module_kernel", 15),
        layer_norm=norm == "layer_norm",
        causal=given.flag("causal", False),
        epsilon=given.number("norm_eps", 1e-5),
    )
    if sizes.channels % sizes.heads or sizes.channels % 2:
        raise given.problem("output_size", f"is {sizes.channels}, not an even multiple of {sizes.heads} heads")
    if not sizes.causal and sizes.kernel % 2 == 0:
        raise given.problem("cnn_module_kernel", f"is {sizes.kernel}; it must be odd where causal is false")
    return sizes


def _only_known(given: Values, *, fixed: Mapping[str, Any], free: Collection[str]) -> None:
    """Refuses names that are neither in ``fixed`` nor in ``free``, and other values than those of ``fixed``."""
    for name in given:
        if name not in given or name in free:  # null counts as left out
            continue
        if name not in fixed:
            raise given.problem(name, "is a setting that wenet does not know")
        _only(given, name, fixed[name])


def _only(given: Values, name: str, wanted: Any) -> None:
    value = given.get(name)
    if value != wanted or isinstance(value, bool) != isinstance(wanted, bool):
        raise given.problem(name, f"is {value!r}, and wenet reads only {wanted!r}")


def _is_used(name: str) -> bool:
    """Whether a tensor of the encoder belongs to the network: old checkpoints hold layers that are not used."""
    return ".concat_linear." not in name and name != "embed.pos_enc.pe"


def _files(model: str | None) -> tuple[Path, Path]:
    """The file of weights and ``train.yaml``. Raises WeightsError where one is missing."""
    if not model:
        raise WeightsError("wenet needs the folder of a published model, and the field model is not set", hint=HINT)
    place = Path(model).expanduser()
    weights = place / WEIGHTS if place.is_dir() else place
    settings = weights.with_name(SETTINGS)
    for file in (weights, settings):
        if not file.is_file():
            raise WeightsError(f"wenet needs the file {file}, which does not exist", hint=HINT)
    return weights, settings
