"""The check that every trained vocoder does on the mel that it is asked to vocode."""

from torch import Tensor

from amphion_core.errors import AudioError


def check_mel(mel: Tensor, n_mels: int) -> None:
    """Raise AudioError unless ``mel`` is (B, F, N) with F = ``n_mels`` and finite values. N may be 0."""
    if mel.dim() != 3 or mel.shape[1] != n_mels:
        raise AudioError(
            f"a mel of shape {tuple(mel.shape)}: this vocoder takes (B, {n_mels}, N)",
            hint="compute it with the vocoder's own mel convention: net.config.mel",
        )
    if not mel.isfinite().all():
        raise AudioError("the mel has values that are not finite (NaN or infinite)", hint="check what made it")
