"""FastSpeech 2 checkpoints of others: both layouts, their config files, and what misfits is named."""

import json

import pytest
import torch
import yaml

import amphion_core as amphion
from amphion_core.api import FrontendPart, MelConfig
from amphion_core.checkpoints.weight_names import check_keys, expected_shapes
from amphion_core.cli.main import main
from amphion_core.errors import WeightsError
from amphion_tts.frontends.amphion_symbols import AMPHION, MING024
from amphion_tts.models.fastspeech2 import FastSpeech2
from amphion_tts.models.fastspeech2_modules import positions

PREPROCESS = {
    "preprocessing": {
        "text": {"text_cleaners": ["english_cleaners"], "language": "en"},
        "audio": {"sampling_rate": 22050, "max_wav_value": 32768.0},
        "stft": {"filter_length": 1024, "hop_length": 256, "win_length": 1024},
        "mel": {"n_mel_channels": 80, "mel_fmin": 0, "mel_fmax": 8000},
        "pitch": {"feature": "phoneme_level", "normalization": True},
        "energy": {"feature": "frame_level", "normalization": True},
    }
}
STATISTICS = {"pitch": [-2.9, 11.4, 207.6, 46.3], "energy": [-1.4, 8.0, 37.3, 26.0]}
ARGS = {
    "preprocess": {
        "sample_rate": 22050, "n_fft": 1024, "win_size": 1024, "hop_size": 256, "n_mel": 80, "fmin": 0, "fmax": 8000,
        "phone_extractor": "lexicon", "use_frame_pitch": False, "use_frame_energy": True, "mel_extract_mode": "",
    },
    "model": {"transformer": {"encoder_head": 2, "decoder_head": 2}},
}  # fmt: skip


def checkpoint(vocabulary=361, **changes):
    """A small network with random weights in the names of the publishers, with their position tables."""
    net = FastSpeech2(
        FastSpeech2.Config(
            vocabulary=vocabulary, hidden_channels=16, encoder_layers=1, decoder_layers=2, filter_channels=8,
            predictor_channels=8, n_bins=16, postnet_channels=8, pitch_range=(-2, 8), **changes,
        )
    )  # fmt: skip
    state = {name: torch.randn_like(value) if value.dim() > 1 else value for name, value in net.state_dict().items()}
    table = positions(1001, 16, torch.device("cpu"))[None].clone()
    return state | {"encoder.position_enc": table, "decoder.position_enc": table.clone()}


def read(state, layout="ming024", **config):
    return amphion.import_model("tts/fastspeech2", state, layout=layout, config=config)


def test_every_tensor_of_the_published_layout_is_ours(published_layout):
    theirs = published_layout("fastspeech2")
    counters = ("running_mean", "running_var", "num_batches_tracked")
    sizes = {name: torch.Size(shape).numel() for name, shape in theirs.items() if not name.endswith(counters)}
    assert sum(sizes.values()) == 35_159_361
    state = {name: torch.zeros(()).expand(shape) for name, shape in theirs.items()}
    for name in ("encoder.position_enc", "decoder.position_enc"):
        state[name] = positions(1001, 256, torch.device("cpu"))[None]
    for name in ("variance_adaptor.pitch_bins", "variance_adaptor.energy_bins"):
        state[name] = torch.linspace(-2.9, 11.4, 255)
    config, tensors = FastSpeech2.import_state_dict(state, layout="ming024")
    check_keys(tensors, expected_shapes(lambda: FastSpeech2(config)), "FastSpeech 2")
    assert config.frontend.config.symbols == MING024
    stated = FastSpeech2.Config(vocabulary=361)
    sizes = ("hidden_channels", "encoder_layers", "decoder_layers", "n_heads", "filter_channels", "kernels", "dropout")
    for name in (*sizes, "predictor_channels", "predictor_kernel", "predictor_dropout", "n_bins", "postnet_channels"):
        assert getattr(config, name) == getattr(stated, name)


def test_the_command_converts_ming024s_files(tmp_path, capsys):
    state = checkpoint(speakers=("LJSpeech", "other"))
    wrapped = {"model": {f"module.{name}": value for name, value in state.items()}, "optimizer": {"step": 1}}
    torch.save(wrapped, tmp_path / "900000.pth.tar")
    model = {
        "transformer": {"encoder_layer": 1, "decoder_layer": 2, "encoder_head": 4, "decoder_head": 4,
                        "encoder_hidden": 16, "conv_filter_size": 8, "conv_kernel_size": [9, 1]},
        "variance_predictor": {"filter_size": 8, "kernel_size": 3, "dropout": 0.5},
        "variance_embedding": {"pitch_quantization": "linear", "n_bins": 16}, "max_seq_len": 1000,
    }  # fmt: skip
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(model))
    (tmp_path / "preprocess.yaml").write_text(yaml.safe_dump(PREPROCESS))
    (tmp_path / "stats.json").write_text(json.dumps(STATISTICS))
    (tmp_path / "speakers.json").write_text(json.dumps({"other": 1, "LJSpeech": 0}))
    files = ("preprocess=preprocess.yaml", "statistics=stats.json", "speakers=speakers.json")
    words = [word for file in files for word in ("--file", file.replace("=", f"={tmp_path}/"))]
    words = ["convert", "tts/fastspeech2", f"{tmp_path}/900000.pth.tar", *words, "--config", f"{tmp_path}/model.yaml"]
    assert main([*words, "--layout", "ming024", "-o", f"{tmp_path}/out"]) == 0, capsys.readouterr().err
    net = amphion.load(str(tmp_path / "out"))
    c = net.config
    assert c.mel == MelConfig.preset("tacotron2_22k_80") and c.speakers == ("LJSpeech", "other") and c.n_heads == 4
    assert (c.pitch_level, c.energy_level) == ("token", "frame") and c.pitch_range == (-2.0, 8.0)
    assert (c.pitch_mean, c.pitch_std, c.energy_mean, c.energy_std) == (207.6, 46.3, 37.3, 26.0)
    for name, value in net.state_dict().items():
        assert torch.equal(value, state[name])
    assert c.frontend.name == "amphion_symbols" and c.frontend.build().ids(["@sp"]) == [357]


def test_an_amphion_folder_with_its_statistics(tmp_path, capsys):
    folder = tmp_path / "experiment" / "checkpoint" / "epoch-0100_step-0061300"
    folder.mkdir(parents=True)
    torch.save(checkpoint(vocabulary=152), folder / "pytorch_model.bin")
    (tmp_path / "experiment" / "args.json").write_text(json.dumps(ARGS))
    table = {"LJSpeech_LJSpeech": {"voiced_positions": {"mean": 207.6, "std": 46.3}, "total_positions": {"min": 0}}}
    (tmp_path / "statistics.json").write_text(json.dumps(table))
    words = ["convert", "tts/fastspeech2", str(folder), "--file", f"pitch_statistics={tmp_path}/statistics.json"]
    assert main([*words, "--layout", "amphion", "-o", f"{tmp_path}/out"]) == 0, capsys.readouterr().err
    c = amphion.load(str(tmp_path / "out")).config
    assert c.mel == MelConfig.preset("hifigan_22k_80") and (c.pitch_level, c.energy_level) == ("token", "frame")
    assert (c.pitch_mean, c.pitch_std, c.energy_mean) == (207.6, 46.3, None) and c.speakers == ()
    assert c.frontend.config.symbols == AMPHION
    taco = {**ARGS, "preprocess": {**ARGS["preprocess"], "mel_extract_mode": "taco", "phone_extractor": "espeak"}}
    c = read(checkpoint(vocabulary=152), "amphion", **taco).config
    assert c.mel == MelConfig.preset("tacotron2_22k_80") and c.frontend is None


def test_position_tables_of_any_length_are_replaced_and_learned_ones_refused():
    state = checkpoint()
    state["decoder.position_enc"] = positions(3000, 16, torch.device("cpu"))[None].clone()
    net = read(state)
    assert not any("position" in name for name in net.state_dict())
    state["encoder.position_enc"] = torch.randn(1, 1001, 16)
    with pytest.raises(WeightsError, match="position_enc does not hold sines and cosines"):
        read(state)


def test_our_fields_replace_the_publishers():
    net = read(checkpoint(), frontend={"name": "cmudict", "blank": None}, mel="hifigan_22k_80")
    assert net.config.frontend.name == "cmudict" and net.config.mel == MelConfig.preset("hifigan_22k_80")


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("mel_linear.bias", {}, "1 missing: mel_linear.bias"),
        ("variance_adaptor.pitch_bins", {}, "no edges variance_adaptor.pitch_bins"),
        ("mel_linear.weight", {}, "no FastSpeech 2 checkpoint of the layout 'ming024'"),
        (None, {"transformer": {"encoder_layer": 4}}, "transformer.encoder_layer is 4; in the checkpoint it is 1"),
        (None, {"transformer": {"decoder_head": 4}}, "decoder_head is not 2, the encoder's"),
        (None, {"preprocess": ARGS["preprocess"]}, "preprocess has no section preprocessing"),
        (None, {"statistics": {"pitch": [0, 1]}}, "statistics.pitch is .* not a list of minimum, maximum, mean"),
        (
            None,
            {"preprocessing": {"mel": {"n_mel_channels": 100}}},
            "n_mel_channels is 100; in the checkpoint it is 80",
        ),
        (
            None,
            {"preprocessing": {"pitch": {"feature": "word"}}},
            "feature is 'word', not phoneme_level or frame_level",
        ),
        (None, {"speakers": {"ann": 3}}, "names speaker 3, the checkpoint has 1 speaker"),
    ],
)
def test_what_misfits_is_named(name, config, message):
    state = checkpoint()
    state.pop(name, None)
    with pytest.raises(WeightsError, match=message):
        read(state, **config)


def test_an_unexpected_tensor_is_named():
    with pytest.raises(WeightsError, match=r"1 unexpected: encoder\.gst\.weight"):
        read(checkpoint() | {"encoder.gst.weight": torch.zeros(2)})


def test_english_becomes_symbols_of_the_published_order():
    frontend = FrontendPart.named("amphion_symbols").build()
    assert len(AMPHION) == 151 and AMPHION[:3] == ("_", "-", "!") and AMPHION[-3:] == ("@sp", "@spn", "@sil")
    assert len(MING024) == 360 and MING024[148:150] == ("@b", "@c") and MING024[-4:] == ("@rr", "@sp", "@spn", "@sil")
    tokens = frontend.tokens("Well, hello there!")
    assert tokens == ["@W", "@EH1", "@L", "@sp", "@HH", "@AH0", "@L", "@OW1", "@DH", "@EH1", "@R"]
    assert frontend.ids(tokens[:4]) == [AMPHION.index(symbol) for symbol in tokens[:4]] == [144, 94, 117, 148]
    assert frontend.phones("HH AH0 L OW1 | W ER1 L D")[3:5] == ["@OW1", "@W"]
