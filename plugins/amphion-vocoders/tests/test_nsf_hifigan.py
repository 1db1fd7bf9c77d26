"""NSF-HiFiGAN: reference numbers of both variants, published layouts, the law of its phase, and F0 that is heard."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import Audio, FeaturePart, Vocoder
from amphion_core.checkpoints.weight_names import check_keys, expected_shapes, to_folded, to_parametrized
from amphion_core.cli.main import main
from amphion_core.errors import AudioError, RecipeError, WeightsError
from amphion_core.features.mel import mel_spectrogram
from amphion_core.loading import convert
from amphion_core.modules.folding import fold_weight_norms
from amphion_vocoders.models import hifigan_packed, sine_source
from amphion_vocoders.models.hifigan_gpu import GPUGenerator
from amphion_vocoders.models.sine_source import Draws, phase

TINY = amphion.get("models", "vocoder/nsf_hifigan").example_config().model_dump()
CASES = ["nsf_hifigan_small", "nsf_hifigan_mini_small"]


def imported(case, layout="openvpi", config=None, **beside):
    state = {"generator": case["state_dict"]} | beside
    return convert("vocoder/nsf_hifigan", state, layout=layout, config=config or case["config"]).eval()


def signal(net, case):
    """What the source of ``net`` makes of the case's F0 and random numbers."""
    draws = Draws(*case["inputs"]["draws"]) if "draws" in case["inputs"] else None
    return net.source(case["inputs"]["f0"], draws)


def lively(net):
    """Weights that keep the level of the signal, and a source that is heard."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            size = parameter[0].numel() if parameter.dim() > 1 else 100
            parameter.normal_(0, size**-0.5, generator=generator)
        if "m_source" in dict(net.source.named_children()):
            net.source.m_source["l_linear"].weight.mul_(5)
    return net.eval()


def glide(frames, low=150.0, high=300.0):
    """F0 that rises by one octave, with two gaps, (1, N)."""
    f0 = low * (high / low) ** torch.linspace(0, 1, frames)
    f0[frames // 3 : frames // 3 + 3] = 0
    f0[:2] = 0
    return f0[None]


@pytest.mark.parametrize("piece", [1 << 20, 1])
@pytest.mark.parametrize("name", CASES)
def test_reference_numbers_before_and_after_packing(golden, monkeypatch, name, piece):
    monkeypatch.setattr(hifigan_packed, "PIECE", piece)  # 1: every stage in many pieces
    case = golden(name)
    net = imported(case)
    mel, wanted = case["inputs"]["mel"], case["outputs"]["wav"]
    with torch.no_grad():
        made = signal(net, case)
        torch.testing.assert_close(made.flatten(), case["outputs"]["har_source"].flatten(), atol=1e-5, rtol=0)
        torch.testing.assert_close(net(mel, signal=made), wanted, atol=1e-5, rtol=0)
        net.for_inference()
        assert net.generator.packed is not None
        torch.testing.assert_close(net(mel, signal=made), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_reference_numbers_of_the_form_for_gpus(golden, name):
    case = golden(name)
    net = imported(case)
    made = GPUGenerator(net.generator, "float32")  # the same operations on a CPU
    fold_weight_norms(net)
    with torch.no_grad():
        added = net.source.added(signal(net, case))
        torch.testing.assert_close(made(case["inputs"]["mel"], None, added), case["outputs"]["wav"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("gliding", [False, True])
def test_the_phase_is_the_integral_of_f0(gliding):
    """Summed sample by sample, in double precision."""
    rate, hop, frames = 16000, 80, 50
    f0 = torch.linspace(100, 400, frames, dtype=torch.float64)
    heard = f0.repeat_interleave(hop)  # constant inside of a frame: the frequency up to each sample
    if gliding:  # the frequency between two samples lies on a line from a frame's F0 to the next frame's
        slopes = torch.cat([f0.diff(), torch.zeros(1)]).repeat_interleave(hop)
        heard = heard + slopes * (torch.arange(frames * hop) % hop) / hop
    wanted = (heard / rate).cumsum(0)
    found = phase(f0.float()[None], rate, hop, gliding=gliding)[0].double()
    error = (found - wanted + 0.5) % 1 - 0.5
    assert float(error.abs().max()) < 1e-5


def test_the_phase_of_an_hour_is_as_exact_as_that_of_a_second():
    f0 = torch.full((1, 310_000), 441.0)  # an hour of frames at 44.1 kHz; 512 samples are 5.12 cycles
    last = phase(f0, 44100, 512, start=309_999, gliding=False)
    assert float(last[0, -1]) == pytest.approx((310_000 * 5.12) % 1, abs=1e-4)


def test_the_source_is_sines_where_there_is_voice_and_noise_elsewhere():
    rate, hop, f0 = 16000, 100, torch.tensor([[0.0] * 20 + [200.0] * 80])
    source = sine_source.HarmonicSource(rate, 16, (10, 10), harmonics=2)
    with torch.no_grad():
        source.m_source["l_linear"].weight.copy_(torch.tensor([[0.0, 0.01, 0.0]]))  # small, so that tanh does nothing
        source.m_source["l_linear"].bias.zero_()
        made = source(f0, source.draws(3, 0, 100, torch.device("cpu")))[0, 0] / 0.01
    noise, voice = made[: 20 * hop], made[20 * hop :]
    assert float(noise.std()) == pytest.approx(0.1 / 3, rel=0.05)
    assert float(voice.std()) == pytest.approx(0.1 / math.sqrt(2), rel=0.01)
    spectrum = torch.fft.rfft(voice).abs()
    assert int(spectrum.argmax()) * rate / len(voice) == pytest.approx(400)  # the first overtone


@pytest.mark.parametrize("source", ["harmonics", "mini"])
def test_another_f0_is_another_sound(source):
    net: Vocoder = lively(amphion.build("vocoder/nsf_hifigan", **TINY | {"source": source}))
    mel, f0 = torch.zeros(1, 4, 40), torch.full((1, 40), 200.0)
    one, other = net.vocode(mel, f0, seed=0), net.vocode(mel, f0 * 1.1, seed=0)
    assert float((one - other).abs().max()) > 0.1 * float(one.abs().max()) > 0


def only_the_source(source):
    """A network that ignores the mel and returns its source, times a constant: every weight is set by hand."""
    mel = {
        "preset": "nsf_44k_128",
        "sample_rate": 16000,
        "fmax": None,
        "n_fft": 256,
        "win_length": 256,
        "hop_length": 64,
    }
    net = amphion.build(
        "vocoder/nsf_hifigan", mel=mel, channels=16, upsample_rates=(8, 8), upsample_kernels=(16, 16), source=source
    )
    fold_weight_norms(net)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                module.weight.zero_()
                module.bias.zero_()
        if source == "harmonics":
            net.source.m_source["l_linear"].weight.copy_(
                1 / torch.arange(1, 10)
            )  # higher ones are weaker, as in a voice
        last = net.source.source_conv if source == "mini" else net.source.noise_convs[-1]
        last.weight[:2, 0, 0] = torch.tensor([1.0, -1.0])  # their leaky ReLUs together are linear
        net.generator.conv_post.weight[0, :2, 3] = torch.tensor([1.0, -1.0])
    return net.for_inference()


def cents(net, f0, tracker="f0_swift"):
    """The distances of the F0 of what ``net`` makes from the F0 that it was given, in cents, where both are voiced."""
    wave = net.vocode(torch.zeros(1, net.config.mel.n_mels, f0.shape[1]), f0, seed=0)
    found = FeaturePart.named(tracker, mel=net.config.mel).build().extract(wave)[:, 0]
    both = (found > 0) & (f0 > 0)
    assert float(both.sum()) > 0.8 * float((f0 > 0).sum())
    return 1200 * torch.log2(found[both] / f0[both])


@pytest.mark.parametrize("tracker", ["f0_swift", "f0_dio"])
@pytest.mark.parametrize("source", ["harmonics", "mini"])
def test_the_f0_that_is_heard_is_the_f0_that_was_given(source, tracker):
    package = {"f0_swift": "swift_f0", "f0_dio": "pyworld"}[tracker]
    pytest.importorskip(package, reason='needs a tracker of F0: pip install "amphion-core[swift,f0]"')
    found = cents(only_the_source(source), glide(400), tracker)
    assert float(found.abs().median()) < 10


@pytest.mark.parametrize("source", ["harmonics", "mini"])
def test_parts_equal_the_whole(source):
    """Away from the ends of a part; the noise too, and with parts that begin at any frame."""
    from amphion_vocoders.chunks import CONTEXT

    fields = {"upsample_rates": (4, 2), "upsample_kernels": (8, 4), "source": source}
    mel = TINY["mel"] | {"hop_length": 8}
    net = lively(amphion.build("vocoder/nsf_hifigan", **TINY | fields | {"mel": mel})).for_inference()
    count = 600
    inputs, f0 = torch.randn(2, 4, count, generator=torch.Generator().manual_seed(0)), glide(count).repeat(2, 1)
    whole = net.vocode(inputs, f0, seed=5)
    assert float(whole.std()) > 0.01
    for start, stop in ((0, 200), (137, 500), (300, count)):
        part = net.vocode_part(inputs[..., start:stop], f0, start=start, seed=5)
        left, right = (0 if start == 0 else CONTEXT), (0 if stop == count else CONTEXT)
        middle = slice((start + left) * 8, (stop - right) * 8)
        torch.testing.assert_close(part[:, left * 8 : (stop - start - right) * 8], whole[:, middle], atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """One second of a voice that falls by an octave, as a file, and a folder with a small vocoder."""
    root = tmp_path_factory.mktemp("recording")
    net = amphion.build("vocoder/nsf_hifigan@small", channels=8)
    weights.save(lively(net).for_inference(), root / "net")
    cycles = torch.cumsum(torch.linspace(300, 150, 22050) / 22050, 0)
    voice = sum(torch.sin(2 * torch.pi * k * cycles) / k for k in range(1, 9)) / 8
    Audio(voice.numpy(), 22050).save(root / "voice.wav")
    return root


def test_copy_synthesis_hands_over_the_f0_of_the_recording(recording, monkeypatch):
    pytest.importorskip("pyworld", reason='needs a tracker of F0: pip install "amphion-core[f0]"')
    task = amphion.task("vocoder", model=str(recording / "net"), f0="f0_dio")
    audio = Audio.load(recording / "voice.wav")
    whole = task.generate(audio).samples
    wave = torch.from_numpy(audio.samples)[None]
    f0 = FeaturePart.named("f0_dio", mel=task.net.config.mel).build().extract(wave)[:, 0]
    assert float((f0 > 0).float().mean()) > 0.9
    wanted = task.net.vocode(mel_spectrogram(wave, task.net.config.mel), f0, seed=0)[0]
    torch.testing.assert_close(torch.from_numpy(whole), wanted, atol=1e-5, rtol=0)
    monkeypatch.setattr("amphion_vocoders.chunks.CHUNK", 20)
    chunks = list(task.stream(audio))
    assert len(chunks) == 5
    assert Audio.concatenate(chunks).samples == pytest.approx(whole, abs=1e-4)


def test_the_command_tracks_f0_and_refuses_a_feature_that_is_none(recording, capsys):
    pytest.importorskip("pyworld", reason='needs a tracker of F0: pip install "amphion-core[f0]"')
    words = ["vocode", str(recording / "voice.wav"), "-o", str(recording / "again.wav"), "--vocoder", recording / "net"]
    assert main([*map(str, words), "--f0", "f0_dio"]) == 0
    assert len(Audio.load(recording / "again.wav").samples) == 22050 // 256 * 256
    assert main([*map(str, words), "--f0", "energy"]) == 2
    assert "the feature energy does not track F0" in capsys.readouterr().err


def test_a_mel_file_needs_f0_beside_the_mel(recording, tmp_path, capsys):
    net = amphion.load(str(recording / "net"))
    mel, f0 = torch.randn(80, 30, generator=torch.Generator().manual_seed(0)) - 4, glide(30)
    stated = {"mel": "hifigan_22k_80"}
    save_file({"mel": mel, "f0": f0[0]}, tmp_path / "both.safetensors", metadata=stated)
    save_file({"mel": mel}, tmp_path / "mel.safetensors", metadata=stated)
    save_file({"mel": mel, "f0": f0[0, 1:]}, tmp_path / "short.safetensors", metadata=stated)
    np.save(tmp_path / "mel.npy", mel.numpy())
    task = amphion.task("vocoder", model=str(recording / "net"))
    made = task.generate(tmp_path / "both.safetensors").samples
    np.testing.assert_allclose(made, net.vocode(mel[None], f0, seed=0)[0].numpy(), atol=1e-6)
    for name in ("mel.safetensors", "mel.npy"):
        words = ["vocode", tmp_path / name, "-o", tmp_path / "a.wav", "--vocoder", recording / "net"]
        assert main([*map(str, words), "--mel", "hifigan_22k_80"]) == 2
        shown = " ".join(capsys.readouterr().err.split())
        assert "this vocoder needs F0 beside the mel, and the file has none" in shown
        assert "amphion vocode RECORDING -o OUT.wav --vocoder VOCODER tracks F0 itself" in shown
    with pytest.raises(AudioError, match="its F0 has 29 frames, its mel 30"):
        task.generate(tmp_path / "short.safetensors")
    assert not (tmp_path / "a.wav").exists()


def test_a_seed_decides_and_a_batch_does_not():
    net: Vocoder = lively(amphion.build("vocoder/nsf_hifigan", **TINY)).for_inference()
    mel, f0 = torch.randn(3, 4, 20, generator=torch.Generator().manual_seed(0)), glide(20).repeat(3, 1)
    together = net.vocode(mel, f0, seed=1)
    assert torch.equal(together, net.vocode(mel, f0, seed=1))
    assert not torch.equal(together, net.vocode(mel, f0, seed=2))
    assert not torch.equal(net.vocode(mel, f0), net.vocode(mel, f0))
    for item in range(3):
        alone = net.vocode(mel[item : item + 1], f0[item : item + 1], seed=1)
        torch.testing.assert_close(alone[0], together[item], atol=1e-6, rtol=0)
    mini: Vocoder = amphion.build("vocoder/nsf_hifigan", **TINY | {"source": "mini"}).for_inference()
    assert torch.equal(mini.vocode(mel, f0, seed=1), mini.vocode(mel, f0, seed=2))  # it draws nothing


def test_f0_that_is_left_out_or_does_not_fit_is_one_error():
    net: Vocoder = amphion.build("vocoder/nsf_hifigan", **TINY).for_inference()
    mel = torch.zeros(1, 4, 9)
    with pytest.raises(AudioError, match="this vocoder needs F0 beside the mel, and none is given") as caught:
        net.vocode(mel)
    assert "amphion list features" in caught.value.hint
    with pytest.raises(AudioError, match=r"needs F0"):
        net(mel)
    with pytest.raises(AudioError, match=r"F0 of shape \(1, 8\) for a mel of shape \(1, 4, 9\)"):
        net.vocode(mel, torch.zeros(1, 8))
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(AudioError, match="F0 has values that are negative or not finite"):
            net.vocode(mel, torch.full((1, 9), wrong))
    assert net.vocode(torch.zeros(2, 4, 0), torch.zeros(2, 0)).shape == (2, 0)


@pytest.mark.parametrize("rates", [(3, 5), (5, 3), (2, 7), (6, 1)])
def test_every_factor_keeps_the_length(rates):
    fields = {"upsample_rates": rates, "upsample_kernels": [rate + 2 for rate in rates]}
    hop = math.prod(rates)
    net: Vocoder = amphion.build("vocoder/nsf_hifigan", **TINY | fields | {"mel": TINY["mel"] | {"hop_length": hop}})
    assert net.vocode(torch.zeros(1, 4, 6), torch.full((1, 6), 90.0)).shape == (1, 6 * hop)


@pytest.mark.parametrize(("tag", "count"), [("44k", 14_178_956), ("mini", 14_143_234), ("amphion", 30_751_308)])
def test_the_cards_have_the_published_sizes(tag, count):
    with torch.device("meta"):
        net = amphion.build(f"vocoder/nsf_hifigan@{tag}")
    assert sum(parameter.numel() for parameter in net.parameters()) == count


def test_the_published_layout_is_complete(published_layout):
    from amphion_vocoders.models.nsf_hifigan_layouts import SOURCE

    names = published_layout("nsf_hifigan_44k")
    state = {
        f"{'source' if name.startswith(SOURCE) else 'generator'}.{name}": torch.empty(shape, device="meta")
        for name, shape in names.items()
    }
    shapes = expected_shapes(lambda: amphion.build("vocoder/nsf_hifigan@44k"))
    check_keys(to_parametrized(state, ()), shapes, "NSF-HiFiGAN")


def test_the_config_of_the_release_gives_the_mel_of_the_preset(golden):
    case = golden("nsf_hifigan_small")
    rates = {"upsample_rates": [4, 4, 2], "hop_size": 32, "n_fft": 2048, "win_size": 2048, "fmin": 40, "fmax": 16000}
    mel = imported(case, config=case["config"] | rates).config.mel
    assert mel == type(mel).preset("nsf_44k_128").replace(n_mels=20, hop_length=32)
    assert imported(case).config.mel == mel  # where the config does not state it


def test_folded_and_renamed_weight_norms_and_files_of_a_training_load(golden):
    case = golden("nsf_hifigan_small")
    mel, wanted = case["inputs"]["mel"], case["outputs"]["wav"]
    folded, parametrized = to_folded(case["state_dict"]), to_parametrized(case["state_dict"], ())
    training = {f"generator.{name}": tensor for name, tensor in case["state_dict"].items()}
    training |= {"discriminator.mpd.weight": torch.ones(2)}
    files = [{"generator": folded}, {"generator": parametrized}, {"state_dict": training, "optimizer_states": []}]
    for file in files:
        net = convert("vocoder/nsf_hifigan", file, layout="openvpi", config=case["config"]).eval()
        with torch.no_grad():
            torch.testing.assert_close(net(mel, signal=signal(net, case)), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("form", [dict, to_folded, lambda state: to_parametrized(state, ())])
def test_weights_of_amphion_get_activations_twice_as_large_and_no_source(golden, form):
    """Amphion's code adds the activations to themselves where it should add the source."""
    case = golden("nsf_hifigan_small")
    mel = case["inputs"]["mel"]
    upper = {"model": {"nsfhifigan": case["config"] | {"harmonic_num": 8}}, "preprocess": {"sample_rate": 44100}}
    net = convert("vocoder/nsf_hifigan", {"generator": form(case["state_dict"])}, layout="amphion", config=upper).eval()
    assert net.source is None and not net.needs_f0
    assert net.config.mel.hop_length == 32
    plain = imported(case)
    doubled = plain.generator(mel, None, _twice(plain.generator))
    torch.testing.assert_close(net(mel), doubled, atol=1e-5, rtol=0)
    torch.testing.assert_close(net.vocode(mel), doubled[:, 0], atol=1e-5, rtol=0)  # F0 is not needed


def _twice(generator):
    """What adds the activations after each upsampling to themselves."""
    seen = []
    for up in generator.ups:
        up.register_forward_hook(lambda module, inputs, output: seen.append(output))
    return lambda stage: seen[-1]


def test_checkpoints_of_another_kind_are_refused(golden):
    with pytest.raises(WeightsError, match="this is no generator of NSF-HiFiGAN"):
        imported(golden("hifigan_small_rb1"))
    case = golden("nsf_hifigan_small")
    with pytest.raises(WeightsError, match="mini_nsf is true, which is not what the checkpoint is"):
        imported(case, config=case["config"] | {"mini_nsf": True})
    with pytest.raises(WeightsError, match=r"noise_sigma is not 0"):
        imported(case, config=case["config"] | {"noise_sigma": 0.1})


def test_a_saved_folder_loads_again(tmp_path):
    net = amphion.build("vocoder/nsf_hifigan", **TINY).for_inference()
    mel, f0 = torch.randn(1, 4, 9), glide(9)
    again: Vocoder = amphion.load(weights.save(net, tmp_path / "folder"))
    torch.testing.assert_close(again.vocode(mel, f0, seed=0), net.vocode(mel, f0, seed=0), atol=1e-6, rtol=0)


def test_mini_needs_a_second_stage():
    fields = {"upsample_rates": (4,), "upsample_kernels": (8,), "source": "mini"}
    with pytest.raises(ValueError, match="source: mini is added in the second stage"):
        amphion.build("vocoder/nsf_hifigan", **TINY | fields)


def test_a_kernel_that_would_move_the_stages_against_the_source_is_refused():
    with pytest.raises(RecipeError, match="upsample_kernels: each needs the parity of its rate"):
        amphion.build("vocoder/nsf_hifigan", **TINY | {"upsample_kernels": (4, 5)})
