"""The checks that trained vocoders do on the mel, and the F0, that they are asked to vocode."""

from torch import Tensor

from amphion_core.errors import AudioError

F0_HINT = "give F0 in Hz for each frame of the mel, 0 where unvoiced; the trackers: amphion list features 'f0_*'"


def check_mel(mel: Tensor, n_mels: int) -> None:
    """Raise AudioError unless ``mel`` is (B, F, N) with F = ``n_mels`` and finite values. N may be 0."""
    if mel.dim() != 3 or mel.shape[1] != n_mels:
        raise AudioError(
            f"a mel of shape {tuple(mel.shape)}: this vocoder takes (B, {n_mels}, N)",
            hint="compute it with the vocoder's own mel convention: net.config.mel",
        )
    if not mel.isfinite().all():
        raise AudioError("the mel has values that are not finite (NaN or infinite)", hint="check what made it")


def check_f0(f0: Tensor | None, mel: Tensor) -> Tensor:
    """Return ``f0``. Raise AudioError unless it is (B, N) like the mel (B, F, N)."""
    if f0 is None:
        raise AudioError("this vocoder needs F0 beside the mel, and none is given", hint=F0_HINT)
    if f0.shape != (mel.shape[0], mel.shape[-1]):
        what = f"F0 of shape {tuple(f0.shape)} for a mel of shape {tuple(mel.shape)}"
        raise AudioError(f"{what}: this vocoder takes (B, N)", hint=F0_HINT)
    return f0


def check_f0_values(f0: Tensor) -> None:
    """Raise AudioError unless all values are finite and at least 0."""
    if not (f0.isfinite() & (f0 >= 0)).all():
        raise AudioError("F0 has values that are negative or not finite (NaN or infinite)", hint=F0_HINT)
