"""Monotonic alignment search: which frames belong to which token, without an aligner.

Kim et al., "Glow-TTS", arXiv:2005.11129, algorithm 1; used by VITS, arXiv:2106.06103, section 2.2.1. It runs in numpy
on the CPU: one step for each frame, for all items and tokens at once. No compiled extension is needed.
"""

import numpy as np
import torch
from torch import Tensor

FORBIDDEN = -1e9  # score of a token that cannot have been reached yet


@torch.no_grad()
def monotonic_alignment(scores: Tensor, token_lengths: Tensor, frame_lengths: Tensor) -> Tensor:
    """The monotonic path with the highest sum of scores. Each frame has one token, each token at least one frame.

    scores (B, N, L), lengths (B) each -> path (B, N, L) of 0 and 1 in the dtype of ``scores``. With equal scores the
    path stays on the same token.
    Raises ValueError when an item has fewer frames than tokens.
    """
    if bool((frame_lengths < token_lengths).any()):
        item = int((frame_lengths < token_lengths).nonzero()[0, 0])
        counts = f"{int(frame_lengths[item])} frames for {int(token_lengths[item])} tokens"
        raise ValueError(f"item {item} has {counts}; every token needs at least one frame")
    value = scores.detach().float().cpu().numpy().copy()
    batch, n_frames, n_tokens = value.shape
    rows, columns = np.arange(batch), np.arange(n_tokens)
    tokens, frames = token_lengths.cpu().numpy(), frame_lengths.cpu().numpy()
    value[:, 0, 1:] = FORBIDDEN
    for frame in range(1, n_frames):  # value[n, l]: best sum of a path that ends with frame n on token l
        stay = value[:, frame - 1]
        advance = np.concatenate([np.full((batch, 1), FORBIDDEN, np.float32), stay[:, :-1]], axis=1)
        value[:, frame] += np.maximum(stay, advance)
        value[:, frame][:, columns > frame] = FORBIDDEN
    path = np.zeros_like(value)
    token = tokens - 1
    for frame in range(n_frames - 1, -1, -1):
        valid = frame < frames
        path[rows[valid], frame, token[valid]] = 1
        if frame:
            before = value[:, frame - 1]
            left = np.where(token > 0, before[rows, np.maximum(token - 1, 0)], -np.inf)
            must = token == frame
            token = token - (valid & (token > 0) & (must | (before[rows, token] < left)))
    return torch.from_numpy(path).to(scores)


def expand(values: Tensor, path: Tensor) -> Tensor:
    """Token values along a path: (B, C, L), (B, N, L) -> (B, C, N)."""
    return values @ path.mT


def path_of_durations(durations: Tensor, n_frames: int) -> Tensor:
    """The path in which token l takes ``durations[l]`` frames: (B, L) integers -> (B, N, L) of 0 and 1."""
    ends = durations.cumsum(-1)
    frame = torch.arange(n_frames, device=durations.device)[:, None]
    return ((frame < ends[:, None]) & (frame >= (ends - durations)[:, None])).float()
