"""BigVGAN on a CPU: our speed against the authors' package with the same weights, and the activation by itself.

The anti-aliased activation is the part that differs from HiFi-GAN. It is measured as torch operations, as the compiled
loop for training (forward, and forward with backward), and as the loop for inference, in nanoseconds for each value.
The authors' package is for this benchmark only: pip install matplotlib librosa; pip install --no-deps bigvgan==2.4.1

Run: python benchmarks/bigvgan_vocoder.py
"""

import json
from importlib.util import find_spec
from typing import Any

import torch
from side_by_side import busy_process, medians

import amphion_core as amphion
from amphion_vocoders.models import antialiasing

FRAMES = 60
CONFIG: dict[str, Any] = {  # the authors' base model
    "resblock": "1", "upsample_rates": [8, 8, 2, 2], "upsample_kernel_sizes": [16, 16, 4, 4],
    "upsample_initial_channel": 512, "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]], "num_mels": 100, "activation": "snakebeta",
    "snake_logscale": True, "sampling_rate": 24000, "hop_size": 256, "n_fft": 1024, "win_size": 1024, "fmin": 0,
    "fmax": None, "use_tanh_at_final": True, "use_bias_at_final": True, "use_cuda_kernel": False,
}  # fmt: skip


def lively(net: torch.nn.Module) -> torch.nn.Module:
    """Set weights that keep the level of the signal."""
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if ".act." not in name:
                parameter.normal_(0, (parameter[0].numel() if parameter.dim() > 1 else 100) ** -0.5)
    return net.eval()


def activation() -> None:
    """Nanoseconds for each value of a signal of 96 channels, on one thread."""
    torch.set_num_threads(1)
    kernels = antialiasing.compiled()
    x, factors = torch.randn(1, 96, 8192), (torch.rand(96), torch.rand(96))
    rows, out = x[0].T.contiguous(), torch.empty(8192, 96)
    inputs = x.clone().requires_grad_()

    def step(form: Any) -> Any:
        return lambda: form(inputs, *factors).sum().backward()

    candidates = {
        "torch": lambda: antialiasing.plain(x, *factors), "torch, with gradients": step(antialiasing.plain),
        "compiled": lambda: kernels.activation(x, *factors), "compiled, with gradients": step(kernels.activation),
        "compiled, for inference": lambda: kernels.activate_rows(rows, *factors, out),
    }  # fmt: skip
    for name, seconds in medians(candidates).items():
        print(f"  {name:24} {seconds / x.numel() * 1e9:7.2f} ns")


def generator(threads: int, busy: bool) -> None:
    """The base model on ``threads`` threads, with another busy process or without."""
    from bigvgan import BigVGAN
    from bigvgan.env import AttrDict

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    theirs = lively(BigVGAN(AttrDict(json.loads(json.dumps(CONFIG)))))
    ours = amphion.import_model("vocoder/bigvgan", theirs.state_dict(), layout="nvidia", config=CONFIG)
    theirs.remove_weight_norm()
    mel = torch.randn(1, 100, FRAMES)
    with torch.inference_mode(), busy_process(busy):
        wave = theirs(mel)[:, 0]
        difference = float((ours.vocode(mel) - wave).abs().max())
        times = medians({"theirs": lambda: theirs(mel), "ours": lambda: ours.vocode(mel)}, rounds=3)
    seconds = FRAMES * 256 / 24000
    share = times["ours"] / times["theirs"]
    print(f"base, {threads} thread(s), {'busy' if busy else 'quiet'}: {share:.2f} x their time,", end=" ")
    print(f"greatest difference {difference:.1e} of {float(wave.abs().max()):.2f}")
    for name, value in times.items():
        print(f"  {name:8} {value:.3f} s, real-time factor {value / seconds:.3f}")


if __name__ == "__main__":
    print("activation, each value at the rate of the input")
    activation()
    if find_spec("bigvgan") is None:
        print("generator: not measured, it needs the package of the authors, see above")
    else:
        for count in (1, 2):
            for busy in (False, True):
                generator(count, busy)
