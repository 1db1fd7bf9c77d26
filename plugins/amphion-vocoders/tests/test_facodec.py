"""FACodec: reference numbers of the published network, its layouts, long recordings, and other voices."""

import pytest
import torch

import amphion_core as amphion
from amphion_core.api import Codes
from amphion_core.checkpoints.weight_names import to_parametrized
from amphion_core.errors import AudioError, DataError, WeightsError
from amphion_core.loading import convert
from amphion_vocoders.models import facodec, facodec_layers, facodec_layouts
from amphion_vocoders.models.facodec_transformer import FrameTransformer, position_table

TINY = amphion.get("models", "codec/facodec").example_config().model_dump(exclude_unset=True) | {
    "redecoder_channels": 8, "n_phones": 5, "n_speakers": 3,
    "predictors": ("f0", "phone", "speaker", "residual_f0", "residual_phone", "sum_speaker"),
}  # fmt: skip


@pytest.fixture(scope="module")
def case(golden):
    return golden("facodec")


@pytest.fixture(scope="module")
def published(case):
    """The network of the reference case, from the state dicts of its three files."""
    return convert("codec/facodec", case["state_dict"], layout="amphion").eval()


def speech(frames, batch=1, hop=4):
    generator = torch.Generator().manual_seed(frames)
    return torch.randn(batch, 1, frames * hop, generator=generator) / 4


def network(**changes):
    torch.manual_seed(0)
    return amphion.build("codec/facodec", **{**TINY, **changes}).eval()


def close(found, wanted, relative=1e-4):
    """Whether all values agree to ``relative`` of the largest."""
    torch.testing.assert_close(found, wanted, atol=relative * float(wanted.abs().max()), rtol=0)


@torch.no_grad()
def test_the_published_network_has_the_reference_numbers(case, published):
    wave, wanted = case["inputs"]["wav"], case["outputs"]
    close(published.encoder(wave), wanted["z"], 2e-5)
    codes = published.encode(wave)
    assert torch.equal(codes.indices, wanted["codes"])
    close(codes.extra["speaker"], wanted["spk"], 1e-5)
    factors = published.factorise(wave)
    for part, reference in zip(factors.parts, wanted["quantized"], strict=True):
        close(part, reference, 1e-5)
    layers = torch.nn.Sequential(*list(published.decoder)[:-1])  # without the tanh, which saturates
    close(layers(published.latents(codes)), wanted["rec_pretanh"])
    torch.testing.assert_close(published.decode(codes), wanted["rec"], atol=2e-3, rtol=0)
    without = published.decode(Codes(codes.indices[:3], codes.extra))
    torch.testing.assert_close(without, wanted["rec_no_residual"], atol=2e-3, rtol=0)


@torch.no_grad()
def test_the_published_predictors_have_the_reference_numbers(case, published):
    found = published.predict(published.factorise(case["inputs"]["wav"]))
    f0, voiced = found["f0"]
    torch.testing.assert_close(f0, case["outputs"]["f0"], atol=1e-4, rtol=0)
    torch.testing.assert_close(voiced, case["outputs"]["uv"], atol=1e-4, rtol=0)
    torch.testing.assert_close(found["phone"][0][..., :64], case["outputs"]["phone"], atol=1e-4, rtol=0)
    assert found.keys() == {"f0", "phone", "residual_f0", "residual_phone"}


@torch.no_grad()
def test_the_published_redecoder_has_the_reference_numbers(case, published):
    codes, speaker = published.encode(case["inputs"]["wav"]), case["inputs"]["spk2"]
    close(published.redecoder.vectors(codes.indices, speaker), case["outputs"]["red_emb"], 1e-5)
    torch.testing.assert_close(published.convert(codes, speaker), case["outputs"]["red_wav"], atol=1e-3, rtol=0)


def test_the_published_sizes(published):
    def size(*parts):
        return sum(p.numel() for part in parts for p in part.parameters())

    decoder = [published.quantizer, published.timbre_encoder, published.timbre, published.decoder]
    assert size(published.encoder) == 4_210_528
    assert size(*decoder, published.heads) == 33_524_732
    assert size(*decoder, published.heads["f0"], published.heads["phone"]) == 29_079_407
    assert size(published.redecoder) == 36_328_994
    with torch.device("meta"):
        names = ("f0", "phone", "residual_f0", "residual_phone", "sum_speaker")
        whole = amphion.build("codec/facodec", predictors=names)
        second = amphion.build("codec/facodec", predictors=names[:2], mel_prosody=True)
    assert size(whole) - size(whole.encoder) == 98_120_652
    assert size(second) - size(second.encoder) == 36_438_639
    assert published.frame_rate == 80 and published.bitrate() == 4800 and published.n_codebooks == 6


def files_of(net):
    """The encoder and the decoder of a tiny network under the names of the published files."""
    heads = {f"heads.{ours}.": theirs for theirs, ours in facodec_layouts.HEADS.items()}
    renamed = heads | {
        "parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v",
        "timbre.linear.": "timbre_linear.", ".codebook.": "._codebook.", ".position": ".position_emb.pe",
    }  # fmt: skip
    files = {"encoder": {}, "decoder": {}}
    for name, tensor in net.state_dict().items():
        for ours, theirs in renamed.items():
            name = name.replace(ours, theirs)
        file, _, rest = name.partition(".")
        table = position_table(5, 8, torch.device("cpu"))[:, None]
        rest = rest if file == "encoder" else f"model.{rest}" if file == "decoder" else name
        files["encoder" if file == "encoder" else "decoder"][rest] = table if name.endswith("_emb.pe") else tensor
    return files


def test_the_second_version_and_a_decoder_given_as_a_file_are_read():
    predictors = ("f0", "phone", "sum_speaker")
    net = network(mel_prosody=True, positions="batch_index", predictors=predictors, redecoder_channels=0)
    files = files_of(net)
    encoder = files["encoder"] | {"mel_transform.mel_basis": torch.ones(1)}
    read, tensors = facodec_layouts.read(encoder, {"decoder": files["decoder"]})
    assert read["mel_prosody"] and read["prosody_bands"] == 4 and read["positions"] == "batch_index"
    assert read["predictors"] == predictors and (read["n_phones"], read["n_speakers"]) == (5, 3)
    assert (read["channels"], read["strides"], read["dim"], read["decoder_channels"]) == (2, [2, 2], 8, 8)
    again = to_parametrized(tensors, ())
    assert again.keys() == net.state_dict().keys()
    assert all(tensor.equal(again[name]) for name, tensor in net.state_dict().items())
    with pytest.raises(WeightsError, match="the decoder is missing"):
        convert("codec/facodec", files["encoder"], layout="amphion")
    with pytest.raises(WeightsError, match="not the encoder and the decoder"):
        convert("codec/facodec", files["decoder"], layout="amphion", config={"decoder": files["decoder"]})


def test_prosody_of_a_mel_is_not_that_of_the_latents():
    net, wave = network(mel_prosody=True), speech(32)
    before = net.encode(wave).indices
    with torch.no_grad():
        net.melspec_linear.weight.mul_(-3)
    after = net.encode(wave).indices
    assert not torch.equal(before[0], after[0]) and torch.equal(before[1], after[1])


def test_a_length_that_is_no_whole_number_of_frames_is_padded_with_zeros():
    net, wave = network(), speech(6)
    short = wave[..., :-3]
    whole = net.encode(torch.nn.functional.pad(short, (0, 3)))
    codes = net.encode(short)
    assert torch.equal(codes.indices, whole.indices) and codes.indices.shape[2] == 6
    assert net(short)[0].shape == short.shape
    for wrong in (wave[0], wave[..., :0], wave.expand(1, 2, -1)):
        with pytest.raises(AudioError, match="a wave"):
            net.encode(wrong)


def test_an_item_of_a_batch_is_what_it_is_alone():
    """Also with the positions of published weights, where upstream's result depends on the place in the batch."""
    for positions in ("time", "batch_index"):
        net, wave = network(positions=positions), speech(20, batch=2)
        both = net.encode(wave)
        wave_of_both = net.decode(both)
        for item in range(2):
            alone = net.encode(wave[item : item + 1])
            assert torch.equal(alone.indices[:, 0], both.indices[:, item])
            torch.testing.assert_close(alone.extra["speaker"][0], both.extra["speaker"][item], atol=1e-5, rtol=0)
            torch.testing.assert_close(net.decode(alone)[0], wave_of_both[item], atol=1e-5, rtol=0)


def test_long_recordings_are_coded_in_pieces_with_the_same_result(monkeypatch):
    changes = {"strides": (2, 3), "mel": {**TINY["mel"], "hop_length": 6}, "window": 20, "mel_prosody": True}
    net, wave = network(**changes), speech(300, hop=6)[..., :-5]
    whole = net.encode(wave)
    decoded, converted = net.decode(whole), net.convert(whole, whole.extra["speaker"] + 1)
    assert decoded.shape[2] == 1800
    lengths = []
    handle = net.encoder.register_forward_hook(lambda module, inputs, output: lengths.append(output.shape[2]))
    monkeypatch.setattr(facodec, "PIECE", 30)  # two windows are a piece
    codes = net.encode_pieces(wave.split(101, 2))
    handle.remove()
    assert max(lengths) <= 40 + 2 * net.encoder.reach < 300
    assert torch.equal(codes.indices, whole.indices)
    torch.testing.assert_close(codes.extra["speaker"], whole.extra["speaker"], atol=1e-5, rtol=0)
    pieces = list(net.decode_pieces(whole))
    assert len(pieces) == 8
    torch.testing.assert_close(torch.cat(pieces, 2), decoded, atol=1e-5, rtol=0)
    pieces = list(net.convert_pieces(whole, whole.extra["speaker"] + 1))
    torch.testing.assert_close(torch.cat(pieces, 2), converted, atol=1e-5, rtol=0)
    with pytest.raises(AudioError, match="no samples"):
        net.encode_pieces([])


@pytest.mark.parametrize("strides", [(2, 4, 5, 5), (3, 2)])
def test_the_stated_reach_of_encoder_and_decoder_is_enough(strides):
    """A changed input changes no output that is further away, and does change some at half of that distance."""
    hop, frames = 1, 161
    for stride in strides:
        hop *= stride
    torch.manual_seed(1)
    encoder = facodec_layers.WaveEncoder(2, strides, 4).eval()
    decoder = facodec_layers.WaveDecoder(4, 2 ** (len(strides) + 1), tuple(reversed(strides))).eval()
    wave, latents, middle = torch.randn(1, 1, frames * hop), torch.randn(1, 4, frames), frames // 2
    with torch.no_grad():
        other = wave.clone()
        other[..., middle * hop : (middle + 1) * hop] += 100
        changed = (encoder(wave) - encoder(other)).abs().amax((0, 1)).nonzero().flatten() - middle
        assert encoder.reach / 2 < int(changed.abs().max()) <= encoder.reach
        other = latents.clone()
        other[..., middle] += 100
        changed = (decoder(latents) - decoder(other)).abs()[0, 0].nonzero().flatten()
        distance = max(middle - int(changed.min()) // hop, int(changed.max()) // hop - middle)
        assert decoder.reach / 2 < distance <= decoder.reach


def test_windows_bound_what_a_transformer_attends_to():
    torch.manual_seed(0)
    made = FrameTransformer(
        8, layers=1, heads=2, inner=8, kernel=3, dropout=0.0, positions="time", window=5
    ).eval()  # fmt: skip
    x = torch.randn(1, 12, 8)
    parts = torch.cat([made(x[:, :5]), made(x[:, 5:10]), made(x[:, 10:])], 1)
    torch.testing.assert_close(made(x), parts)
    torch.testing.assert_close(position_table(3, 8, torch.device("cpu"))[0], torch.tensor([0.0, 1.0] * 4))


def test_another_timbre_changes_the_wave_and_codes_without_one_are_refused():
    for changes in ({}, {"redecoder_channels": 0}):
        net = network(**changes)
        codes = net.encode(speech(12))
        own, other = (net.convert(codes, codes.extra["speaker"] + shift) for shift in (0, 3))
        assert own.shape == (1, 1, 48) and float((own - other).abs().max()) > 1e-4
    net = network()
    swapped = net.convert(codes, codes.extra["speaker"] + 3, swap=True)
    assert torch.equal(swapped, net.decode(Codes(codes.indices, {"speaker": codes.extra["speaker"] + 3})))
    assert not torch.equal(swapped, net.convert(codes, codes.extra["speaker"] + 3))
    few = Codes(codes.indices[:2], codes.extra)
    assert torch.equal(net.convert(few, codes.extra["speaker"]), net.convert(codes, codes.extra["speaker"]))
    with pytest.raises(DataError, match="needs 2 codebooks, got 1"):
        net.convert(Codes(codes.indices[:1], codes.extra), codes.extra["speaker"])
    with pytest.raises(DataError, match="no timbre"):
        net.decode(Codes(codes.indices))


def test_training_leaves_out_the_residual_of_some_items_and_reverses_gradients():
    net = network(residual_dropout=0.5, dropout=0.0)
    wave = speech(8, batch=64)
    factors = net.factorise(wave)
    kept = net.eval().synthesise(factors)
    dropped = net.synthesise(factors.__class__((*factors.parts[:2], factors.parts[2] * 0), *fields(factors)))
    torch.manual_seed(0)
    mixed = net.train().synthesise(factors)
    near = [[torch.allclose(mixed[item], other[item], atol=1e-6) for item in range(64)] for other in (kept, dropped)]
    assert all(a != b for a, b in zip(*near, strict=True)) and 16 < sum(near[0]) < 48
    net.eval()
    found = net.predict(factors)
    part = factors.parts[2]
    head = net.heads["residual_f0"]
    through, direct = (
        torch.autograd.grad(value.sum(), part, retain_graph=True)[0]
        for value in (found["residual_f0"][0], head(part)[0])
    )
    torch.testing.assert_close(through, -direct)
    assert float(direct.abs().max()) > 0


def test_a_branch_cannot_escape_a_reversed_predictor_by_growing():
    net = network(dropout=0.0).train()
    factors = net.factorise(speech(8))
    grown = factors.__class__(tuple(part * 100 for part in factors.parts), *fields(factors))
    before, after = net.predict(factors), net.predict(grown)
    for name in ("residual_f0", "residual_phone", "sum_speaker"):
        torch.testing.assert_close(after[name][0], before[name][0], atol=2e-2, rtol=0)
    assert not torch.allclose(after["f0"][0], before["f0"][0], atol=2e-2)


def fields(factors):
    return factors.indices, factors.speaker, factors.commitment, factors.codebook
