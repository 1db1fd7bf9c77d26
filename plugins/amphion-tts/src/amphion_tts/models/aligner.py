"""A learned aligner: which frames of a recording belong to which token of its text, without an outside tool.

Badlani et al.: "One TTS Alignment To Rule Them All", arXiv:2108.10447; section numbers refer to it. Two small
convolutional encoders map tokens and frames into one space. The negative distance of a frame and a token, normalised
over the tokens, is the probability of the token in that frame. The forward-sum loss makes the sum over all monotonic
paths likely; the monotonic path with the highest score then gives whole durations.

Deviations: the mel of each recording is standardised before it is encoded, and distances are divided by `SPREAD`
instead of being multiplied by 0.0005; the alignment is learned in fewer steps. The prior is a distribution over exactly
L tokens (n = L - 1 in its formula).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.modules.masks import length_mask
from amphion_tts.models.alignment import monotonic_alignment

IMPOSSIBLE = -1e4  # log-probability of a token that the text does not have; finite, so that no gradient becomes NaN
BLANK = -1.0  # log-score of "no token" in the forward-sum, before normalisation: the authors' value
SPREAD = 20.0  # divisor of squared distances


class Aligner(nn.Module):
    """ids (B, L) and log-mel (B, F, N) -> log-probability of each token in each frame, (B, N, L)."""

    def __init__(self, vocabulary: int, n_mels: int, channels: int = 80, hidden: int = 256) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.text = nn.Sequential(
            nn.Conv1d(hidden, 2 * hidden, 3, padding=1), nn.ReLU(), nn.Conv1d(2 * hidden, channels, 1)
        )
        self.mel = nn.Sequential(
            nn.Conv1d(n_mels, 2 * n_mels, 3, padding=1), nn.ReLU(), nn.Conv1d(2 * n_mels, n_mels, 1), nn.ReLU(),
            nn.Conv1d(n_mels, channels, 1),
        )  # fmt: skip

    def forward(self, ids: Tensor, lengths: Tensor, mel: Tensor, mel_lengths: Tensor) -> Tensor:
        """ids (B, L), lengths (B), mel (B, F, N), mel_lengths (B) -> (B, N, L), float32, with the prior.

        Without the prior each valid frame is a distribution over the item's tokens; the logarithm of the prior is added
        to it (section 3.1), so a frame no longer sums to 1. Tokens beyond an item's length are `IMPOSSIBLE`.
        """
        token_mask, frame_mask = length_mask(lengths, ids.shape[1]), length_mask(mel_lengths, mel.shape[2])
        with torch.autocast(ids.device.type, enabled=False):  # small differences of distances decide
            keys = self.text(self.embedding(ids).mT * token_mask)  # (B, C, L)
            queries = self.mel(_standardised(mel.float(), frame_mask))  # (B, C, N)
            distance = queries.square().sum(1)[..., None] + keys.square().sum(1)[:, None] - 2 * queries.mT @ keys
            scores = (-distance / SPREAD).masked_fill(token_mask == 0, IMPOSSIBLE)  # (B, N, L)
            return scores.log_softmax(-1) + beta_binomial_prior(lengths, mel_lengths, *scores.shape[1:])


def _standardised(mel: Tensor, mask: Tensor) -> Tensor:
    """(B, F, N) with mean 0 and deviation 1 over the valid values of each item; 0 beyond its end."""
    count = mask.sum((1, 2), keepdim=True) * mel.shape[1]
    centred = (mel - (mel * mask).sum((1, 2), keepdim=True) / count) * mask
    return centred / (centred.square().sum((1, 2), keepdim=True) / count + 1e-5).sqrt()


@torch.no_grad()
def beta_binomial_prior(lengths: Tensor, mel_lengths: Tensor, n_frames: int, n_tokens: int) -> Tensor:
    """Log-probability of each token in each frame before anything is known, (B, N, L): near the diagonal.

    Section 3.1: for frame n of N, counted from 1, the beta-binomial distribution of L - 1 trials with alpha = n and
    beta = N - n + 1. 0 for tokens and frames beyond the items' lengths.
    """
    device = lengths.device
    table = torch.arange(1, n_frames + n_tokens + 2, device=device, dtype=torch.float64).log().cumsum(0)
    table = F.pad(table, (1, 0))  # table[i] is the logarithm of i!
    token = torch.arange(n_tokens, device=device)
    frame = torch.arange(1, n_frames + 1, device=device)[:, None]
    last, count = lengths[:, None, None] - 1, mel_lengths[:, None, None]
    after, rest = (last - token).clamp_min(0), (count - frame).clamp_min(0)  # tokens and frames that follow
    choose = table[last] - table[token] - table[after]
    top = table[token + frame - 1] + table[after + rest]  # of B(k + alpha, L - 1 - k + beta)
    bottom = table[last + count] + table[frame - 1] + table[rest] - table[count]
    valid = (token <= last) & (frame <= count)
    return torch.where(valid, choose + top - bottom, 0.0).float()


def forward_sum_loss(log_p: Tensor, lengths: Tensor, mel_lengths: Tensor) -> Tensor:
    """Minus the log-likelihood of each item's text, summed over all monotonic alignments: (B, N, L) -> (B).

    Section 3, equation 4, computed as a CTC loss whose targets are the tokens 1..L. Divide the sum by the frames of the
    step. Each item needs at least as many frames as tokens; otherwise its value is infinite.
    """
    with_blank = F.pad(log_p.float(), (1, 0), value=BLANK).log_softmax(-1)  # (B, N, 1 + L)
    targets = torch.arange(1, log_p.shape[2] + 1, device=log_p.device).expand(len(log_p), -1)
    return F.ctc_loss(with_blank.transpose(0, 1), targets, mel_lengths, lengths, blank=0, reduction="none")


def binarization_loss(log_p: Tensor, path: Tensor) -> Tensor:
    """Minus the log-probability of a hard path (B, N, L) in each item's soft alignment, summed over frames: (B).

    Section 3.3, equation 7: the divergence of the path from the alignment normalised over tokens.
    """
    return -(log_p.float().log_softmax(-1) * path).sum((1, 2))


def hard_durations(log_p: Tensor, lengths: Tensor, mel_lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The most likely monotonic path (B, N, L), and its durations (B, L), integers that sum to ``mel_lengths``.

    Raises ValueError when an item has fewer frames than tokens.
    """
    path = monotonic_alignment(log_p, lengths, mel_lengths)
    return path, path.sum(1).long()
