"""Brings several features of a recording, each at its own rate, to the frames of a mel."""

from collections.abc import Mapping

from torch import Tensor

from amphion_core.api import FeatureExtractor, MelConfig
from amphion_core.errors import AudioError
from amphion_core.features.resampling import to_frames

TOLERANCE = 8  # mel frames by which a feature may be shorter or longer than the mel


def at_mel_frames(
    features: Mapping[str, Tensor], extractors: Mapping[str, FeatureExtractor], mel: MelConfig, count: int
) -> dict[str, Tensor]:
    """Features of whole recordings, each (B, dim, N) at its own rate -> the same, (B, dim, ``count``) at the mel's.

    The centre of a frame is where its extractor says, so features of different networks stay aligned; between two
    frames values are interpolated. A vector for each recording (B, dim) stays as it is. ``count`` is the number of mel
    frames. For crops of recordings, and for batches of different lengths, use `to_frames` itself.
    Raises AudioError for a feature that ends more than eight mel frames before or after the mel.
    """
    shift = mel.hop_length / mel.sample_rate
    found = {}
    for name, feature in features.items():
        extractor = extractors[name]
        if extractor.frame_shift is None:
            found[name] = feature
            continue
        frames = feature.shape[2] * extractor.frame_shift / shift
        if abs(frames - count) > TOLERANCE:
            raise AudioError(
                f"the feature {name} has {feature.shape[2]} frames of {extractor.frame_shift * 1000:g} ms, "
                f"which are {frames:.0f} frames of the mel, and the mel has {count}",
                hint="extract both from the same recording",
            )
        found[name] = to_frames(
            feature, count, frame_shift=extractor.frame_shift, offset=extractor.first_centre, to_shift=shift,
            to_offset=mel.first_centre,
        )  # fmt: skip
    return found
