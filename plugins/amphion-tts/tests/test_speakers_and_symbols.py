"""What VITS takes from a corpus: speakers by name and the symbols of its texts, stored in the config."""

import pytest

import amphion_core as amphion
from amphion_core import weights
from amphion_core.data.config import DataConfig
from amphion_core.data.facts import CorpusFacts
from amphion_core.errors import DataError
from amphion_core.speakers import number_names, speaker_index
from amphion_tts import VITS

TINY = VITS.example_config()


@pytest.fixture
def facts(tmp_path):
    """Facts of a corpus given as (speaker, text) pairs."""
    from amphion_core import yaml
    from amphion_core.component import Utterance
    from amphion_core.data.manifest import Record

    def write(*pairs):
        lines = []
        for index, (speaker, text) in enumerate(pairs):
            utterance = Utterance(f"u{index}", f"u{index}.wav", 1.0, speaker=speaker, text=text, split="train")
            lines.append(Record(utterance, 16000, f"digest-{index}").line() + "\n")
        (tmp_path / "train.jsonl").write_text("".join(lines), encoding="utf-8")
        (tmp_path / "dataset.yaml").write_text(yaml.dump({"root": str(tmp_path)}), encoding="utf-8")
        return CorpusFacts(DataConfig(root=str(tmp_path)))

    return write


def test_the_corpus_gives_the_speakers_where_the_config_states_none(facts):
    corpus = facts(("ben", "b"), ("ann", "a"), ("ben", "c"))
    for stated in (TINY, TINY.replace(speakers=(), n_speakers=1)):
        config = VITS.config_for(stated, corpus)
        assert (config.speakers, config.n_speakers) == (("ann", "ben"), 2)


def test_speakers_that_the_config_states_keep_their_order_and_others_are_refused(facts):
    corpus = facts(("ben", "b"), ("ann", "a"))
    stated = TINY.replace(speakers=("cleo", "ben", "ann"), n_speakers=3)
    assert VITS.config_for(stated, corpus).speakers == ("cleo", "ben", "ann")
    with pytest.raises(DataError, match="without 'ann'; the corpus has 2 speakers"):
        VITS.config_for(TINY.replace(speakers=("ben", "cleo")), corpus)
    with pytest.raises(DataError, match="states 109 speakers without 'ann'") as caught:
        VITS.config_for(TINY.replace(n_speakers=109), corpus)
    assert "model.n_speakers=2" in caught.value.hint


def test_an_empty_symbol_table_is_filled_from_the_texts(facts):
    corpus = facts(("", "Ünder, die"), ("", "Brücke!"))
    stated = VITS.Config(frontend={"name": "characters", "symbols": []}, vocabulary=None)
    config = VITS.config_for(stated, corpus)
    symbols = config.frontend.config.symbols
    assert symbols == ("_", *sorted(set("ünder, diebrücke!")))
    assert config.vocabulary_size == len(symbols)
    full = VITS.Config(frontend="characters")
    assert VITS.config_for(full, corpus).frontend == full.frontend


def test_names_are_stored_with_the_weights_and_read_again(tmp_path):
    config = TINY.replace(speakers=("ann", "ben"))
    net = amphion.load(weights.save(VITS(config), tmp_path / "two"))
    assert net.config.speakers == ("ann", "ben")
    assert VITS.Config(vocabulary=4, speakers=("ann", "ben")).n_speakers == 2
    assert VITS.Config(vocabulary=4, n_speakers=3).speakers == number_names(3) == ("0", "1", "2")


def test_a_speaker_is_found_by_name_and_an_unknown_one_gets_the_nearest():
    assert speaker_index("ben", ("ann", "ben")) == 1
    with pytest.raises(DataError, match="has no speaker 'bem'") as caught:
        speaker_index("bem", ("ann", "ben"), model="tts/two")
    assert caught.value.hint == "did you mean ben?"
    with pytest.raises(DataError) as caught:
        speaker_index("x", number_names(40))
    assert caught.value.hint.endswith("and 28 more")
