"""VitsSVC: reference numbers, every decoder, published names, the F0 of slices, and what wrong configs say."""

import math

import pytest
import torch

import amphion_core as amphion
from amphion_core.api import MelConfig
from amphion_core.errors import RecipeError, WeightsError
from amphion_core.loading import convert
from amphion_core.modules.masks import length_mask
from amphion_svc.models.vits import VitsSVC
from amphion_svc.models.vits_parts import DECODERS, DecoderPart

TINY = VitsSVC.example_config().model_dump(mode="json")
STAGES = {"channels": 16, "upsample_rates": [8, 8], "upsample_kernels": [16, 16]}
BLOCKS = {"resblock_kernels": [3], "resblock_dilations": [[1, 3]]}
SMALL = {
    "vocoder/nsf_hifigan": STAGES | BLOCKS, "vocoder/hifigan": STAGES | BLOCKS, "vocoder/bigvgan": STAGES | BLOCKS,
    "vocoder/melgan": {"channels": 16, "upsample_rates": [8, 8], "residual_layers": 1},
    "vocoder/apnet": {"channels": 8} | BLOCKS,
    "vocoder/vocos": {"channels": 8, "inner_channels": 16, "layers": 1},
}  # fmt: skip


def tiny(decoder="vocoder/hifigan", **changes):
    """The example with another decoder. The same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = amphion.build("svc/vits", **TINY | {"decoder": {"name": decoder, **SMALL[decoder]}} | changes)
        for parameter in net.flow.parameters():  # a new flow is the identity
            torch.nn.init.normal_(parameter, 0, 0.1)
    return net.eval()


def converted(net, **changes):
    inputs = net.example_inputs()
    del inputs["spec"]
    return net.convert(**inputs | changes).wave


@pytest.fixture(scope="module")
def case(golden):
    return golden("vits_small")


@pytest.fixture(scope="module")
def reference(case):
    """VitsSVC with the posterior encoder, the flow and the prior of a VITS, whose text has the place of the content."""
    mel = MelConfig.preset("vits_22k_80").replace(n_fft=64, win_length=64, hop_length=32, n_mels=8)
    net = amphion.build(
        "svc/vits", mel=mel, content=[{"name": "mel", "mel": mel}], condition_channels=32, latent_channels=32,
        hidden_channels=32, filter_channels=64, n_layers=2, n_speakers=3, speaker_channels=16,
        decoder={"name": "vocoder/hifigan", "channels": 32, "upsample_rates": [8, 4], "upsample_kernels": [16, 8]},
    ).eval()  # fmt: skip
    state = {name: value for name, value in net.state_dict().items() if name.startswith(("condition.", "dec."))}
    theirs = convert_names({n: v for n, v in case["state_dict"].items() if n.startswith(("enc_", "flow.", "emb_g."))})
    del theirs["enc_p.emb.weight"]
    net.load_state_dict(state | theirs)
    return net


def convert_names(state):
    """Old names of weight norms -> new ones."""
    pairs = (("weight_g", "parametrizations.weight.original0"), ("weight_v", "parametrizations.weight.original1"))
    for old, new in pairs:
        state = {name.replace(old, new): value for name, value in state.items()}
    return state


def test_posterior_flow_and_prior_are_those_of_the_reference(case, reference):
    given, wanted = case["inputs"], case["outputs"]
    g = reference.emb_g(given["sid"])[..., None]
    mask = length_mask(given["y_lengths"], given["spec_in"].shape[2])
    with torch.no_grad():
        z, m_q, logs_q = reference.enc_q(given["spec_in"], mask, g, given["q_noise"])
        z_p = reference.flow(z, mask, g)
        text = case["state_dict"]["enc_p.emb.weight"][given["x"]] * math.sqrt(32)
        m_p, logs_p = reference.enc_p(text.mT, length_mask(given["x_lengths"], text.shape[1]))
        back = reference.flow.reverse(z_p, mask, g)
    found = {"g": g, "z": z, "m_q": m_q, "logs_q": logs_q, "z_p": z_p, "m_p": m_p, "logs_p": logs_p}
    for name, value in found.items():
        assert (value - wanted[name]).abs().max() < 1e-5, name
    assert (back - z).abs().max() < 1e-5


def test_the_published_sizes():
    with torch.device("meta"):
        net = amphion.build("svc/vits@nsf_hifigan", n_speakers=512)
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in net.named_children()}
    millions = {name: round(value / 1e6, 1) for name, value in count.items()}
    assert millions == {"condition": 0.9, "emb_g": 0.1, "enc_p": 7.4, "enc_q": 31.9, "flow": 31.5, "dec": 32.8}
    unused = 256 * 384 + 255  # enc_p.f0_emb and the borders of loudness
    assert round((sum(count.values()) + unused) / 1e6, 1) == 104.7


@pytest.mark.parametrize("name", DECODERS)
def test_every_decoder_makes_the_wave_and_learns(name):
    net = tiny(name)
    inputs = net.example_inputs()
    out = net.train()(**inputs)
    assert out.wave.shape == (2, 1, net.config.segment * 64)
    out.wave.square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.dec.parameters())
    made = converted(net.eval(), seed=1)
    assert made.shape == (2, 12 * 64) and made.abs().max() <= 1 and not made[1, 8 * 64 :].any()
    stored = net.config.model_dump(mode="json")
    assert "mel" not in stored["decoder"] and VitsSVC.Config.model_validate(stored) == net.config


def test_the_decoder_gets_the_f0_of_its_slice():
    net, seen = tiny("vocoder/nsf_hifigan"), []
    net.dec.register_forward_pre_hook(lambda _, given: seen.append(given))
    inputs = net.example_inputs() | {"f0": torch.arange(24.0).reshape(2, 12) + 100}
    out = net(**inputs, starts=torch.tensor([3, 0]))
    z, f0 = seen[0]
    assert torch.equal(f0, torch.stack([inputs["f0"][0, 3:11], inputs["f0"][1, :8]]))
    assert torch.equal(z, torch.stack([out.z[0, :, 3:11], out.z[1, :, :8]]))


def test_without_noise_the_seed_changes_nothing():
    net = tiny()
    quiet, other = net.controls({"noise_scale": 0}), net.controls({"noise_scale": 2})
    assert torch.equal(converted(net, seed=1, controls=quiet), converted(net, seed=2, controls=quiet))
    assert not torch.equal(converted(net, seed=1), converted(net, seed=2))
    assert not torch.equal(converted(net, seed=1), converted(net, seed=1, controls=other))


def test_singer_and_melody_change_the_wave():
    net = tiny("vocoder/nsf_hifigan")
    same = converted(net, seed=1)
    assert not torch.equal(same, converted(net, seed=1, speaker=torch.tensor([1, 0])))
    assert not torch.equal(same, converted(net, seed=1, f0=2 * net.example_inputs()["f0"]))


def test_a_voice_may_be_a_vector():
    net = tiny(n_speakers=1, speakers=(), speaker_f0=(), voice={"name": "world_voice", "mel": TINY["mel"]})
    size = net.config.voice.build().dim
    first, second = (converted(net, seed=1, speaker=torch.full((2, size), value)) for value in (0.0, 0.1))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        ({"name": "vocoder/wavenet"}, "vocoder/wavenet reads no latent"),
        ({"name": "vocoder/hifigan", "mel": "hifigan_22k_80"}, "leave it out"),
        ({"name": "vocoder/hifigan", "upsample_rates": [4, 4], "upsample_kernels": [8, 8]}, "product 16 is not"),
    ],
)
def test_a_decoder_that_does_not_fit_is_refused(decoder, message):
    with pytest.raises(RecipeError, match=message):
        amphion.build("svc/vits", **TINY | {"decoder": decoder})


def test_a_decoder_given_as_a_part_reads_the_latent_too():
    part = DecoderPart.named("vocoder/hifigan", mel="hifigan_22k_80")
    net = VitsSVC.Config(latent_channels=128, decoder=part)
    assert net.decoder.config.mel == net.mel.replace(n_mels=128)


def published(net):
    """A network's tensors and its config as Amphion stores them."""
    names = {
        "condition.content.contentvec.": "condition_encoder.contentvec_encoder.nn.",
        "condition.melody.": "condition_encoder.melody_encoder.nn.",
        "condition.unvoiced.": "condition_encoder.melody_encoder.uv_embedding.",
        "condition.speaker.": "condition_encoder.singer_encoder.nn.",
        "enc_p.encoder.": "enc_p.enc_.", "dec.generator.": "dec.", "dec.source.": "dec.",
    }  # fmt: skip
    state = {}
    for name, value in net.state_dict().items():
        head = next((head for head in names if name.startswith(head)), "")
        theirs = names.get(head, "") + name.removeprefix(head)
        theirs = theirs.replace("parametrizations.weight.original0", "weight_g")
        state[theirs.replace("parametrizations.weight.original1", "weight_v")] = value
    state["enc_p.f0_emb.weight"] = torch.zeros(256, 8)
    c, mel = net.config.decoder.config, net.config.mel
    generator = {
        "resblock": c.resblock, "upsample_rates": list(c.upsample_rates), "resblock_kernel_sizes": [3],
        "upsample_kernel_sizes": list(c.upsample_kernels), "resblock_dilation_sizes": [[1, 3]],
        "upsample_initial_channel": c.channels,
    }  # fmt: skip
    kind = net.config.decoder.name.removeprefix("vocoder/").replace("_", "")
    preprocess = {
        "sample_rate": mel.sample_rate, "n_fft": mel.n_fft, "win_size": mel.win_length, "hop_size": mel.hop_length,
        "n_mel": 8, "segment_size": 8 * mel.hop_length,
    }  # fmt: skip
    model = {"generator": kind, "generator_config": {kind: generator, "hifigan": generator}}
    return state, {"preprocess": preprocess, "model": model, "singers": {"data_ann": 0, "data_bob": 1}}


@pytest.fixture
def as_published():
    """A network like the published ones, by the name of its decoder."""
    content = [{"name": "contentvec"}]
    return lambda decoder: tiny(decoder, content=content, loudness=False, melody="coarse", f0="f0_praat")


@pytest.mark.parametrize("decoder", ["vocoder/hifigan", "vocoder/bigvgan"])
def test_a_published_checkpoint_gives_the_same_network(as_published, decoder):
    net = as_published(decoder)
    state, config = published(net)
    found = convert("svc/vits", {"generator": state}, layout="amphion", config=config)
    assert found.config.speakers == ("data_ann", "data_bob") and found.config.decoder == net.config.decoder
    assert found.config.segment == 8 and found.config.mel == net.config.mel
    for name, value in net.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name


def test_a_published_decoder_with_a_source_ignores_it(as_published):
    state, config = published(as_published("vocoder/nsf_hifigan"))
    found = convert("svc/vits", state, layout="amphion", config=config)
    assert found.config.decoder.config.source == "ignored" and not found.dec.needs_f0


def test_published_files_that_do_not_fit_are_refused(as_published):
    state, config = published(as_published("vocoder/hifigan"))
    with pytest.raises(WeightsError, match="generator is diffwave"):
        convert("svc/vits", state, layout="amphion", config=config | {"model": {"generator": "diffwave"}})
    with pytest.raises(WeightsError, match="n_fft is 512; in the checkpoint it is 256"):
        preprocess = config["preprocess"] | {"n_fft": 512}
        convert("svc/vits", state, layout="amphion", config=config | {"preprocess": preprocess})
    with pytest.raises(WeightsError, match="has no matrix"):
        convert("svc/vits", {"x": torch.zeros(1)}, layout="amphion", config=config)
    with pytest.raises(WeightsError, match="emb_g has 3 singers"):
        wrong = state | {"emb_g.weight": torch.zeros(3, 4)}
        convert("svc/vits", wrong, layout="amphion", config=config)
