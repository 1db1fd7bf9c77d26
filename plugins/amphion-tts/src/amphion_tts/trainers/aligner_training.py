"""What trainers share that train an aligner along: its losses, and pictures of what it has found."""

from torch import Tensor

from amphion_core.api import Batch
from amphion_tts.models.aligner import binarization_loss, forward_sum_loss


def aligner_losses(batch: Batch, log_p: Tensor, path: Tensor, *, certain: bool) -> dict[str, Tensor]:
    """The losses by name, of log-probabilities and path (B, N, L); ``certain`` adds the loss of an uncertain path."""
    frames = batch.totals["frames"]
    losses = {"forward_sum": forward_sum_loss(log_p, batch["id_lengths"], batch["frames"]).sum() / frames}
    if certain:
        losses["binarization"] = binarization_loss(log_p, path).sum() / frames
    return losses


def alignment_pictures(batch: Batch, log_p: Tensor) -> dict[str, Tensor]:
    """A picture (L, N) of each item's log-probabilities (N, L), as probabilities, without the padding."""
    rows = zip(batch.ids, log_p, batch["frames"].tolist(), batch["id_lengths"].tolist(), strict=True)
    return {f"alignment_{id.replace('/', '_')}": p[:n, :tokens].softmax(-1).mT.cpu() for id, p, n, tokens in rows}
