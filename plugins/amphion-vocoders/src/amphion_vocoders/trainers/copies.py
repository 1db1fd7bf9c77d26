"""What a validation measures of copies: audio that a vocoder made from the mels of recordings."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from amphion_core.api import Audio, MelConfig, Metric, Validation
from amphion_core.features.mel import mel_spectrogram
from amphion_core.training.metrics import validation_score


def score_copies(
    made: Tensor,
    recordings: Tensor,
    *,
    mel: MelConfig,
    metrics: Mapping[str, Metric],
    ids: Sequence[str],
    scores: Mapping[str, Sequence[float]],
) -> Validation:
    """Copies and recordings (B, T) -> ``scores`` and each metric, for each item; the copies, and their mels."""
    found = dict(scores)
    if metrics:
        pairs = [
            tuple(Audio(wave.cpu().clamp(-1, 1).numpy(), mel.sample_rate) for wave in pair)
            for pair in zip(made, recordings, strict=True)
        ]
        for name in metrics:
            found[name] = [validation_score(metrics, name, copy, recording) for copy, recording in pairs]
    names = [id.replace("/", "_") for id in ids]
    pictures = mel_spectrogram(made, mel).cpu()
    return Validation(found, dict(zip(names, made.cpu(), strict=True)), dict(zip(names, pictures, strict=True)))
