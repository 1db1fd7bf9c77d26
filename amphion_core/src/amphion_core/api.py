"""The names that plugins import. Each is loaded at first use, so that a Dataset plugin does not load torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_MODULES = {
    "amphion_core.audio": ("Audio",),
    "amphion_core.audio_files.writing": ("AudioWriter",),
    "amphion_core.cards": ("Card", "CardFile"),
    "amphion_core.codecs": ("CodecSource", "open_codec"),
    "amphion_core.component": (
        "AudioEmbedding", "Augmentation", "Component", "Dataset", "Embedded", "FeatureExtractor", "Metric", "Score",
        "SpeechRecognizer", "TaskFramework", "TextFrontend", "Utterance",
    ),
    "amphion_core.config": ("AugmentationConfig", "BaseConfig", "FrontendConfig"),
    "amphion_core.devices": ("Device",),
    "amphion_core.families": (
        "Codec", "CodecStream", "Codes", "Discriminator", "ModelArchitecture", "Prompt", "Synthesis",
        "TextCondition", "TextEncoder", "TextToAudio", "TextToSpeech", "Vocoder", "VoiceConverter",
    ),
    "amphion_core.hooks": ("hookimpl",),
    "amphion_core.data.batch": ("Batch", "Collate", "Example"),
    "amphion_core.data.facts": ("CorpusFacts", "Statistics"),
    "amphion_core.mel": ("Mel", "MelConfig"),
    "amphion_core.onnx_graph": ("OnnxGraph", "vocoder_graph"),
    "amphion_core.parts": (
        "AugmentationPart", "CodecPart", "DatasetPart", "DiscriminatorPart", "EmbeddingPart", "FeaturePart",
        "FrontendPart", "MetricPart", "ModelPart", "Part", "RecognizerPart", "TrainerPart", "VocoderPart",
    ),
    "amphion_core.precision": ("Precision",),
    "amphion_core.recording": ("is_recording", "record", "report", "report_step", "steps_as_mels"),
    "amphion_core.registry": ("SPOKEN", "v1"),
    "amphion_core.requests": ("AudioInput", "ControlValues"),
    "amphion_core.speakers": ("speaker_index",),
    "amphion_core.training.trainer": ("ModelTrainer", "Update", "Validation"),
    "amphion_core.vocoding": ("open_vocoder",),
}  # fmt: skip
_HOME = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from amphion_core.audio import Audio as Audio
    from amphion_core.audio_files.writing import AudioWriter as AudioWriter
    from amphion_core.cards import Card as Card, CardFile as CardFile
    from amphion_core.codecs import CodecSource as CodecSource, open_codec as open_codec
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
        BaseConfig as BaseConfig,
        FrontendConfig as FrontendConfig,
    )
    from amphion_core.data.batch import Batch as Batch, Collate as Collate, Example as Example
    from amphion_core.data.facts import CorpusFacts as CorpusFacts, Statistics as Statistics
    from amphion_core.devices import Device as Device
    from amphion_core.families import (
        Codec as Codec,
        CodecStream as CodecStream,
        Codes as Codes,
        Discriminator as Discriminator,
        ModelArchitecture as ModelArchitecture,
        Prompt as Prompt,
        Synthesis as Synthesis,
        TextCondition as TextCondition,
        TextEncoder as TextEncoder,
        TextToAudio as TextToAudio,
        TextToSpeech as TextToSpeech,
        Vocoder as Vocoder,
        VoiceConverter as VoiceConverter,
    )
    from amphion_core.hooks import hookimpl as hookimpl
    from amphion_core.mel import Mel as Mel, MelConfig as MelConfig
    from amphion_core.onnx_graph import OnnxGraph as OnnxGraph, vocoder_graph as vocoder_graph
    from amphion_core.parts import (
        AugmentationPart as AugmentationPart,
        CodecPart as CodecPart,
        DatasetPart as DatasetPart,
        DiscriminatorPart as DiscriminatorPart,
        EmbeddingPart as EmbeddingPart,
        FeaturePart as FeaturePart,
        FrontendPart as FrontendPart,
        MetricPart as MetricPart,
        ModelPart as ModelPart,
        Part as Part,
        RecognizerPart as RecognizerPart,
        TrainerPart as TrainerPart,
        VocoderPart as VocoderPart,
    )
    from amphion_core.precision import Precision as Precision
    from amphion_core.recording import (
        is_recording as is_recording,
        record as record,
        report as report,
        report_step as report_step,
        steps_as_mels as steps_as_mels,
    )
    from amphion_core.registry import SPOKEN as SPOKEN, v1 as v1
    from amphion_core.requests import AudioInput as AudioInput, ControlValues as ControlValues
    from amphion_core.speakers import speaker_index as speaker_index
    from amphion_core.training.trainer import ModelTrainer as ModelTrainer, Update as Update, Validation as Validation
    from amphion_core.vocoding import open_vocoder as open_vocoder
else:

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return __all__
