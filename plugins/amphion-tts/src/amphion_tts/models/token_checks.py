"""The checks of the tokens and the speakers that a model of speech is given."""

import torch
from torch import Tensor

from amphion_core.errors import DataError


def checked_lengths(
    ids: Tensor, lengths: Tensor, vocabulary: int, *, model: str, speaker: Tensor | None = None, n_speakers: int = 1
) -> list[int]:
    """The lengths of tokens ``ids`` (B, L), ``lengths`` (B), for a ``model`` whose table has ``vocabulary`` rows.

    ``speaker`` (B) is checked where there are several. Everything is read from the device at once, because each reading
    waits for the device. Raises DataError for lengths beyond L or below 1, and for numbers outside of a table.
    """
    parts = [ids.flatten(), lengths, *([] if speaker is None or n_speakers < 2 else [speaker])]
    values = torch.cat(parts).tolist()
    numbers, rest = values[: ids.numel()], values[ids.numel() :]
    sizes, voices = rest[: len(lengths)], rest[len(lengths) :]
    if not numbers or min(sizes) < 1 or max(sizes) > ids.shape[1]:
        raise DataError(
            f"ids of shape {tuple(ids.shape)} with lengths {sizes}: each item needs 1 to L tokens",
            hint="ids are (B, L), lengths (B)",
        )
    for name, found, count in (("ids", numbers, vocabulary), ("speakers", voices, n_speakers)):
        if found and (min(found) < 0 or max(found) >= count):
            raise DataError(
                f"{name} from {min(found)} to {max(found)}: this {model} has 0 to {count - 1}",
                hint="take ids from the frontend of the network's own config, and speakers from its table",
            )
    return sizes
