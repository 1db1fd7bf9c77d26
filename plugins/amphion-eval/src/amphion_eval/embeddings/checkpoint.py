"""Load published weights into an embedding, from a file that the user names; every tensor must fit."""

from pathlib import Path

from torch import nn

from amphion_core.checkpoints.weight_names import unwrap
from amphion_core.errors import WeightsError
from amphion_core.weights import read_checkpoint


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
        state = unwrap(unwrap(read_checkpoint(path), "model"), "state_dict")
        kept = {key: value for key, value in state.items() if not (without and key.startswith(without))}
        network.load_state_dict(kept)  # not weights.load_state: a network may rename the publisher's keys in a hook
    except (WeightsError, RuntimeError) as error:
        text = error.message if isinstance(error, WeightsError) else str(error)
        raise WeightsError(f"{path} is not a checkpoint of {name}: {text}", hint=hint) from error
    return network.eval()
