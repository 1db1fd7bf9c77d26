"""Monotonic alignment search: which frames belong to which token, without an aligner.

Kim et al., "Glow-TTS", arXiv:2005.11129, algorithm 1; used by VITS, arXiv:2106.06103, section 2.2.1. It runs in numpy
on the CPU: one step for each frame, for all items and tokens at once. No compiled extension is needed.
"""

import numpy as np
import torch
from torch import Tensor

from amphion_core.errors import DataError
from amphion_core.recording import is_recording, report


@torch.no_grad()
def monotonic_alignment(scores: Tensor, token_lengths: Tensor, frame_lengths: Tensor) -> Tensor:
    """The monotonic path with the highest sum of scores. Each frame has one token, each token at least one frame.

    scores (B, N, L), lengths (B) each -> path (B, N, L) of 0 and 1 in the dtype of ``scores``. With equal scores the
    path stays on the same token.
    Raises DataError when an item has fewer frames than tokens.
    """
    tokens, frames = token_lengths.cpu().numpy(), frame_lengths.cpu().numpy()
    if (frames < tokens).any():
        item = int((frames < tokens).argmax())
        counts = f"{frames[item]} frames for {tokens[item]} tokens"
        raise DataError(
            f"item {item} has {counts}; every token needs at least one frame",
            hint="check that the text is that of the recording",
        )
    by_frame = scores.detach().float().transpose(0, 1).contiguous().cpu().numpy()  # (N, B, L)
    best = torch.from_numpy(_best_tokens(by_frame, tokens, frames)).to(scores.device)  # (B, N)
    path = (best[..., None] == torch.arange(scores.shape[2], device=scores.device)).to(scores.dtype)
    if is_recording():
        report("alignment", scores.softmax(-1), "BNL")
        report("path", path, "BNL")
    return path


def _best_tokens(scores: np.ndarray, tokens: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """scores (N, B, L), lengths (B) each -> the token of each frame on the best path (B, N), -1 after an item's end."""
    n_frames, batch, n_tokens = scores.shape
    # best[:, l + 1]: the best sum of a path that ends at this frame on token l. No path visits column 0.
    best = np.full((batch, n_tokens + 1), -np.inf, np.float32)
    best[:, 1] = scores[0, :, 0]
    advances = np.zeros((n_frames, batch, n_tokens), bool)  # whether the path to (n, l) comes from token l - 1
    stay, before = best[:, 1:], best[:, :-1]
    larger = np.empty((batch, n_tokens), np.float32)
    for frame in range(1, n_frames):
        np.less(stay, before, out=advances[frame])
        np.maximum(stay, before, out=larger)
        np.add(larger, scores[frame], out=stay)
    for item, end in enumerate(frames):
        advances[end:, item] = False
    path = np.empty((n_frames, batch), np.int64)
    offsets = np.arange(batch) * n_tokens
    token = offsets + tokens - 1  # in the flattened (B, L)
    flat = advances.reshape(n_frames, -1)
    for frame in range(n_frames - 1, -1, -1):
        path[frame] = token
        token -= flat[frame].take(token)
    path -= offsets
    path[np.arange(n_frames)[:, None] >= frames] = -1
    return path.T.copy()


def expand(values: Tensor, path: Tensor) -> Tensor:
    """Token values along a path: (B, C, L), (B, N, L) -> (B, C, N)."""
    return values @ path.mT


def path_of_durations(durations: Tensor, n_frames: int) -> Tensor:
    """The path in which token l takes ``durations[l]`` frames: (B, L) integers -> (B, N, L) of 0 and 1."""
    ends = durations.cumsum(-1)
    frame = torch.arange(n_frames, device=durations.device)[:, None]
    return ((frame < ends[:, None]) & (frame >= (ends - durations)[:, None])).float()
