"""PicoAudio: reference numbers of onsets, network and losses; captions become conditions; the published layout."""

import pytest
import torch

import amphion_core as amphion
from amphion_core.config import validate
from amphion_core.errors import DataError, RecipeError, WeightsError
from amphion_tta.autoencoders import AutoencoderPart
from amphion_tta.models.picoaudio import PicoAudio, onset_channels

AUTOENCODER = AutoencoderPart.named(
    "autoencoder/kl", channels=(32, 32, 32), blocks=1, attention=False, latent_channels=8
)
CODER = AUTOENCODER.build().network.state_dict()


@pytest.fixture(scope="module")
def case(golden):
    return golden("pico")


@pytest.fixture(scope="module")
def reference(case):
    """The network of the reference numbers, imported from the published layout. Its context is a text's vector."""
    unet = case["config"]["unet"]
    state = {f"unet.{name}": tensor for name, tensor in case["state_dict"]["unet"].items()}
    given = {
        "attention_head_dim": unet["attention_head_dim"], "norm_num_groups": unet["norm_num_groups"],
        "events": case["config"]["classes"], "autoencoder": CODER,
    }  # fmt: skip
    return amphion.import_model("tta/picoaudio", state, layout="zeyuxie29", config=given)


def conditions(reference, case):
    class Encoder:
        def encode(self, texts):
            assert texts[0] == "cat meowing and whistling and explosion"
            return amphion.api.TextCondition(
                case["inputs"]["event_emb"], torch.ones(3, 1, dtype=torch.bool), case["inputs"]["event_emb"][:, 0]
            )

    return reference.read_captions(case["inputs"]["onset_str"], duration=10.24, encoder=Encoder())


def test_reference_numbers(reference, case):
    inputs, outputs = case["inputs"], case["outputs"]
    condition = conditions(reference, case)
    assert torch.equal(condition.states[..., 1:], outputs["onset"].float())
    assert torch.equal(onset_channels(condition.states[..., 1:], inputs["latent"]), outputs["encoded"].float())
    noisy = reference.config.diffusion.with_noise(inputs["latent"], inputs["noise"], inputs["t"])
    with torch.no_grad():
        made = reference(noisy, inputs["t"], condition)
    torch.testing.assert_close(made[:, :, ::32], outputs["y_slice"], atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def tiny():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PicoAudio(PicoAudio.example_config()).for_inference()


def test_the_published_network_and_its_event_vectors_are_read(case):
    unet = {f"unet.{name}": tensor for name, tensor in case["state_dict"]["unet"].items()}
    vectors = torch.randn(24, 24, generator=torch.Generator().manual_seed(0))
    given = {"attention_head_dim": 4, "norm_num_groups": 8, "events": ["a", "b"], "autoencoder": CODER}
    net = amphion.import_model("tta/picoaudio", unet | {"any_name.weight": vectors}, layout="zeyuxie29", config=given)
    assert (net.config.events, net.config.vectors, net.config.several) == (("a", "b"), 24, "first")
    assert torch.equal(net.unet.vectors.weight, vectors)
    assert net.config.unet.linear_projection and net.config.unet.attention == (True, False)


@pytest.mark.parametrize(
    ("state", "config", "message"),
    [
        ({}, {"autoencoder": None}, "the autoencoder, that of AudioLDM, is in another file"),
        ({}, {"attention_head_dim": None}, "2 levels, and nothing states the heads"),
        ({"vae.weight": torch.zeros(3, 3)}, {}, "one matrix of event vectors with 24 values each is expected"),
        ({"unet.more": torch.zeros(3)}, {}, "more"),
    ],
)
def test_what_is_no_published_checkpoint_is_refused(case, state, config, message):
    unet = {f"unet.{name}": tensor for name, tensor in case["state_dict"]["unet"].items()}
    given = {"attention_head_dim": 4, "norm_num_groups": 8, "autoencoder": CODER} | config
    with pytest.raises(WeightsError, match=message):
        amphion.import_model("tta/picoaudio", unet | state, layout="zeyuxie29", config=given)


def test_sizes_of_the_published_network():
    with torch.device("meta"):
        net = PicoAudio(PicoAudio.Config())
    assert net.unet.network.conv_in.weight.shape == (128, 10, 3, 3)
    assert net.unet.network.conv_out.weight.shape == (8, 128, 3, 3)
    assert (net.config.rate, net.max_duration) == (25, 10.24)
    # Counted by building diffusers' network with the published sizes.
    assert sum(parameter.numel() for parameter in net.unet.network.parameters()) == 144_803_464


def test_a_condition_holds_times_and_shares_of_events(tiny):
    condition = tiny.read_captions(["fine at 0.2-0.4 and hello at 1-2", "good day at 0-1", ""], duration=2.0)
    assert condition.states.shape == (3, 4, 51)  # 4 rows, 25 columns a second
    assert condition.states[:, :, 0].tolist() == [[0.5, 0, 0, 0.5], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert condition.states[0, 3, 1:].nonzero().flatten().tolist() == [5, 6, 7, 8, 9]
    assert condition.states[0, 0, 1:].sum() == 25 and not condition.states[2].any()
    first = PicoAudio(tiny.config.replace(several="first"))
    assert first.read_captions(["fine at 0.2-0.4 and hello at 1-2"], duration=2.0).states[0, :, 0].tolist() == [
        0,
        0,
        0,
        1,
    ]


def test_times_change_the_sound_and_the_event_does(tiny):
    def made(caption):
        return tiny.sample(tiny.read_captions([caption], duration=1.0), duration=1.0, seed=1).mel

    early, late, other = made("fine at 0-0.3"), made("fine at 0.6-0.9"), made("hello at 0-0.3")
    assert not torch.allclose(early, late, atol=1e-4) and not torch.allclose(early, other, atol=1e-4)


def test_guidance_compares_with_the_empty_caption(tiny):
    caption, nothing = (tiny.read_captions([text], duration=0.5) for text in ("fine at 0-0.3", ""))
    plain = tiny.sample(caption, duration=0.5, seed=1).mel
    guided = tiny.sample(caption, duration=0.5, negative=nothing, seed=1, controls=tiny.controls({"guidance": 3})).mel
    none = tiny.sample(caption, duration=0.5, negative=nothing, seed=1, controls=tiny.controls({"guidance": 1})).mel
    assert torch.equal(plain, none) and not torch.allclose(plain, guided, atol=1e-4)


@pytest.mark.parametrize(
    ("caption", "duration", "message"),
    [
        ("fine at 0-1", 3.0, "3 seconds were asked for, and this model makes at most 2.56"),
        ("fine at 0-1.5", 1.0, "fine: 0-1.5 s is not within the 1 s of the sound"),
        ("horse at 0-1", 2.0, "the model has no event 'horse'"),
    ],
)
def test_captions_that_the_model_cannot_use(tiny, caption, duration, message):
    with pytest.raises(DataError, match=message):
        tiny.read_captions([caption], duration=duration)


def test_a_condition_of_another_model_is_refused(tiny):
    condition = tiny.read_captions(["fine at 0-1"], duration=1.0)
    other = amphion.api.TextCondition(condition.states[:, :3], condition.mask[:, :3])
    with pytest.raises(DataError, match="4 rows of events"):
        tiny.sample(other, duration=1.0)


def test_a_language_model_may_read_the_caption():
    net = PicoAudio(PicoAudio.example_config(), translate=lambda text, names, seconds: f"{names[3]}__0-{seconds / 2}")
    assert net.read_captions(["somebody says that all is well"], duration=1.0).states[0, 3, 1:].sum() == 12


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": 20}, "20 is not a multiple of the 16 latents in frequency"),
        ({"events": ("a", "A")}, "two have the same name"),
        ({"events": tuple("abcdefgh"), "vectors": 5}, "8 are stated, and there is room for 5"),
        ({"autoencoder": {"name": "autoencoder/kl", "time_first": False}}, "time_first=true"),
    ],
)
def test_configs_that_do_not_fit(fields, message):
    with pytest.raises(RecipeError, match=message):
        validate(PicoAudio.Config, fields)


class Facts:
    def __init__(self, *captions):
        self.captions = captions

    def utterances(self):
        return [
            amphion.api.Utterance(str(index), "a.wav", 5.0, caption=text) for index, text in enumerate(self.captions)
        ]


def test_the_events_are_those_of_the_training_captions():
    config = PicoAudio.config_for(PicoAudio.Config(), Facts("dog at 1-2 and cat at 3-4", "cat__0-1"))
    assert config.events == ("cat", "dog")
    assert PicoAudio.config_for(PicoAudio.Config(events=("cow",)), Facts("cat__0-1")).events == ("cow",)
    with pytest.raises(DataError, match="item 0: cat: 3-2 s ends before"):
        PicoAudio.config_for(PicoAudio.Config(), Facts("cat__3-2"))
    with pytest.raises(DataError, match="name 2 events, and the model has room for 1"):
        PicoAudio.config_for(PicoAudio.Config(vectors=1), Facts("cat__1-2--dog__2-3"))
