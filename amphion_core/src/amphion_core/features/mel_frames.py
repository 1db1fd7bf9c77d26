"""MelFrameExtractor: the base of features whose frames lie where the frames of a mel spectrogram lie."""

from amphion_core.component import FeatureExtractor
from amphion_core.config import BaseConfig


class MelFrameExtractor(FeatureExtractor):
    """An extractor with the frames of ``config.mel``: the same rate, hop and centres. Subclasses set ``dim``."""

    def __init__(self, config: BaseConfig) -> None:
        super().__init__(config)
        self.sample_rate = self.config.mel.sample_rate
        self.frame_shift = self.config.mel.hop_length / self.config.mel.sample_rate

    @property
    def first_centre(self) -> float:
        """Seconds from the start of the wave to the centre of the mel's first frame."""
        return float(self.config.mel.first_centre)

    def frames(self, samples: int) -> int:
        """N, the number of frames of a wave of ``samples`` (T) samples."""
        return int(self.config.mel.frames(samples))
