"""EnCodec and SpeechTokenizer against the packages encodec, transformers and speechtokenizer, whole and in pieces."""

import warnings
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

import amphion_core as amphion
from amphion_core.api import Codec, Codes
from amphion_core.codec_pieces import piece_frames
from amphion_core.errors import AudioError, DataError, WeightsError

CASES = ("encodec", "transformers", "speechtokenizer")
SMALL = {"filters": 4, "dim": 6, "strides": (4, 2), "codebooks": 3, "codebook_size": 16}


def wave(samples: int, items: int = 2) -> Tensor:
    return torch.randn(items, 1, samples, generator=torch.Generator().manual_seed(5)) * 0.3


def filled(net: nn.Module) -> nn.Module:
    """Random codebooks, and convolutions that are loud enough for all codes to differ."""
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith(".embed"):
                tensor.normal_()
            elif name.endswith(".inited"):
                tensor.fill_(1)
            elif name.endswith(("weight_g", "original0")):
                tensor.mul_(1.5)
    return net.eval()


def encodec_pair() -> tuple[nn.Module, Codec]:
    from encodec import EncodecModel, modules, quantization

    sizes = {"n_filters": 4, "dimension": 6, "ratios": [4, 2], "norm": "weight_norm", "causal": True}
    theirs = EncodecModel(
        modules.SEANetEncoder(**sizes), modules.SEANetDecoder(**sizes),
        quantization.ResidualVectorQuantizer(dimension=6, n_q=3, bins=16), [24.0], 24000, 1,
    )  # fmt: skip
    filled(theirs)
    config = {"upsampling_ratios": [4, 2]}
    return theirs, amphion.import_model("codec/encodec", theirs.state_dict(), layout="encodec", config=config)


def transformers_pair() -> tuple[nn.Module, Codec]:
    from transformers import EncodecConfig, EncodecModel

    config = EncodecConfig(
        num_filters=4, hidden_size=6, upsampling_ratios=[4, 2], codebook_size=16, target_bandwidths=[36.0]
    )
    theirs = filled(EncodecModel(config))
    state, given = theirs.state_dict(), config.to_dict()
    return theirs, amphion.import_model("codec/encodec", state, layout="transformers", config=given)


def speechtokenizer_pair() -> tuple[nn.Module, Codec]:
    from speechtokenizer.model import SpeechTokenizer

    config = {
        "n_filters": 4, "dimension": 6, "strides": [4, 2], "lstm_layers": 2, "bidirectional": True, "dilation_base": 2,
        "residual_kernel_size": 3, "n_residual_layers": 1, "activation": "ELU", "sample_rate": 16000, "n_q": 3,
        "codebook_size": 16, "semantic_dimension": 5,
    }  # fmt: skip
    theirs = filled(SpeechTokenizer(config))
    state = theirs.state_dict()
    return theirs, amphion.import_model("codec/speechtokenizer", state, layout="speechtokenizer", config=config)


@pytest.fixture(scope="module")
def pairs() -> dict[str, tuple[nn.Module, Codec]]:
    """The network of each package with random weights, and ours with the same weights."""
    for name in CASES:
        pytest.importorskip(name, reason=f"pip install {name}")
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the packages use torch's old weight norm
        torch.manual_seed(0)
        return {
            "encodec": encodec_pair(),
            "transformers": transformers_pair(),
            "speechtokenizer": speechtokenizer_pair(),
        }


def results(name: str, theirs: nn.Module, given: Tensor) -> tuple[Tensor, Tensor]:
    """The package's indices (K, B, N), and the wave that it decodes from them."""
    with torch.no_grad():
        if name == "encodec":
            theirs.bandwidth = None
            frames = theirs.encode(given)
            return frames[0][0].transpose(0, 1), theirs.decode(frames)
        if name == "transformers":
            codes = theirs.encode(given, bandwidth=36.0).audio_codes
            return codes[0].transpose(0, 1), theirs.decode(codes, [None]).audio_values
        codes = theirs.encode(given)
        return codes, theirs.decode(codes)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("samples", [400, 397, 9], ids=["whole frames", "a part of a frame", "very short"])
def test_codes_and_audio_are_those_of_the_package(pairs, name, samples):
    theirs, ours = pairs[name]
    given = wave(samples)
    indices, made = results(name, theirs, given)
    found = ours.encode(given)
    assert torch.equal(found.indices, indices)
    assert samples < 10 or indices.unique().numel() > 8  # the codes tell networks apart
    torch.testing.assert_close(ours.decode(found), made, atol=1e-5, rtol=0)


def test_the_first_codebook_predicts_the_features_of_the_package(pairs):
    theirs, ours = pairs["speechtokenizer"]
    with torch.no_grad():
        _, _, expected = theirs(wave(80))
        torch.testing.assert_close(ours.semantic(wave(80)), expected, atol=1e-5, rtol=0)


def test_published_sizes():
    with torch.device("meta"):
        encodec = amphion.build("codec/encodec")
        tokenizer = amphion.build("codec/speechtokenizer")
    assert sum(parameter.numel() for parameter in encodec.parameters()) == 14_851_810
    assert sum(parameter.numel() for parameter in tokenizer.parameters()) == 103_675_586
    assert encodec.frame_rate == 75 and encodec.bitrate(8) == 6000
    assert tokenizer.frame_rate == 50 and tokenizer.bitrate() == 4000


@pytest.fixture(scope="module")
def encodec() -> Codec:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return filled(amphion.build("codec/encodec", **SMALL))


def test_a_stream_gives_the_whole_for_pieces_of_any_number_of_frames(encodec):
    given = wave(8 * 40, 1)
    whole = encodec.encode(given)
    coder, decoder = encodec.stream(), encodec.stream()
    cuts = [0, 9, 10, 23, 40]
    codes = [coder.encode(given[..., 8 * a : 8 * b]).indices for a, b in pairwise(cuts)]
    assert torch.equal(torch.cat(codes, 2), whole.indices)
    made = torch.cat([decoder.decode(Codes(part)) for part in codes], 2)
    torch.testing.assert_close(made, encodec.decode(whole), atol=1e-5, rtol=0)


def test_a_stream_that_begins_with_too_few_frames_to_mirror_is_refused(encodec):
    with pytest.raises(DataError, match="first piece of a stream is too short"):
        encodec.stream().encode(wave(8 * 6, 1))


@pytest.mark.parametrize("name", ["codec/encodec", "codec/speechtokenizer"])
def test_pieces_of_a_long_recording_give_the_whole(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net: Codec = filled(amphion.build(name, **SMALL, sample_rate=400))  # 50 frames a second
    frames = 2 * piece_frames(net) + 17
    given = wave(8 * frames - 3, 1)
    whole = net.encode(nn.functional.pad(given, (0, 3)))
    pieces = given.split(1000, 2)
    assert torch.equal(net.encode_pieces(pieces).indices, whole.indices)
    assert torch.equal(net.encode_pieces(pieces, 2).indices, whole.indices[:2])
    made = list(net.decode_pieces(whole))
    assert len(made) > 1
    torch.testing.assert_close(torch.cat(made, 2), net.decode(whole), atol=1e-4, rtol=0)


def test_pieces_without_samples_are_refused(encodec):
    with pytest.raises(AudioError, match="no samples"):
        encodec.encode_pieces([])


@pytest.mark.parametrize(
    ("config", "message"),
    [({"normalize": True}, "normalize is True"), ({"use_causal_conv": False}, "use_causal_conv is False")],
)
def test_a_network_that_we_do_not_have_is_refused(encodec, config, message):
    with pytest.raises(WeightsError, match=message):
        amphion.import_model("codec/encodec", encodec.state_dict(), layout="transformers", config=config)
