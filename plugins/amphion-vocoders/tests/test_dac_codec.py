"""DAC against transformers and the authors' layout, its lengths, and long recordings in pieces."""

import copy

import pytest
import torch
from torch import Tensor, nn

import amphion_core as amphion
from amphion_core.api import Codec, Codes
from amphion_core.codec_pieces import piece_frames
from amphion_core.errors import DataError, WeightsError

SMALL = {"encoder_channels": 4, "strides": (2, 5), "decoder_channels": 8, "codebooks": 3, "codebook_size": 16}


def wave(samples: int) -> Tensor:
    return torch.randn(2, 1, samples, generator=torch.Generator().manual_seed(5)) * 0.3


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, Codec]:
    """A small DacModel of transformers with random weights, and ours with the same weights."""
    transformers = pytest.importorskip("transformers", reason="pip install transformers")
    config = transformers.DacConfig(
        encoder_hidden_size=4, downsampling_ratios=[2, 5], decoder_hidden_size=8, n_codebooks=3, codebook_size=16
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = transformers.DacModel(config).eval()
        with torch.no_grad():  # its weights begin so small that all codes would be equal
            for name, tensor in theirs.named_parameters():
                if name.endswith("weight"):
                    tensor.normal_(std=tensor[0].numel() ** -0.5)
                else:
                    tensor.add_(0.1 * torch.randn_like(tensor))
    state, given = theirs.state_dict(), config.to_dict()
    return theirs, amphion.import_model("codec/dac", state, layout="transformers", config=given)


def test_codes_and_audio_are_those_of_transformers(pair):
    theirs, ours = pair
    given = wave(400)
    with torch.no_grad():
        expected = theirs.encode(given)
    found = ours.encode(given)
    assert torch.equal(found.indices, expected.audio_codes.transpose(0, 1))
    assert found.indices.unique().numel() > 8  # the codes tell networks apart
    torch.testing.assert_close(ours.latents(found), expected.quantized_representation, atol=1e-5, rtol=0)
    exact = expected.quantized_representation.double()  # decoders in float64; folding rounded the weights to float32
    with torch.no_grad():
        made = copy.deepcopy(theirs).double().decode(quantized_representation=exact).audio_values
    decoded = copy.deepcopy(ours).double().decode_latents(exact)
    assert decoded.shape == given.shape and made.shape[1] < 400  # odd strides make their wave shorter
    torch.testing.assert_close(decoded[:, 0, : made.shape[1]], made.float(), atol=1e-5, rtol=0)


def test_the_authors_layout_gives_the_same_codec(pair):
    """Names as in ``weights.pth`` of descript-audio-codec 1.0.0, with old weight norms."""
    ours = type(pair[1])(pair[1].config)  # its weight norms are not folded yet
    with torch.no_grad():
        for tensor in ours.parameters():
            tensor.add_(0.1 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(len(tensor))))
    state: dict[str, Tensor] = {}
    for name, tensor in ours.state_dict().items():
        network, _, rest = name.partition(".")
        if network == "quantizer":
            theirs = name.replace("quantizer.layers.", "quantizer.quantizers.")
            if "_proj.parametrizations" in name:
                tensor = tensor[..., None]
        else:
            words = [word for word in rest.replace("parametrizations.weight.", "").split(".") if word != "layers"]
            words[-1] = rest.split(".")[-1]
            inner = ".block.".join(words[:-1])
            theirs = f"{network}.{'block' if network == 'encoder' else 'model'}.{inner}.{words[-1]}"
        theirs = theirs.replace("parametrizations.weight.", "")
        state[theirs.replace("original0", "weight_g").replace("original1", "weight_v")] = tensor
    assert "encoder.block.1.block.0.block.1.weight_g" in state
    assert "decoder.model.1.block.2.block.3.weight_v" in state
    assert state["quantizer.quantizers.0.in_proj.weight_v"].ndim == 3
    metadata = {"kwargs": {
        "encoder_dim": 4, "encoder_rates": [2, 5], "decoder_dim": 8, "n_codebooks": 3, "codebook_size": 16,
        "codebook_dim": 8, "sample_rate": 24000,
    }}  # fmt: skip
    again = amphion.import_model("codec/dac", {"state_dict": state, "metadata": metadata}, layout="descriptinc")
    assert again.sample_rate == 24000
    ours.for_inference()
    found = ours.encode(wave(200))
    assert torch.equal(again.encode(wave(200)).indices, found.indices)
    torch.testing.assert_close(again.decode(found), ours.decode(found), atol=1e-6, rtol=0)


def test_a_checkpoint_of_another_size_is_refused(pair):
    with pytest.raises(WeightsError, match="does not fit"):
        amphion.import_model("codec/dac", pair[0].state_dict(), layout="transformers", config={
            "encoder_hidden_size": 4, "downsampling_ratios": [2, 5], "decoder_hidden_size": 16, "n_codebooks": 3,
            "codebook_size": 16,
        })  # fmt: skip


def test_published_size():
    with torch.device("meta"):
        net = amphion.build("codec/dac")
    assert sum(parameter.numel() for parameter in net.parameters()) == 76_651_890
    assert net.hop_length == 512 and round(net.bitrate()) == 7752


def test_a_part_of_a_frame_is_filled_with_zeros(pair):
    _, ours = pair
    padded = nn.functional.pad(wave(93), (0, 7))
    assert torch.equal(ours.encode(wave(93)).indices, ours.encode(padded).indices)


def test_no_sample_depends_on_more_frames_than_the_context():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net: Codec = amphion.build("codec/dac", **SMALL).eval()
    frames = 4 * net.context
    given, changed = wave(10 * frames), wave(10 * frames)
    changed[..., : 10 * net.context] = 0
    same = net.encode(given).indices == net.encode(changed).indices
    assert bool(same[..., 2 * net.context :].all()) and not bool(same.all())
    codes = net.encode(given).indices
    other = codes.clone()
    other[..., : net.context] = 0
    difference = (net.decode(Codes(codes)) - net.decode(Codes(other))).abs().amax((0, 1))
    assert difference[20 * net.context :].max() == 0 and difference.max() > 0


def test_pieces_of_a_long_recording_give_the_whole():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net: Codec = amphion.build("codec/dac", **SMALL, sample_rate=200).eval()
    given = wave(10 * (2 * piece_frames(net) + 17))
    whole = net.encode(given)
    assert torch.equal(net.encode_pieces(given.split(777, 2)).indices, whole.indices)
    made = list(net.decode_pieces(whole))
    assert len(made) > 1
    torch.testing.assert_close(torch.cat(made, 2), net.decode(whole), atol=1e-5, rtol=0)


def test_it_does_not_stream(pair):
    with pytest.raises(DataError, match="not causal"):
        pair[1].stream()
