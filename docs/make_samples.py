"""Writes the audio of the page of samples, ``docs/samples/*.ogg``: recordings, copy synthesis, and each voice.

Run from the root, with the voices installed: python docs/make_samples.py PREPARED_KATHLEEN
PREPARED_KATHLEEN is what `amphion prepare ljspeech` writes for the recordings of Kathleen (CC0). The page itself is
docs/samples.md.
"""

import sys
from pathlib import Path

import amphion_core as amphion
from amphion_core.api import Audio
from amphion_core.data.manifest import Manifest
from amphion_core.data.reading import Reader

FOLDER = Path(__file__).parent / "samples"
RECORDED = ("kathleen_a0038", "kathleen_a0063")  # of the test split, which no voice was trained on
SAID = {
    "weather": "Good morning! It is seven degrees in Lisbon, and the sun comes out at half past nine.",
    "question": "How many people does it take to move a piano?",
    "story": "Our children learned to swim in the lake last year, and now they dive from the old stone bridge.",
}
VOICES = {"kathleen": "tts/fastspeech2@kathleen", "joe": "tts/vits@piper-en-us-joe"}


def main(prepared: str) -> None:
    """Write all files, and print what each says."""
    FOLDER.mkdir(exist_ok=True)
    reader, vocoder = Reader(), amphion.task("vocoder", model="vocoder/hifigan@kathleen")
    said = dict(SAID)
    for record in Manifest(prepared, "test"):
        if record.utterance.id in RECORDED:
            audio = Audio(reader.read(record.utterance, record.rate), record.rate)
            audio.save(FOLDER / f"{record.utterance.id}_recording.ogg")
            vocoder.generate(audio).save(FOLDER / f"{record.utterance.id}_copy.ogg")
            said[record.utterance.id] = record.utterance.text
    for voice, model in VOICES.items():
        task = amphion.task("tts", model=model)
        for name, text in said.items():
            task.generate(text).save(FOLDER / f"{name}_{voice}.ogg")
    print("\n".join(f"{name}: {text}" for name, text in said.items()))


if __name__ == "__main__":
    main(sys.argv[1])
