"""The condition encoder: reference numbers, fine melody, and voices as vectors."""

import pytest
import torch

from amphion_svc.features.melody import coarse_f0
from amphion_svc.models.condition import Condition, ConditionEncoder, loudness_edges

PUBLISHED = {
    "whisper_encoder.nn": "content.whisper_encoder", "contentvec_encoder.nn": "content.contentvec",
    "melody_encoder.nn": "melody", "melody_encoder.uv_embedding": "unvoiced", "loudness_encoder.nn": "loudness",
    "singer_encoder.nn": "speaker",
}  # fmt: skip


def ours(state):
    """The published tensors under our names."""
    return {
        f"{PUBLISHED[name]}.{kind}": value
        for (name, _, kind), value in ((full.rpartition("."), value) for full, value in state.items())
        if name in PUBLISHED
    }


def test_the_condition_is_that_of_the_reference(golden):
    case = golden("svc")
    given, state = case["inputs"]["condition"], case["state_dict"]["condition"]
    encoder = ConditionEncoder(24, {"whisper_encoder": 20, "contentvec": 12}, loudness=(1e-30, 1.5), n_speakers=16)
    encoder.load_state_dict(ours(state))
    assert torch.allclose(encoder.edges, state["loudness_encoder.energy_bins"], rtol=1e-5)
    content = {"whisper_encoder": given["whisper_feat"].mT, "contentvec": given["contentvec_feat"].mT}
    found = encoder(
        Condition(content, given["frame_pitch"], given["frame_uv"], given["frame_energy"], given["spk_id"][:, 0])
    )
    assert (found.mT - case["outputs"]["condition"]).abs().max() < 1e-5
    assert torch.equal(coarse_f0(case["inputs"]["f0"]), case["outputs"]["f0_coarse"])


def test_the_published_sizes():
    encoder = ConditionEncoder(384, {"whisper_encoder": 1024, "contentvec": 256}, loudness=(1e-30, 1.5), n_speakers=512)
    assert sum(p.numel() for p in encoder.parameters()) + encoder.edges.numel() == 886_527


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return ConditionEncoder(8, {}, melody="fine", voice_dim=4)


def condition(f0, speaker):
    return Condition({}, f0, torch.zeros_like(f0), None, speaker)


def test_fine_melody_lies_between_the_classes(encoder):
    f0 = torch.linspace(49, 1200, 4000)[None]
    found = encoder(condition(f0, torch.zeros(1, 4)))
    assert torch.equal(found[..., -1], found[..., -2])  # above the highest class nothing changes
    encoder.melody_kind = "coarse"
    steps = encoder(condition(f0, torch.zeros(1, 4))).diff().abs()
    assert found.diff().abs().max() < steps.max() / 4


def test_a_voice_is_a_vector_that_is_added_to_every_frame(encoder):
    f0, voice = torch.full((2, 5), 200.0), torch.randn(2, 4, generator=torch.Generator().manual_seed(1))
    with_voice, without = encoder(condition(f0, voice)), encoder(condition(f0, torch.zeros(2, 4)))
    expected = (voice @ encoder.speaker.weight.T)[..., None].expand(2, 8, 5)
    assert torch.allclose(with_voice - without, expected, atol=1e-5)


def test_edges_rise_by_equal_steps_of_level():
    edges = loudness_edges(1e-4, 100.0)
    assert len(edges) == 255 and edges[0] == pytest.approx(1e-4) and edges[-1] == pytest.approx(100, rel=1e-5)
    assert edges.log().diff().std() < 1e-4
