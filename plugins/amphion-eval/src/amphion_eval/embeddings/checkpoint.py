"""Published weights of embeddings: a file that the user gives, read safely and completely."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from amphion_core.errors import WeightsError


def load_into(network: nn.Module, weights: str | None, *, name: str, source: str, without: str = "") -> nn.Module:
    """``network`` in eval mode with the weights of a file; tensors under a key "model" or "state_dict" are taken out.
    Tensors whose names begin with ``without``, where given, are constants that the network computes itself.

    Raises WeightsError: no file given, none there, not a checkpoint, tensors missing, left over or of another shape.
    """
    hint = f"download {source}, and --set METRIC.embedding.weights=FILE, for each METRIC that uses it"
    if not weights:
        raise WeightsError(f"{name} needs the file of its weights", hint=hint)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise WeightsError(f"there is no file {weights}, the weights of {name}", hint=hint)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Mapping[str, Tensor] = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{path} is no checkpoint of {name}: {error}", hint=hint) from error
    for key in ("model", "state_dict"):
        state = state[key] if isinstance(state.get(key), Mapping) else state  # type: ignore[assignment]
    try:
        network.load_state_dict(
            {key: value for key, value in state.items() if not (without and key.startswith(without))}
        )
    except RuntimeError as error:
        raise WeightsError(f"{path} is no checkpoint of {name}: {error}", hint=hint) from error
    return network.eval()
