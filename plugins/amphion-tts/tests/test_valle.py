"""The paper's VALL-E: its Llama equals transformers', published names, sequences, and generation with the cache."""

import pytest
import torch

from amphion_core.errors import WeightsError
from amphion_tts.models.code_generation import CodeControls
from amphion_tts.models.llama import AdaptiveRMSNorm, Llama
from amphion_tts.models.valle import VALLE

SIZES = {
    "vocabulary": 12, "n_codebooks": 3, "codebook_size": 16, "channels": 16, "n_heads": 2, "n_layers": 2, "width": 32,
}  # fmt: skip


def tiny(**changes):
    torch.manual_seed(0)
    return VALLE(VALLE.Config(**SIZES | changes)).eval()


@pytest.fixture(scope="module")
def theirs():
    """transformers' Llama with random weights, of the sizes of ``tiny``."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=38, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=4096, rms_norm_eps=1e-6, tie_word_embeddings=False,
    )  # fmt: skip
    net = LlamaForCausalLM(config).eval()
    for name, parameter in net.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
        else:
            torch.nn.init.normal_(parameter, std=0.2)
    return net


def with_weights_of(net, theirs):
    """``net`` with the tensors of transformers' Llama in its AR model."""
    from amphion_tts.models.valle_layouts import our_name

    state = {our_name(name): tensor for name, tensor in theirs.state_dict().items()}
    net.ar.load_state_dict(state)
    return net


@torch.no_grad()
def test_the_ar_model_gives_the_scores_of_transformers_llama(theirs):
    net = with_weights_of(tiny(), theirs)
    tokens = torch.randint(38, (2, 1100))  # longer than one table of angles
    x = net.ar.decoder(net.ar.embed_tokens(tokens), causal=True)
    torch.testing.assert_close(net.ar.lm_head(x), theirs(tokens).logits, atol=1e-4, rtol=0)


@torch.no_grad()
def test_steps_with_the_cache_give_the_scores_of_transformers_for_the_whole(theirs):
    net = with_weights_of(tiny(), theirs)
    ids, codes = torch.tensor([3, 0, 11]), torch.randint(16, (9,))
    steps = net.ar.steps(ids, codes[:4], 6)
    found = torch.stack([steps(None), *(steps(int(code)) for code in codes[4:])])
    tokens = torch.tensor([[28 + 3, 16 + 3, 16 + 0, 16 + 11, 28 + 4, 28 + 1, *codes.tolist()]])
    scores = theirs(tokens).logits[0, -6:]
    torch.testing.assert_close(found[:, :16], scores[:, :16], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[:, 16], scores[:, 28 + 2], atol=1e-4, rtol=0)  # the end


@torch.no_grad()
def test_an_explicit_causal_mask_gives_the_same_as_the_causal_switch():
    torch.manual_seed(0)
    net, x = Llama(16, 2, 2, 32, 1e-6).eval(), torch.randn(2, 7, 16)
    mask = torch.ones(7, 7, dtype=torch.bool).tril()[None, None]
    torch.testing.assert_close(net(x, mask), net(x, causal=True), atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_nar_blocks_with_a_constant_weight_of_the_norms_are_those_of_llama():
    torch.manual_seed(0)
    plain, adaptive = Llama(16, 2, 2, 32, 1e-6), Llama(16, 2, 2, 32, 1e-6, adaptive=True, adaptive_end=True)
    for module in adaptive.modules():
        if isinstance(module, AdaptiveRMSNorm):
            module.to_weight.weight.zero_()
            module.to_weight.bias.fill_(1)
    kept = {name: tensor for name, tensor in plain.state_dict().items() if "norm" not in name}
    adaptive.load_state_dict(kept, strict=False)
    x = torch.randn(2, 5, 16)
    torch.testing.assert_close(adaptive(x, condition=torch.randn(16)), plain(x), atol=1e-5, rtol=0)


@torch.no_grad()
def test_targets_are_the_codes_and_the_end():
    net = tiny()
    given = net.example_inputs()
    found = net.ar(**given)
    for row, count in enumerate(given["code_lengths"].tolist()):
        expected = [*given["codes"][row, 0, :count].tolist(), 28 + 2]
        assert found.targets[row][found.predicted[row]].tolist() == expected


@torch.no_grad()
@pytest.mark.parametrize("prefix", [None, (4, 2)])
def test_an_item_is_the_same_alone_and_in_a_padded_batch(prefix):
    net = tiny()
    given = net.example_inputs()
    first = None if prefix is None else torch.tensor(prefix)
    size, count = int(given["lengths"][1]), int(given["code_lengths"][1])
    alone = {
        "ids": given["ids"][1:, :size], "lengths": given["lengths"][1:], "codes": given["codes"][1:, :, :count],
        "code_lengths": given["code_lengths"][1:],
    }  # fmt: skip
    pairs = (
        (net.ar(**given), net.ar(**alone)),
        (
            net.nar(**given, stage=2, prefix=first),
            net.nar(**alone, stage=2, prefix=None if first is None else first[1:]),
        ),
    )
    for both, own in pairs:
        assert torch.equal(both.targets[1][both.predicted[1]], own.targets[0][own.predicted[0]])
        mine, theirs = both.scores[1][both.predicted[1]], own.scores[0][own.predicted[0]]
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_other_codebooks_are_filled_with_what_the_training_pass_finds_likeliest():
    net = tiny()
    ids, prompt, first = torch.randint(12, (4,)), torch.randint(16, (3, 5)), torch.randint(16, (6,))
    codes = net.nar.fill(ids, prompt, first)
    whole = torch.cat([prompt, codes], 1)[None]
    for stage in (1, 2):
        found = net.nar(ids[None], torch.tensor([4]), whole, torch.tensor([11]), stage, torch.tensor([5]))
        assert torch.equal(found.scores[0, 5:, :16].argmax(-1), codes[stage])
    assert torch.equal(codes[0], first)


def test_generation_ends_and_gives_all_codebooks(monkeypatch):
    monkeypatch.setattr(VALLE, "codec", type("Codec", (), {"frame_rate": 50.0}))
    net, g = tiny(), torch.Generator().manual_seed(0)
    ids, prompt = torch.tensor([1, 2, 3]), torch.randint(16, (3, 5))
    codes = net.generate_codes(ids, torch.tensor([4, 5]), prompt, g, CodeControls(longest=0.5))
    assert codes.shape[0] == 3 and 0 < codes.shape[1] <= 25 and int(codes.max()) < 16


def published():
    """Names and sizes of amphion/valle, as described: AR and NAR model."""
    norms = ("input_layernorm", "post_attention_layernorm")
    ar, nar = {}, {}
    for layer in range(16):
        for state in (ar, nar):
            for name in "qkvo":
                state[f"model.model.layers.{layer}.self_attn.{name}_proj.weight"] = (1024, 1024)
            for name, shape in {"gate": (4096, 1024), "up": (4096, 1024), "down": (1024, 4096)}.items():
                state[f"model.model.layers.{layer}.mlp.{name}_proj.weight"] = shape
        ar |= {f"model.model.layers.{layer}.{name}.weight": (1024,) for name in norms}
        nar |= {f"model.model.layers.{layer}.{name}.to_weight.weight": (1024, 1024) for name in norms}
        nar |= {f"model.model.layers.{layer}.{name}.to_weight.bias": (1024,) for name in norms}
    ar |= {"model.model.embed_tokens.weight": (1334, 1024), "model.lm_head.weight": (1334, 1024)}
    nar |= {f"model.lm_head.{book}.weight": (1334, 1024) for book in range(7)}
    nar |= {f"prompt_embedder.embeddings.{book}.weight": (1034, 1024) for book in range(8)}
    nar |= {"phone_embedder.weight": (310, 1024), "model.model.embed_cond.weight": (7, 1024)}
    for state in (ar, nar):
        state["model.model.norm.weight"] = (1024,)
    return tuple({name: torch.empty(shape, device="meta") for name, shape in state.items()} for state in (ar, nar))


def test_published_names_and_sizes_are_read():
    ar, nar = published()
    config, tensors = VALLE.import_state_dict(ar, layout="amphion", config={"nar": nar})
    assert config == VALLE.Config(vocabulary=300, code_rows=1034)
    with torch.device("meta"):
        net = VALLE(config)
    assert {name: t.shape for name, t in tensors.items()} == {name: t.shape for name, t in net.state_dict().items()}
    assert 270e6 < sum(p.numel() for p in net.ar.parameters()) < 272e6  # the reference says 271 M
    ends = config.first_special
    assert (ends, ends + 1, ends + 2) == (1324, 1325, 1326)
    with pytest.raises(WeightsError, match="nar"):
        VALLE.import_state_dict(ar, layout="amphion")
