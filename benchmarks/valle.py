"""Speed of VALL-E's autoregressive models: with and without the cache, and against memory, and against transformers.

    python benchmarks/valle.py [--layers 16] [--channels 1024] [--tokens 1000] [--device cpu] [--threads 1]

A step reads all weights and all keys and values once, so bytes / bandwidth bounds its time from below. The bandwidth is
that of a large matrix times a vector on the same threads. The loop without the cache is not run to its end: its cost is
integrated from passes over a few lengths. On one CPU thread, times are processor time, which other programs disturb
less. The training step is compared with transformers' LlamaForCausalLM.
"""

import argparse
import time
from collections.abc import Callable

import torch

from amphion_tts.models.valle import VALLE
from amphion_tts.models.valle_v1 import VALLEv1

clock = time.process_time
PROMPT, TEXT = 150, 60  # codes and symbols before the first step


def seconds(work: Callable[[], object], device: str, repeats: int = 3) -> float:
    """The fastest of several runs."""
    best = float("inf")
    for _ in range(repeats):
        _wait(device)
        start = clock()
        work()
        _wait(device)
        best = min(best, clock() - start)
    return best


def bandwidth(device: str) -> float:
    """Bytes a second that a matrix (1024, 65536) times a vector reads."""
    matrix, vector = torch.ones(1 << 10, 1 << 16, device=device), torch.ones(1 << 16, device=device)
    return matrix.nbytes / seconds(lambda: matrix @ vector, device, 5)


@torch.no_grad()
def generation(name: str, net: VALLE | VALLEv1, tokens: int, device: str, rate: float) -> None:
    """Prints the time of a step with the cache, its bound, and the ratio to the loop without the cache."""
    ids, codes = (
        torch.zeros(TEXT, dtype=torch.long, device=device),
        torch.zeros(PROMPT, dtype=torch.long, device=device),
    )
    text = ids[None] if isinstance(net, VALLEv1) else ids
    step = net.ar.steps(text, codes, tokens)
    times = []
    for _ in range(tokens):
        start = clock()
        int(step(1).argmax())
        times.append(clock() - start)
    total, size = sum(times), sum(p.nbytes for p in net.ar.decoder.parameters())
    read = size + sum(
        each[:, :, : step.cache.length - tokens // 2].nbytes for each in (*step.cache.keys, *step.cache.values)
    )
    middle = sorted(times)[tokens // 2]
    whole = 0.0
    lengths = [0, tokens // 4, tokens // 2, 3 * tokens // 4, tokens]
    for length in lengths:
        x = torch.randn(1, TEXT + PROMPT + length, net.config.channels, device=device)
        whole += seconds(lambda x=x: _whole(net, x), device, 1) / len(lengths) * tokens
    print(
        f"{name}: {tokens / total:.1f} tokens/s, {1e3 * middle:.2f} ms a step (median); reads {read / 1e9:.2f} GB,"
        f" bound {1e3 * read / rate:.2f} ms: {middle * rate / read:.2f} times the bound;"
        f" without the cache {whole:.0f} s for {tokens} tokens, with it {total:.1f} s: {whole / total:.0f} times faster"
    )


def _whole(net: VALLE | VALLEv1, x: torch.Tensor) -> torch.Tensor:
    if isinstance(net, VALLEv1):
        return net.ar.decoder(x, net.ar._order(TEXT, x.shape[1] - TEXT, x.device))
    return net.ar.decoder(x, causal=True)


def training(net: VALLE, device: str, batch: int, frames: int) -> None:
    """Prints the time of a forward and backward pass of the AR model, ours and transformers'."""
    from transformers import LlamaConfig, LlamaForCausalLM

    c = net.config
    rows = c.first_special + 10
    with torch.device(device):
        theirs = LlamaForCausalLM(LlamaConfig(
            vocab_size=rows, hidden_size=c.channels, intermediate_size=c.width, num_hidden_layers=c.n_layers,
            num_attention_heads=c.n_heads,
        ))  # fmt: skip
    codes = torch.randint(c.codebook_size, (batch, c.n_codebooks, frames), device=device)
    ids = torch.randint(c.vocabulary_size, (batch, TEXT), device=device)
    lengths, counts = torch.full((batch,), TEXT, device=device), torch.full((batch,), frames, device=device)
    tokens = torch.randint(rows, (batch, TEXT + frames + 3), device=device)

    def ours() -> None:
        found = net.ar(ids, lengths, codes, counts)
        torch.nn.functional.cross_entropy(
            found.scores[found.predicted].float(), found.targets[found.predicted]
        ).backward()

    mine = seconds(ours, device)
    other = seconds(lambda: theirs(tokens, labels=tokens).loss.backward(), device)
    print(f"training step, {batch} x {TEXT + frames} tokens: {1e3 * mine:.0f} ms; transformers {1e3 * other:.0f} ms")


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def main() -> None:
    """Runs all measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--channels", type=int, default=1024)
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.device != "cpu" or given.threads > 1:
        global clock
        clock = time.perf_counter
    rate = bandwidth(given.device)
    print(f"{given.device}, {given.threads} threads, {rate / 1e9:.1f} GB/s")
    sizes = {"channels": given.channels, "n_layers": given.layers, "vocabulary": 300}
    with torch.device(given.device):
        net = VALLE(VALLE.Config(**sizes, width=4 * given.channels)).eval()
    generation("tts/valle", net, given.tokens, given.device, rate)
    training(net.train(), given.device, 1 if given.device == "cpu" else 16, 300)
    del net
    with torch.device(given.device):
        first = VALLEv1(VALLEv1.Config(**sizes)).eval()
    generation("tts/valle_v1", first, given.tokens, given.device, rate)


if __name__ == "__main__":
    main()
