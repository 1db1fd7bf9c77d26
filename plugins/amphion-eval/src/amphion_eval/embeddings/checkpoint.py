"""Load published weights into an embedding, from a file that the user names; every tensor must fit."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from amphion_core.errors import WeightsError


def load_into(network: nn.Module, weights: str | None, *, name: str, source: str, without: str = "") -> nn.Module:
    """Load the file ``weights`` into ``network`` and return it in eval mode.

    The tensors may lie under the key "model" or "state_dict". Tensors whose names begin with ``without`` are ignored:
    the network computes them itself. ``name`` and ``source`` (where to download the file) are used in error messages.

    Raises WeightsError if no file is given, it does not exist, it is not a checkpoint, or its tensors are not exactly
    those of the network.
    """
    hint = f"download {source}; then give --set METRIC.embedding.weights=FILE for each metric that uses it"
    if not weights:
        raise WeightsError(f"{name} needs a file of weights", hint=hint)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise WeightsError(f"the file {weights}, the weights of {name}, does not exist", hint=hint)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Mapping[str, Tensor] = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{path} is not a checkpoint of {name}: {error}", hint=hint) from error
    for key in ("model", "state_dict"):
        state = state[key] if isinstance(state.get(key), Mapping) else state  # type: ignore[assignment]
    try:
        network.load_state_dict(
            {key: value for key, value in state.items() if not (without and key.startswith(without))}
        )
    except RuntimeError as error:
        raise WeightsError(f"{path} is not a checkpoint of {name}: {error}", hint=hint) from error
    return network.eval()
