"""VALL-E, first release: equal to the reference, published names, and generation with and without the cache."""

import pytest
import torch
from torch.nn import functional as F

from amphion_core.errors import WeightsError
from amphion_tts.models.code_generation import CodeControls
from amphion_tts.models.valle_v1 import VALLEv1

NEAR = 1e-4


@pytest.fixture(scope="module")
def case(golden):
    return golden("valle")


@pytest.fixture(scope="module")
def network(case):
    config, state = VALLEv1.import_state_dict(case["state_dict"], layout="amphion", config=case["config"])
    net = VALLEv1(config).eval()
    net.load_state_dict(state)
    return net


def tiny(**changes):
    torch.manual_seed(0)
    fields = {"vocabulary": 12, "n_codebooks": 3, "codebook_size": 16, "channels": 16, "n_heads": 2, "n_layers": 2}
    return VALLEv1(VALLEv1.Config(**fields | changes)).eval()


@torch.no_grad()
def test_scores_and_losses_of_the_first_codebook_are_the_references(network, case):
    given, expected = case["inputs"], case["outputs"]
    codes, lengths = given["y"].mT, given["y_lens"]
    inputs, targets = network.ar.inputs_and_targets(codes[:, 0], lengths)
    scores = network.ar(given["x"], given["x_lens"], codes, lengths).scores
    end = 32  # in the recorded padding, this is added to codes that the reference sets to 0 before
    assert torch.equal(inputs, expected["ar_in"].clamp(max=end))
    assert torch.equal(targets, expected["ar_targets"].clamp(max=end))
    torch.testing.assert_close(scores, expected["ar_logits"], atol=NEAR, rtol=0)
    loss = F.cross_entropy(scores.mT, targets, reduction="sum")  # of the padding too, as published
    torch.testing.assert_close(loss, expected["ar_loss_sum"], atol=1e-3, rtol=0)


@pytest.mark.parametrize("stage", [1, 2, 3])
@torch.no_grad()
def test_scores_and_losses_of_the_other_codebooks_are_the_references(network, case, stage):
    given, expected = case["inputs"], case["outputs"]["nar"][str(stage)]
    codes, lengths = given["y"].mT, given["y_lens"]
    scores = network.nar(given["x"], given["x_lens"], codes, lengths, stage).scores
    real = torch.arange(codes.shape[2]) < lengths[:, None]
    torch.testing.assert_close(scores[real], expected["logits"][real], atol=NEAR, rtol=0)
    loss = F.cross_entropy(scores[real], codes[:, stage][real], reduction="sum")
    torch.testing.assert_close(loss, expected["loss"], atol=1e-3, rtol=0)


def spoken(network, ids, said, prompt, **controls):
    """The codes of a text; the frame rate of the codec is that of EnCodec."""
    return network.generate_codes(ids, said, prompt, torch.Generator().manual_seed(0), CodeControls(**controls))


def test_greedy_codes_are_the_references(network, case, monkeypatch, caplog):
    monkeypatch.setattr(VALLEv1, "codec", type("Codec", (), {"frame_rate": 75.0}))
    given = case["inputs"]
    text = given["x"][0, : given["x_lens"][0]]
    prompt = given["y"][0, : given["prompt_frames"]].mT
    codes = spoken(network, text[3:], text[:3], prompt, top_k=1)
    assert torch.equal(codes.mT, case["outputs"]["greedy_codes"][0])
    assert "did not end" in caplog.text  # the reference ends by its longest length too
    assert spoken(network, text[3:], text[:3], prompt, top_k=1, longest=0.4).shape == (4, 30)


@pytest.mark.parametrize("begin", [False, True])
@torch.no_grad()
def test_steps_with_the_cache_give_the_scores_of_the_whole_sequence(begin):
    net = tiny(begin=begin)
    ids, codes = torch.randint(12, (1, 4)), torch.randint(16, (9,))
    steps = net.ar.steps(ids, codes[:3], 6)
    found = [steps(None), *(steps(int(code)) for code in codes[3:])]
    scores = net.ar(ids, torch.tensor([4]), codes[None, None], torch.tensor([9])).scores[0]
    torch.testing.assert_close(torch.stack(found), scores[-7:], atol=1e-5, rtol=0)


@torch.no_grad()
def test_an_item_is_the_same_alone_and_in_a_padded_batch():
    net = tiny()
    given = net.example_inputs()
    both_ar, both_nar = net(**given)
    size, count = int(given["lengths"][1]), int(given["code_lengths"][1])
    alone = net(given["ids"][1:, :size], given["lengths"][1:], given["codes"][1:, :, :count], given["code_lengths"][1:])
    torch.testing.assert_close(both_ar[1:, :count], alone[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(both_nar[1:, :, :count], alone[1], atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_second_stage_sees_the_whole_prompt_only_with_prefix_start():
    ids, first = torch.randint(12, (1, 4)), torch.randint(16, (6,))
    prompt = torch.randint(16, (3, 4))
    other = prompt.clone()
    other[2] = (prompt[2] + 1) % 16  # the last codebook of the prompt
    for prefix, same in (("none", True), ("start", False)):
        net = tiny(prefix=prefix)
        begun = torch.tensor([4]) if prefix == "start" else None
        whole = [torch.cat([each, first.expand(3, -1)], 1)[None] for each in (prompt, other)]
        scores = [net.nar(ids, torch.tensor([4]), one, torch.tensor([10]), 1, begun).scores[:, 4:] for one in whole]
        assert torch.equal(*scores) == same


@pytest.mark.parametrize("layout", ["amphion", "lifeiteng"])
def test_published_names_and_sizes_are_read(published_layout, layout):
    shapes = published_layout("valle")
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == 373_678_084
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    config, tensors = VALLEv1.import_state_dict(
        {"model": state} if layout == "lifeiteng" else state, layout=layout, config={"nhead": 16, "prefix_mode": 1}
    )
    assert config == VALLEv1.Config(vocabulary=512)
    with torch.device("meta"):
        own = {name: tensor.shape for name, tensor in VALLEv1(config).state_dict().items()}
    assert {name: tensor.shape for name, tensor in tensors.items()} == own
    unique = sum(p.numel() for p in tensors.values())
    assert unique == 367_386_628  # without the copies of tied tensors


def test_other_checkpoints_and_prefix_modes_are_refused(case):
    with pytest.raises(WeightsError, match="no VALL-E checkpoint"):
        VALLEv1.import_state_dict({"weight": torch.zeros(1)}, layout="amphion")
    with pytest.raises(WeightsError, match="prefix_mode 4"):
        VALLEv1.import_state_dict(case["state_dict"], layout="amphion", config={"prefix_mode": 4})
    untied = dict(case["state_dict"])
    untied["nar_predict_layers.0.weight"] = untied["nar_predict_layers.0.weight"] + 1
    with pytest.raises(WeightsError, match="should be tied"):
        VALLEv1.import_state_dict(untied, layout="amphion", config={"nhead": 4})
