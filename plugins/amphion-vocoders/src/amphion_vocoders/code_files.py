"""Files of codes: safetensors that state which codec made them, so that another codec refuses them.

Tensors: ``codes`` (K, N), and the codec's further streams as ``extra.NAME``, without a batch dimension. Metadata, as
text: ``format`` = `FORMAT`; ``codec``, the registry name; ``identity``, a checksum of config and weights;
``sample_rate`` in Hz; ``samples``, the length of the recording; ``hop_length`` and ``codebook_size``.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from amphion_core import registry
from amphion_core.audio_files import AudioFileError, check_file
from amphion_core.errors import AudioError, RegistryError
from amphion_core.families import Codec, Codes
from amphion_core.files import atomic_write

FORMAT = "amphion codes 1"
SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class CodeFile:
    """The codes of one recording of ``samples`` samples; indices are (K, 1, N)."""

    codes: Codes
    samples: int
    codec: str
    identity: str
    sample_rate: int


def codec_name(net: Codec) -> str:
    """The registry name of a codec; the name of its class where it has none."""
    try:
        return registry.name_of(type(net))
    except RegistryError:
        return type(net).__name__


def identity_of(net: Codec) -> str:
    """A checksum of the config and the weights: codes mean something to this network only."""
    config = json.dumps(net.config.model_dump(mode="json"), sort_keys=True)
    return f"{hashlib.sha256(config.encode()).hexdigest()[:8]}-{net.fingerprint()}"


def write_codes(path: Path, net: Codec, codes: Codes, samples: int, *, identity: str) -> None:
    """Write the codes of one recording, (K, 1, N), as a whole file or none. Raises AmphionError."""
    from safetensors.torch import save_file

    kind = torch.int16 if net.codebook_size <= 1 << 15 else torch.int32
    tensors = {"codes": codes.indices[:, 0].to(kind).cpu().contiguous()}
    for name, tensor in (codes.extra or {}).items():
        tensors[f"extra.{name}"] = tensor[0].cpu().contiguous()
    metadata = {
        "format": FORMAT, "codec": codec_name(net), "identity": identity, "sample_rate": str(net.sample_rate),
        "samples": str(samples), "hop_length": str(net.hop_length), "codebook_size": str(net.codebook_size),
    }  # fmt: skip
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata)


def read_codes(path: Path, *, n_codebooks: int | None = None) -> CodeFile:
    """The codes of a file, all or those of the first ``n_codebooks``. Raises AudioFileError for another file."""
    from safetensors import SafetensorError, safe_open

    check_file(path)
    hint = "make it with: amphion codec encode RECORDING -o FILE.safetensors --codec CODEC"
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            if about.get("format") != FORMAT:
                raise AudioFileError(path, "it is no file of codes", hint=hint)
            codes = file.get_slice("codes")[:n_codebooks]
            extra = {name[6:]: file.get_tensor(name)[None] for name in file.keys() if name.startswith("extra.")}  # noqa: SIM118
        samples, hop, size = (int(about[name]) for name in ("samples", "hop_length", "codebook_size"))
        found = CodeFile(
            Codes(codes.long()[:, None], extra or None), samples, about["codec"], about["identity"],
            int(about["sample_rate"]),
        )  # fmt: skip
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise AudioFileError(path, f"it is no file of codes: {error}", hint=hint) from error
    _check(path, codes, samples, hop, size)
    return found


def require_codec(path: Path, found: CodeFile, net: Codec, identity: str) -> None:
    """Raise AudioError unless ``net`` made the codes and can decode them."""
    name = codec_name(net)
    if found.codec != name:
        raise AudioError(
            f"{path} holds codes of {found.codec}, and the codec is {name}",
            hint=f"--codec with the {found.codec} that made them",
        )
    if found.identity != identity:
        raise AudioError(
            f"{path} holds codes of a {name} with other weights ({found.identity}, not {identity})",
            hint="--codec with the weights that made them",
        )
    indices = found.codes.indices
    if len(indices) > net.n_codebooks or int(indices.max()) >= net.codebook_size:
        raise AudioFileError(path, "its codes do not fit the codec", hint="encode the recording again")


def _check(path: Path, codes: Tensor, samples: int, hop: int, size: int) -> None:
    """Raise AudioFileError for codes that contradict their metadata."""
    whole = codes.dtype in (torch.int16, torch.int32)
    fits = whole and codes.ndim == 2 and codes.numel() > 0 and 0 < samples <= codes.shape[1] * hop
    if not fits or int(codes.min()) < 0 or int(codes.max()) >= size:
        raise AudioFileError(path, "its codes do not fit the sizes that it states", hint="encode the recording again")
