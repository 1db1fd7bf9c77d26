"""VITS checkpoints of others: our own weights in each publisher's names come back, and what misfits is named.

The publishers' names are written out here a second time, in the other direction, so that a slip in one table shows.
"""

import re

import pytest
import torch

import amphion_core as amphion
from amphion_core.checkpoints.weight_names import G, V, to_folded, to_parametrized
from amphion_core.errors import AmphionError, RecipeError, WeightsError
from amphion_core.loading import convert
from amphion_tts.models.vits import VITS
from amphion_vocoders import HiFiGANGenerator

SYMBOLS = {"_": [0], "^": [1], "$": [2], "a": [3], "b": [4]}
PIPER = {"audio": {"sample_rate": 22050, "quality": "medium"}, "espeak": {"voice": "en-us"}, "phoneme_id_map": SYMBOLS}


def published(n_speakers: int = 1, **fields: object) -> VITS:
    """A small network with Piper's medium decoder, every weight random: zeros would hide a swapped pair."""
    net = VITS(
        VITS.Config(
            vocabulary=12, n_speakers=n_speakers, speaker_channels=8, latent_channels=8, hidden_channels=8,
            filter_channels=16, n_layers=1, channels=256, upsample_rates=(8, 8, 4), upsample_kernels=(16, 16, 8),
            resblock="2", resblock_kernels=(3, 5, 7), resblock_dilations=((1, 2), (2, 6), (3, 12)), **fields,
        )
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    return net.eval()


def official(net: VITS) -> dict[str, object]:
    """The authors' config of a network."""
    config = net.config
    return {
        "data": {
            "sampling_rate": config.mel.sample_rate, "filter_length": config.mel.n_fft, "hop_length": 256,
            "win_length": 1024, "n_mel_channels": 80, "mel_fmin": 0.0, "mel_fmax": None,
        },
        "model": {
            "upsample_rates": list(config.upsample_rates), "upsample_kernel_sizes": list(config.upsample_kernels),
            "resblock": config.resblock, "resblock_kernel_sizes": list(config.resblock_kernels),
            "resblock_dilation_sizes": [list(row) for row in config.resblock_dilations], "n_heads": config.n_heads,
        },
    }  # fmt: skip


def same(ours: VITS, net: VITS) -> None:
    """Equal weights, and the same speech of them."""
    before, after = to_folded(net.state_dict()), to_folded(ours.state_dict())
    for name, value in after.items():
        torch.testing.assert_close(value, before[name], atol=1e-6, rtol=1e-5)
    ids, lengths = torch.tensor([[1, 3, 4, 2]]), torch.tensor([4])
    speaker = torch.tensor([1]) if net.config.n_speakers > 1 else None
    one, other = (each.eval().synthesize(ids, lengths, speaker, seed=0).wave for each in (ours, net))
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def to_transformers(name: str) -> str:
    """The authors' name -> transformers' name."""
    layer = r"enc_p\.encoder\.{}\.(\d+)\."
    home = r"text_encoder.encoder.layers.\1."
    rules = (
        (r"enc_p\.emb\.", "text_encoder.embed_tokens."), (r"enc_p\.proj\.", "text_encoder.project."),
        (layer.format("attn_layers") + r"conv_([qkv])", home + r"attention.\2_proj"),
        (layer.format("attn_layers") + "conv_o", home + "attention.out_proj"),
        (layer.format("attn_layers") + "emb", home + "attention.emb"),
        (layer.format("ffn_layers"), home + "feed_forward."),
        (layer.format("norm_layers_1"), home + "layer_norm."),
        (layer.format("norm_layers_2"), home + "final_layer_norm."),
        (r"enc_q\.(pre|proj)\.", r"posterior_encoder.conv_\1."), (r"enc_q\.enc\.", "posterior_encoder.wavenet."),
        (r"flow\.flows\.(\d+)\.(pre|post)\.", lambda m: f"flow.flows.{int(m[1]) // 2}.conv_{m[2]}."),
        (r"flow\.flows\.(\d+)\.enc\.", lambda m: f"flow.flows.{int(m[1]) // 2}.wavenet."),
        (r"dp\.(post_)?flows\.(\d+)\.", lambda m: f"duration_predictor.{m[1] or ''}flows.{(int(m[2]) + 1) // 2}."),
        (r"dp\.(post_)?(pre|proj)\.", r"duration_predictor.\1conv_\2."),
        (r"dp\.(post_)?convs\.", r"duration_predictor.\1conv_dds."), (r"dp\.cond\.", "duration_predictor.cond."),
        (r"dec\.ups\.", "decoder.upsampler."), (r"dec\.", "decoder."), (r"emb_g\.", "embed_speaker."),
    )  # fmt: skip
    for pattern, replacement in rules:
        name, changed = re.subn("^" + pattern, replacement, name)
        if changed:
            break
    if name.startswith("duration_predictor"):
        name = re.sub(r"(flows\.\d+\.)(pre|proj)\.", r"\1conv_\2.", name).replace(".convs.", ".conv_dds.")
        name = name.replace("convs_sep", "convs_dilated").replace("convs_1x1", "convs_pointwise")
        name = re.sub(r"\.logs$", ".log_scale", re.sub(r"\.m$", ".translate", name))
    return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))


@pytest.fixture(scope="module")
def hugging_face(golden):
    """The reference weights under transformers' names: decoder folded, other weight norms apart."""
    state = {}
    for name, value in to_parametrized(golden("vits_small")["state_dict"], ()).items():
        theirs = to_transformers(name)
        attention = re.search(r"attention\.\w+_proj\.weight$", theirs)
        state[theirs] = value.squeeze(-1) if attention else value
    decoder = {name: value for name, value in state.items() if name.startswith("decoder.")}
    return {name: value for name, value in state.items() if name not in decoder} | to_folded(decoder)


def test_reference_numbers_under_the_names_of_transformers(golden, hugging_face, published_layout):
    case = golden("vits_small")
    shapes = {name: tuple(value.shape) for name, value in hugging_face.items()}
    assert shapes == published_layout("vits_transformers_small")
    net = amphion.import_model("tts/vits", hugging_face, layout="transformers", config=case["config"]["transformers"])
    x = case["inputs"]
    quiet = net.controls({"noise_scale": 0.0, "duration_noise_scale": 0.0})
    wave = net.synthesize(x["x"][:1], x["x_lengths"][:1], x["sid"][:1], controls=quiet).wave
    assert float((wave - case["outputs"]["infer1_wav"][:, 0]).abs().max()) < 1e-4


def test_a_transformers_decoder_saved_with_weight_norm_is_folded(golden, hugging_face):
    config = golden("vits_small")["config"]["transformers"]
    folded = convert("tts/vits", hugging_face, layout="transformers", config=config)
    for g, v in ((".weight_g", ".weight_v"), (G, V)):
        state = dict(hugging_face)
        for name in list(state):
            if re.match(r"decoder\.(upsampler|resblocks)\..*\.weight$", name):
                value = state.pop(name)
                state[name.removesuffix(".weight") + g] = torch.norm_except_dim(value, 2, 0)
                state[name.removesuffix(".weight") + v] = 3 * value  # a direction only
        again = convert("tts/vits", state, layout="transformers", config=config)
        for name, value in to_folded(folded.state_dict()).items():
            torch.testing.assert_close(to_folded(again.state_dict())[name], value, atol=1e-6, rtol=1e-5)


def test_a_transformers_config_that_shapes_do_not_show_is_refused(golden, hugging_face):
    config = golden("vits_small")["config"]["transformers"] | {"duration_predictor_tail_bound": 4.0}
    with pytest.raises(WeightsError, match=r"duration_predictor_tail_bound is 4\.0"):
        convert("tts/vits", hugging_face, layout="transformers", config=config)


@pytest.mark.parametrize("size", [7, 2**31 - 1])
@pytest.mark.parametrize("name", ["hidden_size", "ffn_dim", "num_hidden_layers", "num_attention_heads", "num_speakers"])
def test_a_size_that_the_tensors_contradict_is_refused_before_a_network_is_built(golden, hugging_face, name, size):
    config = golden("vits_small")["config"]["transformers"] | {name: size}
    with pytest.raises(WeightsError, match=rf"{name} is {size}; (in )?the checkpoint"):
        VITS.import_state_dict(hugging_face, layout="transformers", config=config)


def test_amphion_with_one_speaker_drops_its_dead_conditioning():
    net = published()
    state = to_folded(net.state_dict())
    dead = {
        "dec.cond.weight": (256, 8, 1), "dec.cond.bias": (256,), "dp.cond.weight": (8, 8, 1), "dp.cond.bias": (8,),
        "enc_q.enc.cond_layer.weight_g": (256, 1, 1), "enc_q.enc.cond_layer.weight_v": (256, 8, 1),
        "flow.flows.0.enc.cond_layer.bias": (64,),
    }  # fmt: skip
    preprocess = {"sample_rate": 24000, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "n_mel": 100, "fmax": 8000}
    config = {"preprocess": preprocess, "model": official(net)["model"]}
    full = {**state, **{name: torch.randn(shape) for name, shape in dead.items()}}
    ours = convert("tts/vits", full, layout="amphion", config=config)
    same(ours, net)
    assert (ours.config.mel.sample_rate, ours.config.mel.n_mels, ours.config.mel.fmax) == (24000, 100, 8000)


@pytest.mark.parametrize("n_speakers", [1, 3])
def test_a_piper_checkpoint_comes_back(n_speakers):
    net = published(n_speakers)
    state = {"model_g." + name: value for name, value in net.state_dict().items()}
    checkpoint = {"epoch": 1, "state_dict": {**state, "model_d.discriminators.0.bias": torch.zeros(3)}}
    ours = convert("tts/vits", checkpoint, layout="piper", config=PIPER | {"num_speakers": n_speakers})
    same(ours, net)
    assert ours.config.posterior
    frontend = ours.config.frontend
    assert frontend.name == "espeak" and frontend.config.symbols == ("_", "^", "$", "a", "b")
    assert ours.config.vocabulary == 12  # more rows than symbols


@pytest.mark.parametrize(
    ("stated", "names"),
    [
        ({"speaker_id_map": {"p1": 1, "p0": 0, "p2": 2}}, ("p0", "p1", "p2")),
        ({"speakers": ["ann", "ben"]}, ("ann", "ben", "2")),
        ({"spk2id": {"cleo": 2}}, ("0", "1", "cleo")),
        ({}, ("0", "1", "2")),
    ],
)
def test_the_publishers_names_of_speakers_are_kept_and_the_others_are_numbers(stated, names):
    state = {"model_g." + name: value for name, value in published(3).state_dict().items()}
    ours = convert("tts/vits", {"state_dict": state}, layout="piper", config=PIPER | {"num_speakers": 3, **stated})
    assert ours.config.speakers == names


def test_a_speaker_that_the_checkpoint_does_not_have_is_refused():
    config = official(published(3)) | {"speakers": {"ann": 3}}
    with pytest.raises(WeightsError, match="names speaker 3, the checkpoint has 3 speakers"):
        convert("tts/vits", {"model": published(3).state_dict()}, layout="jaywalnut310", config=config)


@pytest.mark.parametrize("n_speakers", [1, 3])
def test_a_piper_onnx_voice_comes_back_and_cannot_be_trained(n_speakers):
    net = published(n_speakers)
    absent = ("enc_q.", "dp.post_", "dp.flows.1.")
    state = {name: value for name, value in to_folded(net.state_dict()).items() if not name.startswith(absent)}
    state["/dp/flows.0/Exp_output_0"] = torch.exp(-state.pop("dp.flows.0.logs"))[None]
    state["onnx::Slice_17"] = torch.zeros(1, dtype=torch.long)
    if n_speakers == 1:  # the name of an input that such a voice lacks slips to the embedding
        state["sid"] = state.pop("enc_p.emb.weight")
    ours = convert("tts/vits", state, layout="piper", config=PIPER | {"num_speakers": n_speakers})
    same(ours, net)
    with pytest.raises(WeightsError, match="no posterior encoder"):
        ours(**ours.example_inputs())
    spec = torch.zeros(1, 513, 4)
    with pytest.raises(WeightsError, match="cannot convert voices"):
        ours.convert(spec, torch.tensor([4]), torch.tensor([0]), torch.tensor([0]))


def test_a_deterministic_duration_predictor_is_recognised():
    net = published(stochastic_duration=False, duration_width=16)
    ours = convert("tts/vits", {"model": net.state_dict()}, layout="jaywalnut310", config=official(net))
    same(ours, net)


def test_every_key_that_misfits_is_named():
    net = published()
    state = net.state_dict()
    changes = {
        "unexpected: enc_p.extra": {"enc_p.extra": torch.zeros(1)},
        r"of another shape: dec\.conv_pre\.bias \(3, the network has 256\)": {"dec.conv_pre.bias": torch.zeros(3)},
    }
    for message, change in changes.items():
        with pytest.raises(WeightsError, match=message):
            convert("tts/vits", {**state, **change}, layout="jaywalnut310", config=official(net))


def test_a_config_that_contradicts_itself_is_one_clear_error():
    net = published()
    config = official(net)
    config["data"]["hop_length"] = 300
    with pytest.raises(RecipeError, match=r"layout jaywalnut310.*\n.*product 256 is not mel\.hop_length 300"):
        convert("tts/vits", {"model": net.state_dict()}, layout="jaywalnut310", config=config)


@pytest.mark.parametrize("layout", VITS.layouts)
def test_an_empty_config_says_what_it_lacks(layout):
    with pytest.raises(WeightsError, match=r"does not state (model_args\.)?(upsample_rates|phoneme_id_map)"):
        state = published().state_dict()
        state = {"text_encoder.emb.weight": state["enc_p.emb.weight"]} if layout == "coqui" else state
        convert("tts/vits", state, layout=layout, config={})


def test_the_decoders_fields_are_those_of_the_generator_and_stay_flat():
    fields = HiFiGANGenerator.Config.model_fields
    assert issubclass(VITS.Config, HiFiGANGenerator.Config)
    assert not set(VITS.Config.__annotations__) & (fields.keys() - {"mel"})  # stated once
    assert fields.keys() <= published().config.model_dump().keys()
    with pytest.raises(ValueError, match="every block needs at least one dilation"):
        VITS.Config(vocabulary=3, resblock_kernels=(), resblock_dilations=())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"resblock_dilations": [[1, 3, 0]] * 3}, "resblock_dilations: 0 is not from 1 to 1000"),
        ({"resblock_dilations": [[1, 3, 2**31 - 1]] * 3}, "resblock_dilations: 2147483647 is not from 1 to 1000"),
        ({"resblock_kernels": [3, 7, -3]}, "resblock_kernels: -3 is not from 1 to 1000"),
        ({"upsample_rates": [-8, -8, 2, 2]}, "upsample_rates: -8 is not above 0"),
    ],
)
def test_a_decoder_that_torch_could_not_run_is_refused_with_its_config(fields, message):
    for model in ("tts/vits", "vocoder/hifigan"):
        with pytest.raises(RecipeError, match=message):
            amphion.build(model, **fields)


WRONG = (None, 0, -3, 7, True, 0.5, float("nan"), 10**400, 1e300, "", "words", [], [1, "x"], [[0]], {}, {"a": 1}, ...)


def replaced(config, path, value):
    """``config`` with another value at ``path``; ``...`` removes it."""
    name, *rest = path
    if rest:
        return config | {name: replaced(config[name], rest, value)}
    without = {key: stated for key, stated in config.items() if key != name}
    return without if value is ... else without | {name: value}


@pytest.mark.parametrize("layout", ["jaywalnut310", "amphion", "transformers"])
def test_any_value_in_place_of_any_other_gives_a_network_or_one_error(layout, golden, hugging_face):
    """Each value of a publisher's config is replaced by each of ``WRONG``; the last one removes it."""
    net = published(3)
    state, config = net.state_dict(), official(net) | {"speakers": ["ann", "ben", "cleo"]}
    if layout == "amphion":
        config["preprocess"] = {"sample_rate": 24000, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "n_mel": 100}
    if layout == "transformers":
        state, config = hugging_face, golden("vits_small")["config"]["transformers"]
    VITS.import_state_dict(state, layout=layout, config=config)
    read = re.compile(
        r"(text_encoder\.embed|enc_p\.(emb|proj)|emb_g|enc_q\.pre|dec\.conv_pre)"
    )  # the others show nothing
    state = {name: value for name, value in state.items() if read.match(name)}
    paths = [(name,) for name in config]
    paths += [(name, inner) for name in config if isinstance(config[name], dict) for inner in config[name]]
    outcomes = []
    for path in paths:
        for value in WRONG:
            try:
                VITS.import_state_dict(state, layout=layout, config=replaced(config, path, value))
            except AmphionError as error:
                assert len(str(error)) < 1000, path
                outcomes.append(False)
            else:
                outcomes.append(True)
    assert len(outcomes) == len(paths) * len(WRONG) > 200
    assert outcomes.count(False) > 50
