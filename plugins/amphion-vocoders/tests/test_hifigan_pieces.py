"""HiFi-GAN on several threads: pieces of time on one thread each give the result of the whole."""

import pytest
import torch

import amphion_core as amphion
from amphion_core.api import Vocoder


@pytest.mark.parametrize("frames", [1, 7, 50])
def test_the_number_of_threads_does_not_change_the_wave(monkeypatch, frames):
    from amphion_vocoders.models import hifigan_packed as packed

    torch.manual_seed(0)
    net: Vocoder = amphion.build("vocoder/hifigan@v3").eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, (parameter[0].numel() if parameter.dim() > 1 else 100) ** -0.5)
    mel = torch.randn(2, 80, frames)
    with torch.no_grad():
        plain = net(mel)[:, 0]
    net.for_inference()
    counts: list[int] = []
    run_pieces = packed.run_pieces
    monkeypatch.setattr(packed, "run_pieces", lambda pieces: counts.append(len(pieces)) or run_pieces(pieces))
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            counts.clear()
            torch.testing.assert_close(net.vocode(mel), plain, atol=1e-5, rtol=0)
            assert bool(counts) == (threads > 1)  # so short an input is one piece for one thread
    finally:
        torch.set_num_threads(before)
