"""FastSpeech 2 with HiFi-GAN V1 on one thread of a CPU: real-time factor, and what `for_inference` gains.

Random weights and seven frames for each symbol, about as in English speech. Times are those of the processor, which
other programs change less than the time that passes. Run: python benchmarks/fastspeech2.py
"""

import time

import torch
from side_by_side import medians

import amphion_core as amphion

FRAMES = 7  # of each symbol, 81 ms


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    plain = amphion.build("tts/fastspeech2", vocabulary=152, mel="hifigan_22k_80").eval()
    duration = plain.variance_adaptor.duration_predictor.linear_layer
    torch.nn.init.zeros_(duration.weight)
    torch.nn.init.constant_(duration.bias, torch.log(torch.tensor(FRAMES + 1.0)).item())
    ready = amphion.build("tts/fastspeech2", vocabulary=152, mel="hifigan_22k_80")
    ready.load_state_dict(plain.state_dict())
    ready.for_inference()
    vocoder = amphion.build("vocoder/hifigan@v1").for_inference()
    print("symbols  audio   FastSpeech 2: as built, for_inference   HiFi-GAN V1   both, real-time factor")
    for count in (5, 20, 60, 120):
        ids, lengths = torch.randint(1, 152, (1, count)), torch.tensor([count])
        mel = ready.synthesize(ids, lengths).mel
        assert mel is not None
        times = medians(
            {
                "as built": lambda ids=ids, lengths=lengths: plain.synthesize(ids, lengths),
                "ready": lambda ids=ids, lengths=lengths: ready.synthesize(ids, lengths),
                "vocoder": lambda mel=mel: vocoder.vocode(mel),
            },
            clock=time.process_time,
        )
        seconds = mel.shape[2] * 256 / 22050
        factor = (times["ready"] + times["vocoder"]) / seconds
        columns = " ".join(f"{1000 * times[name]:10.0f} ms" for name in ("as built", "ready", "vocoder"))
        print(f"{count:7}  {seconds:4.1f} s {columns}   {factor:.3f}")


if __name__ == "__main__":
    main()
