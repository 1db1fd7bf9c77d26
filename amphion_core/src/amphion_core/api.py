"""What plugins import. Names are loaded when first used, so that a Dataset plugin does not load torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

v1 = "amphion_core.api:v1"
"""The interface version; a plugin declares it as the entry point ``amphion.api``."""

SPOKEN = (v1,)
"""The interface versions this core speaks."""

_MODULES = {
    "amphion_core.audio": ("Audio",),
    "amphion_core.cards": ("Card",),
    "amphion_core.component": (
        "AudioEmbedding", "Augmentation", "Component", "Dataset", "Embedded", "FeatureExtractor", "Metric", "Score",
        "SpeechRecognizer", "TaskFramework", "TextFrontend", "Utterance",
    ),
    "amphion_core.config": (
        "AugmentationConfig", "AugmentationPart", "BaseConfig", "DatasetPart", "EmbeddingPart", "FeaturePart",
        "FrontendConfig", "FrontendPart", "MetricPart", "ModelPart", "Part", "RecognizerPart", "TrainerPart",
    ),
    "amphion_core.families": (
        "Codec", "Codes", "Discriminator", "ModelArchitecture", "Precision", "Synthesis", "TextToAudio", "TextToSpeech",
        "Vocoder", "VoiceConverter",
    ),
    "amphion_core.hooks": ("hookimpl",),
    "amphion_core.data.batch": ("Batch", "Example"),
    "amphion_core.mel": ("Mel", "MelConfig"),
    "amphion_core.training.trainer": ("ModelTrainer", "Update", "Validation"),
}  # fmt: skip
_HOME = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted([*_HOME, "SPOKEN", "v1"])  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from amphion_core.audio import Audio as Audio
    from amphion_core.cards import Card as Card
    from amphion_core.component import (
        AudioEmbedding as AudioEmbedding,
        Augmentation as Augmentation,
        Component as Component,
        Dataset as Dataset,
        Embedded as Embedded,
        FeatureExtractor as FeatureExtractor,
        Metric as Metric,
        Score as Score,
        SpeechRecognizer as SpeechRecognizer,
        TaskFramework as TaskFramework,
        TextFrontend as TextFrontend,
        Utterance as Utterance,
    )
    from amphion_core.config import (
        AugmentationConfig as AugmentationConfig,
        AugmentationPart as AugmentationPart,
        BaseConfig as BaseConfig,
        DatasetPart as DatasetPart,
        EmbeddingPart as EmbeddingPart,
        FeaturePart as FeaturePart,
        FrontendConfig as FrontendConfig,
        FrontendPart as FrontendPart,
        MetricPart as MetricPart,
        ModelPart as ModelPart,
        Part as Part,
        RecognizerPart as RecognizerPart,
        TrainerPart as TrainerPart,
    )
    from amphion_core.data.batch import Batch as Batch, Example as Example
    from amphion_core.families import (
        Codec as Codec,
        Codes as Codes,
        Discriminator as Discriminator,
        ModelArchitecture as ModelArchitecture,
        Precision as Precision,
        Synthesis as Synthesis,
        TextToAudio as TextToAudio,
        TextToSpeech as TextToSpeech,
        Vocoder as Vocoder,
        VoiceConverter as VoiceConverter,
    )
    from amphion_core.hooks import hookimpl as hookimpl
    from amphion_core.mel import Mel as Mel, MelConfig as MelConfig
    from amphion_core.training.trainer import ModelTrainer as ModelTrainer, Update as Update, Validation as Validation
else:

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return __all__
