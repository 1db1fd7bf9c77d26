"""FACodec at 24 kHz: the published sizes and names, what depends on what, and another voice."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

import amphion_core as amphion
from amphion_core.api import Codes
from amphion_core.errors import AudioError, DataError, WeightsError
from amphion_core.loading import convert
from amphion_vocoders.models.facodec_24k import ADDED, DEVIATION, MEAN

TINY = amphion.get("models", "codec/facodec_24k").example_config().model_dump(exclude_unset=True)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return amphion.build("codec/facodec_24k", **TINY).eval()


def speech(frames, batch=1):
    return torch.randn(batch, 1, 4 * frames, generator=torch.Generator().manual_seed(frames)) / 4


def test_the_published_sizes():
    with torch.device("meta"):
        whole = amphion.build("codec/facodec_24k")
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in whole.named_children()}
    assert parts["encoder"] == 36_283_520 and parts["decoder"] == 85_536_866  # 36.3 and 85.5 M, as published
    assert sum(parts.values()) - parts["encoder"] - parts["decoder"] == 15_867_728  # 15.9 M
    assert whole.frame_rate == 80 and whole.bitrate() == 4000


def published(net):
    """The state dict of a network as its publisher stores it."""
    files = {"encoder": {}, "quantizer": {}, "decoder": {}, "discriminator": {"x": torch.ones(1)}}
    renamed = {
        "parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v",
        "timbre.linear.": "timbre_linear.", "melspec_linear.": "melspec_linear.conv.conv.",
        "melspec_linear2.": "melspec_linear2.conv.conv.",
    }  # fmt: skip
    up = {name for name, part in net.named_modules() if type(part).__name__ == "Upsampling"}
    for name, tensor in net.state_dict().items():
        part, _, rest = name.partition(".")
        owner = name.split(".conv.")[0]
        if ".conv." in name:
            rest = rest.replace(".conv.", ".convtr.convtr." if owner in up else ".conv.conv.")
        rest = rest if part in ("encoder", "decoder") else f"{part}.{rest}"
        for ours, theirs in renamed.items():
            rest = rest.replace(ours, theirs)
        if "_quantizer.layers" in rest:
            rest = rest.replace(".layers.", ".quantizers.")
            tensor = tensor[..., None] if "_proj.weight" in rest else tensor
        files[part if part in ("encoder", "decoder") else "quantizer"][rest] = tensor
    files["quantizer"]["to_mel.spectrogram.window"] = torch.ones(3)
    return {"net": files, "iters": 3}


def test_a_published_file_is_read(net):
    full = amphion.get("models", "codec/facodec_24k").Config
    assert full().mel.hop_length == 300
    sizes = {"channels": 1, "decoder_channels": 16, "timbre_channels": 4, "prosody_channels": 4, "prosody_layers": 2}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        other = amphion.build("codec/facodec_24k", **sizes, lstm_layers=1, residual_books=3)
    state = published(other)
    assert "model.2.block.1.convtr.convtr.weight_g" in state["net"]["decoder"]
    read = convert("codec/facodec_24k", state, layout="plachtaa")
    assert read.config == other.config
    assert all(tensor.equal(read.state_dict()[name]) for name, tensor in other.state_dict().items())
    with pytest.raises(WeightsError, match="no FACodec at 24 kHz"):
        convert("codec/facodec_24k", {"net": {"encoder": state["net"]["encoder"]}}, layout="plachtaa")


def test_the_mel_is_that_of_torchaudios_formula(net):
    from amphion_core.features.mel import hop_aligned_mel

    wave = speech(12)
    power = hop_aligned_mel(wave[:, 0], net.config.mel).exp()
    torch.testing.assert_close(net._read(wave)[1], ((power + ADDED).log() - MEAN) / DEVIATION)


def test_an_item_of_a_batch_is_what_it_is_alone_and_ends_are_padded(net):
    exact = deepcopy(net).double()

    def decoded(codes):  # in float64, because new weights amplify roundings
        return exact.decode(replace(codes, extra={name: value.double() for name, value in codes.extra.items()}))

    both = net.encode(speech(20, batch=2))
    wave = decoded(both)
    for item in range(2):
        alone = net.encode(speech(20, batch=2)[item : item + 1])
        assert torch.equal(alone.indices[:, 0], both.indices[:, item])
        torch.testing.assert_close(decoded(alone)[0], wave[item], atol=1e-5, rtol=0)
    short = speech(20)[..., :-3]
    codes = net.encode_pieces(short.split(13, 2))
    assert torch.equal(codes.indices, net.encode(torch.nn.functional.pad(short, (0, 3))).indices)
    with pytest.raises(AudioError, match="no samples"):
        net.encode_pieces([])


def test_codes_of_prosody_follow_the_mel_and_content_the_latents(net):
    wave = speech(40)
    before = net.encode(wave).indices
    weight = net.melspec_linear2.weight.data.clone()
    net.melspec_linear2.weight.data.mul_(-9)
    after = net.encode(wave).indices
    net.melspec_linear2.weight.data.copy_(weight)
    assert not torch.equal(before[0], after[0]) and torch.equal(before[1], after[1])


def test_another_timbre_changes_the_wave_and_codes_without_one_are_refused(net):
    codes = net.encode(speech(12))
    (other,) = net.convert_pieces(codes, codes.extra["speaker"] + 3)
    own = net.decode(codes)
    assert other.shape == own.shape and float((other - own).abs().max()) > 1e-4
    assert net.decode(Codes(codes.indices[:2], codes.extra)).shape == own.shape
    with pytest.raises(DataError, match="no timbre"):
        net.decode(Codes(codes.indices))


def test_training_leaves_out_the_residual_and_every_part_has_a_gradient(net):
    trained = amphion.build("codec/facodec_24k", **TINY | {"residual_dropout": 0.999}).train()
    wave, losses = trained(speech(12, batch=2))
    (wave.square().sum() + losses["commitment"].sum() + losses["codebook"].sum()).backward()
    assert wave.shape == (2, 1, 48) and losses["commitment"].shape == (2,)
    assert all(parameter.grad is not None for parameter in trained.parameters())
