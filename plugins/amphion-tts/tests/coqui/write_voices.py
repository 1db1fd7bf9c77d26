"""Write the small Coqui voices that test_vits_coqui.py reads. Run it where coqui-tts is installed, see README.md.

Coqui's own classes build the networks, save them and compute the numbers. Every weight is random, also the gains and
biases of the norms, so that no layer computes what a new one does.
"""

import argparse
from contextlib import chdir
from pathlib import Path

import torch
from safetensors.torch import save_file
from trainer.io import save_checkpoint
from TTS.config.shared_configs import BaseAudioConfig
from TTS.tts.configs.shared_configs import CharactersConfig
from TTS.tts.configs.vits_config import VitsConfig
from TTS.tts.layers.glow_tts.duration_predictor import DurationPredictor
from TTS.tts.layers.vits.stochastic_duration_predictor import StochasticDurationPredictor
from TTS.tts.models.vits import Vits, VitsArgs
from TTS.tts.utils.speakers import SpeakerManager
from TTS.tts.utils.text.tokenizer import TTSTokenizer

HIDDEN, WIDTH, STOCHASTIC_WIDTH, SPEAKER = 4, 8, 5, 3
NETWORK = {
    "out_channels": 65, "spec_segment_size": 4, "hidden_channels": HIDDEN, "hidden_channels_ffn_text_encoder": 6,
    "num_layers_text_encoder": 2, "resblock_kernel_sizes_decoder": [3, 5],
    "resblock_dilation_sizes_decoder": [[1, 3, 5], [1, 2, 4]], "upsample_rates_decoder": [2, 2],
    "upsample_kernel_sizes_decoder": [4, 4], "upsample_initial_channel_decoder": 8,
    "speaker_embedding_channels": SPEAKER, "inference_noise_scale": 0.5, "inference_noise_scale_dp": 0.75,
    "length_scale": 1.5, "init_discriminator": False,
}  # fmt: skip
SYMBOLS = {"characters": "cabBdüe", "punctuations": "!,. ", "pad": "_"}
VOICES = {
    "plain": (
        {"use_sdp": False},
        {"text_cleaner": "basic_cleaners"},
        {"characters_class": "TTS.tts.models.vits.VitsCharacters", "phonemes": "ɑə"},
        "Abe, bad dab.",
    ),
    "speakers": (
        {"use_sdp": False, "use_speaker_embedding": True, "resblock_type_decoder": "2"},
        {"add_blank": False, "enable_eos_bos_chars": True, "text_cleaner": "no_cleaners"},
        {"characters_class": "TTS.tts.utils.text.characters.Graphemes", "eos": "~", "bos": "^", "blank": "#"},
        "aBe, bad düe!",
    ),
    "stochastic": (
        {"use_sdp": True, "use_speaker_embedding": True},
        {"enable_eos_bos_chars": True, "text_cleaner": "multilingual_cleaners"},
        {"characters_class": "TTS.tts.utils.text.characters.Graphemes", "eos": "~", "bos": "^", "blank": "#"},
        "Dab, ada. Cab!",
    ),
}  # fmt: skip


def randomise(net: torch.nn.Module) -> None:
    """Other values in every parameter: weights around 0, magnitudes and gains around 1."""
    draw = torch.Generator().manual_seed(0)
    for name, parameter in net.named_parameters():
        around_one = name.endswith(("gamma", "original0"))
        values = torch.randn(parameter.shape, generator=draw) * 0.3 + around_one
        small = 0.02 if name.startswith("duration_predictor.conv_") else 1.0  # so that the epsilon of the norms counts
        parameter.data = values * small


def build(name: str) -> tuple[Vits, VitsConfig, str]:
    """The network of a voice, its config, and the text that it says."""
    network, texts, symbols, text = VOICES[name]
    config = VitsConfig(
        model_args=VitsArgs(**NETWORK, **network),
        audio=BaseAudioConfig(
            fft_size=128, win_length=128, hop_length=4, sample_rate=16000, num_mels=10, mel_fmin=0, mel_fmax=None
        ),
        characters=CharactersConfig(**(SYMBOLS | symbols)),
        use_phonemes=False,
        **texts,
    )
    speakers = None
    if network.get("use_speaker_embedding"):
        speakers = SpeakerManager()
        speakers.name_to_id = {"ben": 1, "anna": 2, "7": 0}
        speakers.save_ids_to_file("speakers.pth")
        config.model_args.speakers_file = "speakers.pth"
    tokenizer, config = TTSTokenizer.init_from_config(config)
    config.model_args.num_chars = tokenizer.characters.num_chars
    net = Vits(config, None, tokenizer, speakers)
    condition = SPEAKER if speakers else 0
    # the published width of these predictors is 192 or 256, which would fill megabytes
    if config.model_args.use_sdp:
        net.duration_predictor = StochasticDurationPredictor(
            HIDDEN, STOCHASTIC_WIDTH, 3, 0.5, 4, cond_channels=condition
        )
    else:
        net.duration_predictor = DurationPredictor(HIDDEN, WIDTH, 3, 0.5, cond_channels=condition)
    randomise(net)
    return net.eval(), config, text


class RecordedNoise:
    """Replaces torch.randn and torch.randn_like; keeps what they return."""

    def __enter__(self) -> list[torch.Tensor]:
        self.randn, self.randn_like, found = torch.randn, torch.randn_like, []

        def record(make):
            def drawn(*args, **kwargs):
                found.append(make(*args, **kwargs))
                return found[-1]

            return drawn

        torch.randn, torch.randn_like = record(self.randn), record(self.randn_like)
        return found

    def __exit__(self, *error: object) -> None:
        torch.randn, torch.randn_like = self.randn, self.randn_like


@torch.no_grad()
def numbers(net: Vits, config: VitsConfig, text: str) -> dict[str, torch.Tensor]:
    """What Coqui's functions give for the text, with and without noise, and for a conversion between two speakers."""
    ids = torch.tensor([net.tokenizer.text_to_ids(text)])
    lengths = torch.tensor([ids.shape[1]])
    several = config.model_args.use_speaker_embedding
    aux = {"x_lengths": lengths, **({"speaker_ids": torch.tensor([1])} if several else {})}
    g = net.emb_g(torch.tensor([1])).unsqueeze(-1) if several else None
    x, m_p, logs_p, mask = net.text_encoder(ids, lengths)
    found = {"ids": ids, "hidden": x, "mean": m_p, "log_deviation": logs_p}
    if not config.model_args.use_sdp:
        found["log_durations"] = net.duration_predictor(x, mask, g=g)
    torch.manual_seed(0)
    with RecordedNoise() as noise:
        out = net.inference(ids, aux_input=aux)
    found |= {f"noise{index}": value for index, value in enumerate(noise)}
    found |= {"noisy_wave": out["model_outputs"], "noisy_durations": out["durations"]}
    net.inference_noise_scale = net.inference_noise_scale_dp = 0.0
    out = net.inference(ids, aux_input=aux)
    found |= {"wave": out["model_outputs"], "durations": out["durations"]}
    if several:
        other = net.emb_g(torch.tensor([2])).unsqueeze(-1)
        spec = torch.rand(1, 65, 9)
        with RecordedNoise() as noise:
            z, _, _, mask = net.posterior_encoder(spec, torch.tensor([9]), g=g)
        z = net.flow(net.flow(z, mask, g=g), mask, g=other, reverse=True)
        found |= {"spec": spec, "conversion_noise": noise[0]}
        found["converted"] = net.waveform_decoder(z * mask, g=other)
    return {name: value.detach().clone().contiguous() for name, value in found.items()}


def main() -> None:
    """Write each voice: ``NAME/model.pth``, ``config.json``, ``speakers.pth`` and ``numbers.safetensors``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    for name in VOICES:
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        with chdir(folder):  # the config names the file of the speakers as it lies here
            net, config, text = build(name)
            save_checkpoint(config, net, ".", current_step=0, epoch=0)
            config.save_json("config.json")
            save_file(numbers(net, config, text), "numbers.safetensors", {"text": text})


if __name__ == "__main__":
    main()
