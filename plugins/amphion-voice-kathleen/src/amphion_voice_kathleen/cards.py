"""The cards of the voice and of its vocoder. No model is imported here."""

from amphion_core.cards import Card, CardFile

_LICENCE = "MIT"
_DATA = "CC0-1.0: Rhasspy, dataset-voice-kathleen"

CARDS = [
    Card(
        name="tts/fastspeech2@kathleen",
        title="US English, one female voice, 22.05 kHz; trained here on CC0 recordings",
        source="package:amphion_voice_kathleen/voice/model.safetensors",
        sha256="1e9cbb8cd6b3561f55a692ea2aef306ff829edaa46be166cddda7168d360c4d8",
        files={"config": CardFile("config.yaml", "5b0ae90cee84e2bbd383b4edb252817f553b499c5ee3227a77eab8762bb1983d")},
        vocoder="vocoder/hifigan@kathleen",
        licence=_LICENCE,
        data_licence=_DATA,
        default=True,
        pip="amphion-voice-kathleen",
    ),
    Card(
        name="vocoder/hifigan@kathleen",
        title="the vocoder of the voice kathleen, 22.05 kHz, 3.6 M parameters",
        source="package:amphion_voice_kathleen/vocoder/model.safetensors",
        sha256="e04b77c5d3263011ef7ff169e85738f467400594e16b760f17c0eb314e354a4e",
        files={"config": CardFile("config.yaml", "432a35b828fe035bf2bcbfa10794e97044fe26200fbf5a0f7a0f660c55cd084c")},
        licence=_LICENCE,
        data_licence=_DATA,
        pip="amphion-voice-kathleen",
    ),
]
