"""WeNet's encoder: agreement with torchaudio and slow formulas, the published layout, windows, and clear errors."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from amphion_core import registry, yaml
from amphion_core.api import FeaturePart, MelConfig
from amphion_core.errors import AudioError, WeightsError
from amphion_core.testing.kind_checks import check_feature
from amphion_svc.features.kaldi_filterbank import kaldi_filterbank
from amphion_svc.features.mel_frames import at_mel_frames
from amphion_svc.features.wenet import WeNet, read_sizes
from amphion_svc.features.wenet_network import (
    ConformerBlock,
    ConvolutionModule,
    PositionalAttention,
    Sizes,
    WeNetEncoder,
    sine_positions,
)

CLOSE = {"atol": 2e-5, "rtol": 0}  # float32, the same operations in another order
TINY = Sizes(bands=80, channels=16, heads=4, width=24, blocks=2, kernel=15, layer_norm=True, causal=True, epsilon=1e-5)
CONF = {
    "output_size": 16, "attention_heads": 4, "linear_units": 24, "num_blocks": 2, "dropout_rate": 0.1,
    "positional_dropout_rate": 0.1, "attention_dropout_rate": 0.1, "input_layer": "conv2d", "normalize_before": True,
    "cnn_module_kernel": 15, "use_cnn_module": True, "activation_type": "swish", "pos_enc_layer_type": "rel_pos",
    "selfattention_layer_type": "rel_selfattn", "causal": True, "use_dynamic_chunk": True,
    "cnn_module_norm": "layer_norm", "use_dynamic_left_chunk": False, "gradient_checkpointing": True,
}  # fmt: skip
SETTINGS = {
    "encoder": "conformer", "encoder_conf": CONF, "decoder": "bitransformer", "input_dim": 80, "cmvn_file": "cmvn",
    "dataset_conf": {
        "fbank_conf": {"dither": 1.0, "frame_length": 25, "frame_shift": 10, "num_mel_bins": 80},
        "resample_conf": {"resample_rate": 16000},
    },
}  # fmt: skip


def randomized(network, seed=0):
    """Weights with which every part has an effect, also norms, statistics and the biases of the positions."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator)
            scale = 0.2 if value.ndim < 2 or "pos_bias" in name else value[0].numel() ** -0.5
            around_one = name.endswith(("running_var", "istd")) or ("norm" in name and name.endswith("weight"))
            value.copy_(1 + 0.2 * noise.tanh() if around_one else scale * noise)
    return network.eval()


def write_model(folder, network, settings=SETTINGS):
    state = {f"encoder.{name}": value for name, value in network.state_dict().items()}
    for block in range(len(network.encoders)):  # unused layers that old checkpoints hold
        state[f"encoder.encoders.{block}.concat_linear.weight"] = torch.zeros(16, 32)
    torch.save(
        state | {"decoder.embed.0.weight": torch.zeros(3, 16), "ctc.ctc_lo.bias": torch.zeros(3)}, folder / "final.pt"
    )
    (folder / "train.yaml").write_text(yaml.dump(settings))
    return folder


def extractor(folder, **fields):
    return FeaturePart.named("wenet", **{"model": str(folder), "dim": 16, **fields}).build()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    network = randomized(WeNetEncoder(TINY))
    network.global_cmvn.mean.fill_(10)  # energies of 16-bit samples
    return write_model(tmp_path_factory.mktemp("u2pp_conformer"), network), network


@pytest.mark.parametrize("bands", [80, 40])
def test_the_energies_are_those_of_kaldi(noise, bands):
    kaldi = pytest.importorskip("torchaudio.compliance.kaldi", reason="pip install torchaudio")
    times = torch.arange(8000) / 16000
    tone = 0.3 * torch.sin(2 * np.pi * 440 * times) + 0.1
    wave = torch.cat([noise[0], tone, torch.zeros(1600)])[None]
    expected = kaldi.fbank(wave * 32768, num_mel_bins=bands, frame_length=25, frame_shift=10, dither=0.0)
    found = kaldi_filterbank(wave, bands)
    assert found.shape == (1, 258, bands)
    torch.testing.assert_close(found[0, :198], expected[:198], atol=5e-4, rtol=0)  # float32; values of about 20
    torch.testing.assert_close(found[0], expected, atol=2e-2, rtol=0)  # bands without sound in the tone: rounding


def test_a_block_with_batch_norm_is_the_conformer_of_torchaudio():
    conformer = pytest.importorskip("torchaudio.models.conformer", reason="pip install torchaudio")
    sizes = Sizes(
        bands=80, channels=16, heads=4, width=24, blocks=1, kernel=7, layer_norm=False, causal=False, epsilon=1e-5
    )
    ours = randomized(ConformerBlock(sizes))
    for value in (ours.self_attn.pos_bias_u, ours.self_attn.linear_pos.weight):  # torchaudio's has no positions
        value.data.zero_()
    theirs = conformer.ConformerLayer(16, 24, 4, 7).eval()
    pairs = {
        "feed_forward_macaron.w_1": "ffn1.sequential.1", "feed_forward_macaron.w_2": "ffn1.sequential.4",
        "norm_ff_macaron": "ffn1.sequential.0", "norm_ff": "ffn2.sequential.0", "norm_mha": "self_attn_layer_norm",
        "feed_forward.w_1": "ffn2.sequential.1", "feed_forward.w_2": "ffn2.sequential.4",
        "norm_conv": "conv_module.layer_norm", "norm_final": "final_layer_norm",
        "conv_module.pointwise_conv1": "conv_module.sequential.0", "conv_module.norm": "conv_module.sequential.3",
        "conv_module.depthwise_conv": "conv_module.sequential.2", "self_attn.linear_out": "self_attn.out_proj",
        "conv_module.pointwise_conv2": "conv_module.sequential.5",
    }  # fmt: skip
    state = ours.state_dict()
    copied = {
        f"{theirs_name}.{name.removeprefix(f'{our_name}.')}": value
        for our_name, theirs_name in pairs.items()
        for name, value in state.items()
        if name.startswith(f"{our_name}.")
    }
    for kind in ("weight", "bias"):
        copied[f"self_attn.in_proj_{kind}"] = torch.cat([state[f"self_attn.linear_{part}.{kind}"] for part in "qkv"])
    theirs.load_state_dict(copied)
    x = torch.randn(2, 11, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        found = ours(x, sine_positions(11, 16, x.device))
        torch.testing.assert_close(found, theirs(x.transpose(0, 1), None).transpose(0, 1), **CLOSE)


def slow_attention(layer, x, positions):
    """Scores one by one: ((q_i + u) k_j + (q_i + v) p_j) / sqrt(d), for one item (N, C)."""
    query, key, value, place = (
        F.linear(given, part.weight, part.bias).view(len(x), layer.heads, -1)
        for given, part in (
            (x, layer.linear_q),
            (x, layer.linear_k),
            (x, layer.linear_v),
            (positions, layer.linear_pos),
        )
    )
    found = torch.zeros_like(value)
    for head in range(layer.heads):
        for i in range(len(x)):
            with_u = query[i, head] + layer.pos_bias_u[head]
            with_v = query[i, head] + layer.pos_bias_v[head]
            scores = torch.stack([with_u @ key[j, head] + with_v @ place[j, head] for j in range(len(x))])
            found[i, head] = torch.softmax(scores / math.sqrt(query.shape[-1]), 0) @ value[:, head]
    return layer.linear_out(found.flatten(1))


def test_attention_has_the_scores_of_the_formula():
    layer = randomized(PositionalAttention(16, 4))
    x = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(4))
    positions = sine_positions(9, 16, x.device)
    with torch.no_grad():
        expected = torch.stack([slow_attention(layer, item, positions) for item in x])
        found = layer(x, positions)
    torch.testing.assert_close(found, expected, **CLOSE)
    without = layer(x, torch.zeros_like(positions))
    assert (found - without).abs().max() > 0.01  # so the positions count


def test_positions_are_sines_and_cosines_of_the_frame():
    found = sine_positions(30, 6, torch.device("cpu"))
    for position, channel in ((0, 1), (7, 2), (29, 5)):
        angle = position / 10000 ** (channel // 2 * 2 / 6)
        assert float(found[position, channel]) == pytest.approx((math.sin, math.cos)[channel % 2](angle), abs=1e-5)


def test_a_causal_convolution_gates_the_zeros_of_the_past():
    module = randomized(ConvolutionModule(TINY))
    x = torch.randn(20, 16, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        before = torch.cat([torch.zeros(14, 16), x])
        wide = before @ module.pointwise_conv1.weight[..., 0].T + module.pointwise_conv1.bias
        gated = wide[:, :16] * torch.sigmoid(wide[:, 16:])
        taps = module.depthwise_conv.weight[:, 0].T  # (15, C)
        mixed = torch.stack([(gated[n : n + 15] * taps).sum(0) for n in range(20)]) + module.depthwise_conv.bias
        centred = mixed - mixed.mean(-1, keepdim=True)
        normed = centred / (mixed.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
        normed = normed * module.norm.weight + module.norm.bias
        expected = (normed * torch.sigmoid(normed)) @ module.pointwise_conv2.weight[..., 0].T
        found = module(x[None])[0]
    torch.testing.assert_close(found, expected + module.pointwise_conv2.bias, **CLOSE)


def test_the_feature_is_the_encoder_on_normalised_energies(tiny, noise):
    """The frame of the whole network, from torch's functions: everything around the blocks."""
    folder, network = tiny
    state = network.state_dict()
    with torch.no_grad():
        x = (kaldi_filterbank(noise, 80) - state["global_cmvn.mean"]) * state["global_cmvn.istd"]
        x = x[:, None]
        for layer in ("embed.conv.0", "embed.conv.2"):
            x = F.conv2d(x, state[f"{layer}.weight"], state[f"{layer}.bias"], stride=2).relu()
        x = x.transpose(1, 2).reshape(1, x.shape[2], -1)  # channels first, then bands
        x = F.linear(x, state["embed.out.0.weight"], state["embed.out.0.bias"]) * 4  # the root of 16 channels
        for block in network.encoders:
            x = block(x, sine_positions(x.shape[1], 16, x.device))
        expected = F.layer_norm(x, (16,), state["after_norm.weight"], state["after_norm.bias"]).mT
    found = extractor(folder).extract(noise)
    assert found.shape == (1, 16, 48)
    torch.testing.assert_close(found, expected, **CLOSE)


def test_names_and_shapes_are_those_of_published_checkpoints():
    """The names of a U2++ Conformer of WenetSpeech, written out."""
    with torch.device("meta"):
        published = WeNetEncoder(Sizes(80, 512, 8, 2048, 12, 15, True, True, 1e-5)).state_dict()
    shapes = {name: tuple(value.shape) for name, value in published.items()}
    block = {
        "self_attn.pos_bias_u": (8, 64), "self_attn.pos_bias_v": (8, 64), "self_attn.linear_pos.weight": (512, 512),
        "conv_module.pointwise_conv1.weight": (1024, 512, 1), "conv_module.pointwise_conv1.bias": (1024,),
        "conv_module.depthwise_conv.weight": (512, 1, 15), "conv_module.depthwise_conv.bias": (512,),
        "conv_module.pointwise_conv2.weight": (512, 512, 1), "conv_module.pointwise_conv2.bias": (512,),
        "conv_module.norm.weight": (512,), "conv_module.norm.bias": (512,),
    }  # fmt: skip
    for part in "qkv":
        block |= {f"self_attn.linear_{part}.weight": (512, 512), f"self_attn.linear_{part}.bias": (512,)}
    block |= {"self_attn.linear_out.weight": (512, 512), "self_attn.linear_out.bias": (512,)}
    for part in ("feed_forward", "feed_forward_macaron"):
        block |= {f"{part}.w_1.weight": (2048, 512), f"{part}.w_1.bias": (2048,)}
        block |= {f"{part}.w_2.weight": (512, 2048), f"{part}.w_2.bias": (512,)}
    for norm in ("norm_ff", "norm_ff_macaron", "norm_mha", "norm_conv", "norm_final"):
        block |= {f"{norm}.weight": (512,), f"{norm}.bias": (512,)}
    expected = {
        "global_cmvn.mean": (80,), "global_cmvn.istd": (80,), "embed.conv.0.weight": (512, 1, 3, 3),
        "embed.conv.0.bias": (512,), "embed.conv.2.weight": (512, 512, 3, 3), "embed.conv.2.bias": (512,),
        "embed.out.0.weight": (512, 9728), "embed.out.0.bias": (512,), "after_norm.weight": (512,),
        "after_norm.bias": (512,),
    }  # fmt: skip
    expected |= {f"encoders.{number}.{name}": shape for number in range(12) for name, shape in block.items()}
    assert shapes == expected


def test_a_model_with_batch_norm_is_read(tmp_path, noise):
    left_out = ("causal", "cnn_module_norm", "activation_type", "selfattention_layer_type")
    settings = SETTINGS | {"encoder_conf": {name: value for name, value in CONF.items() if name not in left_out}}
    network = randomized(WeNetEncoder(Sizes(80, 16, 4, 24, 2, 15, False, False, 1e-5)))
    write_model(tmp_path, network, settings)
    with torch.no_grad():
        expected = network(kaldi_filterbank(noise, 80)).mT
    torch.testing.assert_close(extractor(tmp_path / "final.pt").extract(noise), expected, **CLOSE)


def test_padding_and_neighbours_change_nothing(tiny):
    part = extractor(tiny[0], window=2, overlap=1)
    wave = torch.randn(2, 100000, generator=torch.Generator().manual_seed(0)) * 0.1
    both = part.extract(wave, torch.tensor([100000, 70001]))
    assert both.shape == (2, 16, 155) and torch.isfinite(both).all()
    torch.testing.assert_close(both[1:, :, :108], part.extract(wave[1:, :70001]), atol=0, rtol=0)
    assert not both[1, :, 108:].any()
    assert (both[0] - extractor(tiny[0]).extract(wave[:1])[0]).abs().max() > 1e-3  # the windows are used


def test_the_feature_passes_the_conformance_kit(tiny, monkeypatch):
    """With weights; without them the kit only sees the error."""
    config = WeNet.Config(model=str(tiny[0]), dim=16)
    monkeypatch.setattr(WeNet, "example_config", classmethod(lambda cls: config), raising=False)
    check_feature(registry.find("features", "wenet"))


@pytest.mark.parametrize("samples", [1360, 1999, 2000, 2639, 2640, 16000])
def test_frames_are_those_that_lie_inside_the_recording(tiny, samples):
    part = extractor(tiny[0])
    assert part.extract(torch.zeros(1, samples)).shape[2] == part.frames(samples) == (samples - 1360) // 640 + 1


def test_frames_have_their_centres_where_it_is_stated(tiny):
    """Before the blocks, frame 5 sees a click exactly if it is in the 1360 samples around the stated centre."""
    part, embedded = extractor(tiny[0]), []
    start = round((part.first_centre + 5 * part.frame_shift) * 16000) - 1360 // 2
    for place in (None, start - 1, start, start + 1359, start + 1360):
        wave = torch.zeros(1, 8000)
        if place is not None:
            wave[0, place] = 0.5
        with torch.no_grad():
            embedded.append(tiny[1].embed(tiny[1].global_cmvn(kaldi_filterbank(wave, 80)))[0, 5])
    assert [not torch.equal(each, embedded[0]) for each in embedded[1:]] == [False, True, True, False]


def test_frames_of_40_ms_are_brought_to_the_frames_of_a_mel(tiny, noise):
    mel = MelConfig.preset("amphion_24k_100")
    part = extractor(tiny[0])
    found = at_mel_frames({"wenet": part.extract(noise)}, {"wenet": part}, mel, mel.frames(48000))
    assert found["wenet"].shape == (1, 16, mel.frames(48000))


@pytest.mark.parametrize(
    ("section", "name", "value", "words"),
    [
        ("encoder_conf", "input_layer", "conv2d6", "input_layer is 'conv2d6', and wenet reads only 'conv2d'"),
        ("encoder_conf", "activation_type", "relu", "reads only 'swish'"),
        ("encoder_conf", "macaron_style", False, "reads only True"),
        ("encoder_conf", "static_chunk_size", 16, "reads only 0"),
        ("encoder_conf", "pos_enc_layer_type", "abs_pos", "reads only 'rel_pos'"),
        ("encoder_conf", "cnn_module_norm", "rms_norm", "not batch_norm or layer_norm"),
        ("encoder_conf", "moe_layers", 3, "moe_layers is a setting that wenet does not know"),
        ("encoder_conf", "attention_heads", 5, "output_size is 16, not an even multiple of 5"),
        ("encoder_conf", "causal", "yes", "not true or false"),
        ("encoder_conf", "num_blocks", 0, "num_blocks is 0"),
        ("dataset_conf", "feats_type", "mfcc", "reads only 'fbank'"),
        ("dataset_conf", "fbank_conf", {"frame_shift": 12}, "frame_shift is 12, and wenet reads only 10"),
        ("dataset_conf", "fbank_conf", {"window_type": "hamming"}, "window_type is a setting"),
        ("dataset_conf", "resample_conf", {"resample_rate": 8000}, "reads only 16000"),
        (None, "encoder", "e_branchformer", "encoder is 'e_branchformer', and wenet reads only 'conformer'"),
    ],
)
def test_settings_of_another_encoder_are_refused(tmp_path, section, name, value, words):
    changed = {**SETTINGS, **({name: value} if section is None else {section: {**SETTINGS[section], name: value}})}
    path = tmp_path / "train.yaml"
    path.write_text(yaml.dump(changed))
    with pytest.raises(WeightsError, match=words) as found:
        read_sizes(path)
    assert str(path) in found.value.message and "\n" not in found.value.message


def test_an_even_kernel_needs_a_causal_convolution(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text(yaml.dump(SETTINGS | {"encoder_conf": {**CONF, "cnn_module_kernel": 8, "causal": False}}))
    with pytest.raises(WeightsError, match="cnn_module_kernel is 8; it must be odd"):
        read_sizes(path)


@pytest.mark.parametrize("text", ["- a list\n", "encoder: [\n"])
def test_a_file_without_settings_is_refused(tmp_path, text):
    (tmp_path / "train.yaml").write_text(text)
    with pytest.raises(WeightsError, match=r"train\.yaml"):
        read_sizes(tmp_path / "train.yaml")


def test_weights_that_are_not_there_are_one_sentence(tmp_path):
    wave = torch.zeros(1, 16000)
    with pytest.raises(WeightsError, match="wenet needs the folder of a published model"):
        FeaturePart.named("wenet").build().extract(wave)
    with pytest.raises(WeightsError, match=r"wenet needs the file .*final\.pt, which does not exist"):
        extractor(tmp_path).extract(wave)
    (tmp_path / "final.pt").touch()
    with pytest.raises(WeightsError, match=r"wenet needs the file .*train\.yaml"):
        extractor(tmp_path).extract(wave)
    assert extractor(tmp_path).variant == "" == FeaturePart.named("wenet").build().variant


def test_weights_that_do_not_fit_the_settings_are_refused(tiny, tmp_path):
    write_model(tmp_path, tiny[1], SETTINGS | {"encoder_conf": {**CONF, "num_blocks": 3}})
    with pytest.raises(WeightsError, match=r"encoders\.2\."):
        extractor(tmp_path).extract(torch.zeros(1, 16000))
    without = {name: value for name, value in torch.load(tiny[0] / "final.pt").items() if "global_cmvn" not in name}
    (tmp_path / "train.yaml").write_text(yaml.dump(SETTINGS))
    torch.save(without, tmp_path / "final.pt")
    with pytest.raises(WeightsError, match=r"global_cmvn\.istd"):
        extractor(tmp_path).extract(torch.zeros(1, 16000))
    with pytest.raises(WeightsError, match="give 16 channels, and the config states 512"):
        extractor(tiny[0], dim=512).extract(torch.zeros(1, 16000))
    with pytest.raises(AudioError, match="1359 samples are too few"):
        extractor(tiny[0]).extract(torch.zeros(1, 1359))


def test_the_variant_names_weights_and_settings(tiny, tmp_path):
    write_model(tmp_path, tiny[1], SETTINGS | {"encoder_conf": {**CONF, "causal": False}})
    first, second = (extractor(folder).variant.split() for folder in (tiny[0], tmp_path))
    assert len(first) == 3 and first[0].startswith("u2pp_conformer") and first[2] != second[2]
