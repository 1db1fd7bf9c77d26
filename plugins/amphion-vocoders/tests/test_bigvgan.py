"""BigVGAN: reference numbers of the activation and of both versions, published layouts, and the compiled loops."""

import warnings

import pytest
import torch
from hypothesis import given, settings, strategies as st

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import Vocoder
from amphion_core.errors import AudioError, WeightsError
from amphion_core.loading import convert
from amphion_core.precision import bf16_is_fast
from amphion_vocoders.models import antialiasing, hifigan_packed
from amphion_vocoders.models.lowpass import lowpass

TINY = amphion.get("models", "vocoder/bigvgan").example_config().model_dump()
SMALL = ["bigvgan_small_v1_snakebeta", "bigvgan_small_v2"]


@pytest.fixture(scope="module")
def kernels():
    """The compiled loops; what tests them is skipped without numba."""
    pytest.importorskip("numba", reason='needs numba: pip install "amphion-vocoders[fast]"')
    return antialiasing.compiled()


@pytest.fixture
def without_numba(monkeypatch):
    monkeypatch.setattr(antialiasing, "compiled", lambda: None)


def imported(case, layout="nvidia", **wrapped):
    return convert("vocoder/bigvgan", {"generator": case["state_dict"]} | wrapped, layout=layout, config=case["config"])


def test_the_activation_and_its_filters_have_the_reference_numbers(golden):
    case = golden("bigvgan_activation1d")
    x, expected, state = case["inputs"]["x"], case["outputs"], case["state_dict"]
    taps = lowpass(torch.device("cpu"))
    torch.testing.assert_close(taps, expected["up_filter"].flatten(), atol=1e-6, rtol=0)
    torch.testing.assert_close(taps, expected["down_filter"].flatten(), atol=1e-6, rtol=0)
    torch.testing.assert_close(antialiasing.upsample(x), expected["up"], atol=1e-5, rtol=0)
    torch.testing.assert_close(antialiasing.downsample(x), expected["down"], atol=1e-5, rtol=0)
    snake = antialiasing.AntiAliasedSnake(3, beta=True, log_scale=True)
    snake.load_state_dict({name: state[name] for name in ("act.alpha", "act.beta")})
    with torch.no_grad():
        torch.testing.assert_close(antialiasing.plain(x, *snake.factors()), expected["y"], atol=1e-5, rtol=0)
        torch.testing.assert_close(snake(x), expected["y"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", SMALL)
def test_reference_numbers_before_and_after_packing(kernels, golden, name):
    case = golden(name)
    net = imported(case)
    with torch.no_grad():
        torch.testing.assert_close(net(case["inputs"]["mel"]), case["outputs"]["wav"], atol=1e-5, rtol=0)
    packed = net.for_inference().vocode(case["inputs"]["mel"])
    assert net.generator.packed is not None
    torch.testing.assert_close(packed, case["outputs"]["wav"][:, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.usefixtures("without_numba")
def test_reference_numbers_without_numba(golden, name):
    case = golden(name)
    net = imported(case).for_inference()
    assert net.generator.packed is None
    torch.testing.assert_close(net.vocode(case["inputs"]["mel"]), case["outputs"]["wav"][:, 0], atol=1e-5, rtol=0)


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 40), channels=st.integers(1, 5), batch=st.integers(1, 2), seed=st.integers(0, 99))
def test_the_compiled_loops_equal_the_torch_operations_with_their_gradients(kernels, size, channels, batch, seed):
    generator = torch.Generator().manual_seed(seed)
    x = (3 * torch.randn(batch, channels, size, generator=generator)).requires_grad_()
    factors = [(torch.rand(channels, generator=generator) + 0.1).requires_grad_() for _ in range(2)]
    plain, made = antialiasing.plain(x, *factors), kernels.activation(x, *factors)
    torch.testing.assert_close(made, plain, atol=1e-5, rtol=1e-5)
    weight = torch.randn(plain.shape, generator=generator)
    wanted = torch.autograd.grad(plain, (x, *factors), weight)
    torch.testing.assert_close(torch.autograd.grad(made, (x, *factors), weight), wanted, atol=1e-4, rtol=1e-4)
    rows = torch.empty(size, channels)
    kernels.activate_rows(x[0].detach().T.contiguous(), *factors, rows)
    torch.testing.assert_close(rows.T, plain[0].detach(), atol=1e-5, rtol=1e-5)


def test_the_activation_of_bfloat16_is_the_rounded_one_of_float32(kernels):
    torch.manual_seed(0)
    snake, x = antialiasing.AntiAliasedSnake(3, beta=True, log_scale=True), torch.randn(2, 3, 40).bfloat16()
    made = snake(x)
    assert made.dtype == torch.bfloat16 and torch.equal(made, snake(x.float()).bfloat16())


def test_a_short_signal_starts_no_compiler(monkeypatch):
    monkeypatch.setattr(antialiasing, "compiled", lambda: pytest.fail("the compiled loops were started"))
    snake, x = antialiasing.AntiAliasedSnake(3, beta=False, log_scale=False), torch.randn(2, 3, 40)
    torch.testing.assert_close(snake(x), antialiasing.plain(x, *snake.factors()), atol=0, rtol=0)


def test_the_activation_suppresses_what_is_mirrored():
    """The square of a sine at 0.3125 of the rate has a part at 0.625, which is mirrored to 0.375."""
    count, own = 4096, 1280
    sine = torch.sin(2 * torch.pi * own / count * torch.arange(count))

    def mirrored(y):  # dB, relative to the sine
        levels = torch.fft.rfft(y * torch.hann_window(count)).abs()
        return float(20 * torch.log10(levels[count - 2 * own] / levels[own]))

    plain = sine + torch.sin(sine) ** 2
    one = torch.ones(1)
    made = antialiasing.plain(sine[None, None], one, one)[0, 0]
    assert mirrored(plain) - mirrored(made) > 11  # measured: -9.0 and -20.3 dB


def test_the_compiled_loops_join_their_pieces(kernels):
    length = 2 * kernels.PIECE + 2  # the last piece is shorter than the filters
    x, factors = torch.randn(1, 2, length, generator=torch.Generator().manual_seed(0)), (torch.ones(2), torch.ones(2))
    plain = antialiasing.plain(x, *factors)
    torch.testing.assert_close(kernels.activation(x, *factors), plain, atol=1e-5, rtol=0)
    rows = torch.empty(length, 2)
    kernels.activate_rows(x[0].T.contiguous(), *factors, rows)
    torch.testing.assert_close(rows.T, plain[0], atol=1e-5, rtol=0)


def test_the_activation_suppresses_the_aliases_of_a_high_tone():
    """Snake makes overtones; without the filters, those above half the rate fall at false frequencies."""
    rate, length, tone = 24000, 2400, 8010.0  # its double, 16,020 Hz, is mirrored to 7,980 Hz
    x = torch.sin(2 * torch.pi * tone / rate * torch.arange(length))[None, None]
    factors = torch.tensor([1.0]), torch.tensor([1.0])
    window = torch.hann_window(length)

    def level_at(wave, frequency):
        return float(torch.fft.rfft(wave[0, 0] * window).abs()[round(frequency * length / rate)])

    naive = x + torch.sin(x) ** 2
    aliased = level_at(naive, 7980)
    assert aliased > 0.1 * level_at(naive, tone)
    # Measured: 0.23, which is 13 dB; the rest comes from the image of the tone that the short filter leaves.
    assert level_at(antialiasing.plain(x, *factors), 7980) < 0.25 * aliased


@settings(max_examples=10, deadline=None)
@given(frames=st.integers(1, 20), batch=st.integers(1, 3))
def test_every_frame_becomes_one_hop(frames, batch):
    net: Vocoder = amphion.build("vocoder/bigvgan", **TINY).for_inference()
    assert net.vocode(torch.zeros(batch, 4, frames)).shape == (batch, frames * net.config.mel.hop_length)


@pytest.mark.parametrize("tag", ["base", "v2_24k", "v2_44k"])
def test_chunks_of_the_task_equal_the_whole(tag):
    """The task gives a chunk so many frames of context that no output depends on frames outside them."""
    from amphion_vocoders.chunks import CONTEXT

    fields = amphion.build(f"vocoder/bigvgan@{tag}", channels=64).config.model_dump()
    net = lively(amphion.build("vocoder/bigvgan", **fields)).for_inference()
    hop, count = net.config.mel.hop_length, 2 * CONTEXT + 16
    mel = torch.randn(1, net.config.mel.n_mels, count, generator=torch.Generator().manual_seed(0))
    whole, chunk = net.vocode(mel)[0], net.vocode(mel[..., 4 : count - 4])[0]
    middle = slice((4 + CONTEXT) * hop, (count - 4 - CONTEXT) * hop)
    assert float(whole[middle].std()) > 0.01
    torch.testing.assert_close(chunk[CONTEXT * hop : -CONTEXT * hop], whole[middle], atol=1e-4, rtol=0)


def lively(net):
    """Weights that keep the level of the signal."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            size = parameter[0].numel() if parameter.dim() > 1 else 100
            parameter.normal_(0, size**-0.5, generator=generator)
            if ".act." in name:
                parameter.mul_(3)
    return net.eval()


@pytest.mark.parametrize("changes", [{}, {"resblock": "2"}, {"activation": "snake", "log_scale": False}])
@pytest.mark.parametrize("piece", [1 << 20, 1])
def test_packing_changes_nothing_but_the_order_of_the_sums(kernels, monkeypatch, changes, piece):
    monkeypatch.setattr(hifigan_packed, "PIECE", piece)  # 1: every stage in many pieces
    shape = {"upsample_rates": (8, 4), "upsample_kernels": (16, 8)}
    mel = TINY["mel"] | {"hop_length": 32}
    net = lively(amphion.build("vocoder/bigvgan", **TINY | shape | changes | {"mel": mel}))
    inputs = torch.randn(2, 4, 60, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = net(inputs)[:, 0]
    assert net.generator.packed is None and float(plain.std()) > 0.01
    made = net.for_inference().vocode(inputs)
    assert net.generator.packed is not None
    torch.testing.assert_close(made, plain, atol=1e-5, rtol=0)


@pytest.mark.skipif(not bf16_is_fast(torch.device("cpu")), reason="this CPU has no bfloat16 dot products")
def test_bfloat16_stays_near_float32(golden):
    case = golden("bigvgan_small_v2")
    exact = case["outputs"]["wav"][:, 0]
    rough = imported(case).for_inference("bf16").vocode(case["inputs"]["mel"])
    assert rough.dtype == torch.float32
    assert 0 < float((rough - exact).square().mean() / exact.square().mean()) < 1e-3


@pytest.mark.parametrize(
    ("tag", "count"),
    [("base", 14_025_154), ("v1", 112_446_290), ("v2_24k", 112_446_289), ("v2_44k", 122_184_529)],
)
def test_the_cards_have_the_published_sizes(tag, count):
    with torch.device("meta"):
        net = amphion.build(f"vocoder/bigvgan@{tag}")
    assert sum(parameter.numel() for parameter in net.parameters()) == count


def test_the_published_layout_is_complete(published_layout):
    from amphion_core.checkpoints.weight_names import check_keys, expected_shapes, to_parametrized

    names = published_layout("bigvgan_v2_24khz_100band_256x")
    state = {name: torch.empty(shape, device="meta") for name, shape in names.items() if ".filter" not in name}
    shapes = expected_shapes(lambda: amphion.build("vocoder/bigvgan@v2_24k"))
    check_keys(to_parametrized({f"generator.{name}": value for name, value in state.items()}, ()), shapes, "BigVGAN")


def test_discriminators_and_an_optimiser_beside_the_generator_are_no_error(golden):
    case = golden("bigvgan_small_v2")
    net = imported(case, mpd={"convs.0.weight": torch.ones(2)}, optim_g={"state": {}}, steps=5)
    assert not net.config.tanh_at_final


def test_folded_and_renamed_weight_norms_and_a_distributed_export_load(golden):
    from amphion_core.checkpoints.weight_names import to_folded, to_parametrized

    case = golden("bigvgan_small_v1_snakebeta")
    upper = {"MODEL": {"BigVGAN": {key.upper(): value for key, value in case["config"].items()}}}
    for state in (to_folded(case["state_dict"]), to_parametrized(case["state_dict"], ())):
        state = {"generator_state_dict": {f"module.{name}": value for name, value in state.items()}}
        net = amphion.import_model("vocoder/bigvgan", state, layout="amphion", config=upper)
        torch.testing.assert_close(net.vocode(case["inputs"]["mel"]), case["outputs"]["wav"][:, 0], atol=1e-5, rtol=0)


def test_another_filter_in_a_checkpoint_is_a_warning(golden):
    case = golden("bigvgan_small_v2")
    name = "activation_post.upsample.filter"
    case["state_dict"][name] = case["state_dict"][name].flip(-1) * 1.1
    with pytest.warns(UserWarning, match=f"the filter {name} of the checkpoint differs"):
        imported(case)
    case["state_dict"].pop(name)  # the filters are computed, so a file may leave them out
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        imported(case)


def test_a_hifigan_is_refused(golden):
    case = golden("hifigan_small_rb1")
    with pytest.raises(WeightsError, match="this is no generator of BigVGAN"):
        imported(case)


def test_a_saved_folder_loads_again(tmp_path):
    net = amphion.build("vocoder/bigvgan", **TINY).for_inference()
    mel = torch.randn(1, 4, 9)
    again: Vocoder = amphion.load(weights.save(net, tmp_path / "folder"))
    torch.testing.assert_close(again.vocode(mel), net.vocode(mel), atol=1e-6, rtol=0)


def test_changed_weights_are_heard_after_for_inference():
    net = amphion.build("vocoder/bigvgan", **TINY).for_inference()
    before = net.vocode(torch.ones(1, 4, 9))
    net.load_state_dict({name: tensor * 2 for name, tensor in net.state_dict().items()})
    assert net.generator.packed is None
    assert not torch.equal(before, net.vocode(torch.ones(1, 4, 9)))


def test_a_mel_of_another_shape_is_reported_and_no_frames_are_no_samples():
    net = amphion.build("vocoder/bigvgan", **TINY).for_inference()
    with pytest.raises(AudioError, match=r"this vocoder takes \(B, 4, N\)"):
        net.vocode(torch.zeros(1, 5, 9))
    assert net.vocode(torch.zeros(2, 4, 0)).shape == (2, 0)
