"""The codebook loss of NaturalSpeech 2: generated latents shall be near the codes of the recording.

Shen et al.: "NaturalSpeech 2", arXiv:2304.09116, equation 4 (CE-RVQ). For each codebook of a residual quantiser, the
negative squared distances of a rest to the entries are scores of a classification. The rest is the generated latent
minus the recording's entries in the codebooks before.
Letters: B batch, K codebooks, S entries of a codebook, D latent channels, N frames.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from amphion_core.api import Codec, Codes


@torch.no_grad()
def codebooks_of(codec: Codec, count: int) -> Tensor:
    """The entries of the first ``count`` codebooks, (K, S, D), of a codec whose latents are sums of them."""
    size = codec.codebook_size
    device = codec.device
    books, before = [], torch.zeros((), device=device)
    for number in range(count):
        codes = torch.zeros(number + 1, 1, size, dtype=torch.long, device=device)  # only the last codebook varies
        codes[-1, 0] = torch.arange(size, device=device)
        found = codec.latents(Codes(codes))[0].mT.float()  # (S, D)
        books.append(found - before)
        before = found[0]
    return torch.stack(books)


def code_loss(latents: Tensor, codes: Tensor, books: Tensor, mask: Tensor) -> Tensor:
    """Cross entropy of latents (B, D, N) against codes (B, K, N), with books (K, S, D), where the mask (B, N) is True.

    It is summed over codebooks and frames, each item alone: (B).
    """
    rest = latents.mT.float()  # (B, N, D)
    total = rest.new_zeros(len(rest))
    for book, wanted in zip(books, codes.transpose(0, 1).long(), strict=True):
        scores = 2 * rest @ book.mT - book.square().sum(1)  # the square of the rest is the same for all entries
        total = total + (F.cross_entropy(scores.mT, wanted, reduction="none") * mask).sum(1)
        rest = rest - F.embedding(wanted, book)
    return total
