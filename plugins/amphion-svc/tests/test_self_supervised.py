"""HuBERT, ContentVec and WavLM: agreement with transformers, layouts, lengths, windows, and clear errors."""

import json

import pytest
import torch

from amphion_core.api import FeaturePart
from amphion_core.errors import AudioError, WeightsError
from amphion_svc.features.windows import in_windows, window_starts

CLOSE = {"atol": 2e-5, "rtol": 0}  # float32, the same operations in another order


def extractor(name, folder, **fields):
    return FeaturePart.named(name, model=str(folder), **{"dim": 16, "layer": 3, **fields}).build()


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_every_layer_of_hubert_is_that_of_transformers(tiny_hubert, noise, layer):
    folder, network = tiny_hubert
    with torch.no_grad():
        expected = network(noise, output_hidden_states=True).hidden_states[layer].mT
    torch.testing.assert_close(extractor("hubert", folder, layer=layer).extract(noise), expected, **CLOSE)


@pytest.mark.parametrize("layer", [1, 3])
def test_every_layer_of_wavlm_is_that_of_transformers(tiny_wavlm, noise, layer):
    folder, network = tiny_wavlm
    with torch.no_grad():
        expected = network(noise, output_hidden_states=True).hidden_states[layer].mT
    torch.testing.assert_close(extractor("wavlm", folder, layer=layer).extract(noise), expected, **CLOSE)


def test_contentvec_projects_the_layer(tiny_hubert, noise):
    folder, network = tiny_hubert
    with torch.no_grad():
        hidden = network(noise, output_hidden_states=True).hidden_states
        last, second = (network.final_proj(hidden[layer]).mT for layer in (3, 2))
    torch.testing.assert_close(extractor("contentvec", folder, dim=6).extract(noise), last, **CLOSE)
    torch.testing.assert_close(extractor("contentvec", folder, dim=6, layer=2).extract(noise), second, **CLOSE)


def fairseq_names(state):
    """The inverse of the renaming, by plain replacements, from the documented correspondence of the two libraries."""
    pairs = [
        ("feature_projection.projection", "post_extract_proj"), ("feature_projection.layer_norm", "layer_norm"),
        ("encoder.pos_conv_embed.conv.parametrizations.weight.original0", "encoder.pos_conv.0.weight_g"),
        ("encoder.pos_conv_embed.conv.parametrizations.weight.original1", "encoder.pos_conv.0.weight_v"),
        ("encoder.pos_conv_embed.conv", "encoder.pos_conv.0"), (".attention.", ".self_attn."),
        (".feed_forward.intermediate_dense", ".fc1"), (".feed_forward.output_dense", ".fc2"),
        ("conv_layers.0.layer_norm", "conv_layers.0.2"), ("masked_spec_embed", "mask_emb"),
    ]  # fmt: skip
    found = {}
    for name, value in state.items():
        if ".layers." in name and ".final_layer_norm" not in name:
            name = name.replace(".layer_norm.", ".self_attn_layer_norm.")
        if "conv_layers" in name:
            name = name.replace(".conv.", ".0.")
        for ours, theirs in pairs:
            name = name.replace(ours, theirs)
        found[name] = value
    return found


def test_the_authors_checkpoint_of_fairseq_gives_the_same_numbers(tiny_hubert, noise, tmp_path):
    folder, network = tiny_hubert
    state = fairseq_names(network.state_dict()) | {"label_embs_concat": torch.zeros(504, 256)}
    assert "encoder.layers.0.self_attn_layer_norm.weight" in state and "encoder.pos_conv.0.weight_g" in state
    torch.save({"args": None, "model": state}, tmp_path / "checkpoint_best_legacy_500.pt")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    both = [extractor("contentvec", place, dim=6).extract(noise) for place in (folder, tmp_path)]
    torch.testing.assert_close(both[0], both[1], atol=0, rtol=0)


def test_a_network_inside_a_model_with_a_head_is_found(tiny_hubert, noise, tmp_path):
    from transformers import HubertForCTC

    folder, network = tiny_hubert
    whole = HubertForCTC(network.config)
    whole.hubert.load_state_dict({key: value for key, value in network.state_dict().items() if "final" not in key[:6]})
    whole.save_pretrained(tmp_path)
    both = [extractor("hubert", place).extract(noise) for place in (folder, tmp_path)]
    torch.testing.assert_close(both[0], both[1], atol=0, rtol=0)


def test_recordings_are_normalised_where_the_model_was_trained_so(tiny_hubert, noise, tmp_path):
    from transformers import Wav2Vec2FeatureExtractor

    folder, network = tiny_hubert
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
    inputs = Wav2Vec2FeatureExtractor()(noise[0].numpy(), sampling_rate=16000, return_tensors="pt").input_values
    with torch.no_grad():
        expected = network(inputs).last_hidden_state.mT
    torch.testing.assert_close(extractor("hubert", tmp_path).extract(noise), expected, **CLOSE)
    raw = extractor("hubert", tmp_path, normalize=False).extract(noise)
    assert (raw - expected).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["hubert", "wavlm"])
def test_padding_and_neighbours_change_nothing(name, tiny_hubert, tiny_wavlm):
    folder = {"hubert": tiny_hubert, "wavlm": tiny_wavlm}[name][0]
    part = extractor(name, folder)
    wave = torch.randn(2, 12345, generator=torch.Generator().manual_seed(0))
    wave[1, 5000:5100] = 0  # digital silence inside a recording is not padding
    both = part.extract(wave, torch.tensor([12345, 7000]))
    alone = part.extract(wave[1:, :7000])
    assert both.shape == (2, 16, part.frames(12345)) and part.frames(12345) == (12345 - 400) // 320 + 1
    torch.testing.assert_close(both[1:, :, : alone.shape[2]], alone, atol=0, rtol=0)
    assert not both[1, :, alone.shape[2] :].any()


def test_long_recordings_are_computed_in_windows_that_fit_together(tiny_hubert):
    part = extractor("hubert", tiny_hubert[0], window=1.0, overlap=0.5)
    wave = torch.randn(1, 16000 * 5, generator=torch.Generator().manual_seed(0))
    found = part.extract(wave)
    assert found.shape[2] == part.frames(80000)
    first = part.extract(wave[:, : 49 * 320 + 400])  # the first window alone, 50 frames
    torch.testing.assert_close(found[:, :, :25], first[:, :, :25], **CLOSE)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_windows_cover_everything_and_weights_sum_to_one(most):
    frames = torch.arange(25.0).repeat(3, 1)
    assert window_starts(25, 10, 2) == [0, 8, 15]
    found = in_windows(lambda starts: torch.stack([frames[:, i : i + 10] for i in starts]), 25, 10, 2, most=most)
    torch.testing.assert_close(found, frames)


def test_two_windows_fade_into_one_another():
    found = in_windows(lambda starts: torch.stack([torch.full((1, 4), i / 2) for i in starts]), 6, 4, 2, most=1)
    torch.testing.assert_close(found[0], torch.tensor([0, 0, 1 / 3, 2 / 3, 1, 1]))


def test_the_variant_identifies_the_weights(tiny_hubert, tmp_path):
    one = extractor("hubert", tiny_hubert[0]).variant
    assert one.startswith(tiny_hubert[0].name) and len(one.split()[-1]) == 16
    assert extractor("hubert", tmp_path / "absent").variant == ""


@pytest.mark.parametrize(
    ("fields", "message", "hint"),
    [
        ({"layer": 4}, "has 3 layers, and the config asks for layer 4", "at most 3"),
        ({"dim": 768}, "give 16 channels, and the config states 768", "dim=16"),
        ({"model": "lengyue233/content-vec-best"}, "which are not here", "hf download lengyue233/content-vec-best"),
        ({"model": "nowhere"}, "no such folder or file", "set the field model of hubert"),
    ],
)
def test_what_does_not_fit_is_one_sentence_with_the_next_step(tiny_hubert, noise, fields, message, hint):
    with pytest.raises(WeightsError, match=message) as found:
        extractor(
            "hubert", **{"folder": tiny_hubert[0], **fields} if "model" not in fields else {"folder": fields["model"]}
        ).extract(noise)
    assert hint in str(found.value.hint)


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (torch.zeros(1, 399), "399 samples are too few"),
        (torch.zeros(16000), "must be floats of shape"),
        (torch.full((1, 16000), torch.nan), "not finite"),
    ],
)
def test_audio_that_cannot_be_used_is_refused(tiny_hubert, wave, message):
    with pytest.raises(AudioError, match=message):
        extractor("hubert", tiny_hubert[0]).extract(wave)
