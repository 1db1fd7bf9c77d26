"""NaturalSpeech 2 on one thread of a CPU: the time to speak against the steps of the diffusion, for each solver.

Random weights, six frames of EnCodec for each symbol, a prompt of three seconds. Times are those of the processor,
which other programs change less than the time that passes. Run: python benchmarks/naturalspeech2.py [small]
"""

import sys
import time

import torch

import amphion_core as amphion
from amphion_core.api import CodecPart, Prompt
from amphion_core.recipe import read

FRAMES = 6  # of each symbol, 80 ms
SYMBOLS = 36  # about three seconds


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    fields = {"vocabulary": 100}
    codec = CodecPart.named("codec/encodec")
    if "small" in sys.argv:
        fields = read("naturalspeech2_small", ["data.root=none"]).model.config.model_dump()
        codec = CodecPart.named("codec/encodec", sample_rate=16000, filters=8, dim=64, codebooks=8, codebook_size=256)
    net = amphion.build("tts/naturalspeech2", **fields | {"codec": codec}).for_inference()
    duration = net.prior_encoder.duration_predictor.linear
    torch.nn.init.zeros_(duration.weight)
    torch.nn.init.constant_(duration.bias, torch.log(torch.tensor(FRAMES + 1.0)).item())
    ids, lengths = torch.randint(1, 40, (1, SYMBOLS)), torch.tensor([SYMBOLS])
    rate = net.sample_rate
    prompt = Prompt(torch.randn(1, 3 * rate) * 0.1, torch.tensor([3 * rate]))
    print(f"{sum(parameter.numel() for parameter in net.parameters()) / 1e6:.1f} M parameters")
    print("solver      steps   audio      time   real-time factor")
    for solver, counts in {"euler": (1, 4, 16), "midpoint": (4,), "dpm_solver": (4,)}.items():
        for steps in counts:
            controls = net.controls({"steps": steps, "solver": solver})
            net.synthesize(ids, lengths, prompt=prompt, seed=0, controls=controls)  # the first call is slower
            start = time.process_time()
            made = net.synthesize(ids, lengths, prompt=prompt, seed=0, controls=controls)
            taken, seconds = time.process_time() - start, int(made.lengths[0]) / rate
            print(f"{solver:10} {steps:6}  {seconds:4.1f} s  {taken:6.2f} s   {taken / seconds:8.2f}", flush=True)


if __name__ == "__main__":
    main()
