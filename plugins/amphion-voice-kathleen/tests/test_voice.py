"""The packaged voice: whole, small, permissive, and understood."""

from pathlib import Path

import pytest

import amphion_core as amphion
import amphion_voice_kathleen
from amphion_core import cards
from amphion_core.api import ModelPart
from amphion_core.cli.main import main
from amphion_core.fetching import digest

FOLDER = Path(amphion_voice_kathleen.__file__).parent
SENTENCES = (
    "She asked whether the train to Boston would leave on time.",
    "My grandmother planted 37 apple trees behind the farm.",
    "The temperature fell to minus 5 degrees during the night.",
    "Strong winds and heavy rain are expected along the coast.",
    "The museum is closed on Mondays, except during the summer.",
    "Turn left at the second traffic light, then go straight ahead.",
    "The committee could not agree on a date for the next meeting.",
    "Our children learned to swim in the lake last year.",
    "About 60% of the students passed the final examination.",
    "How many people does it take to move a piano?",
)


def test_the_cards_state_the_files_that_are_there():
    for name in ("tts/fastspeech2@kathleen", "vocoder/hifigan@kathleen"):
        card = cards.find(name)
        path = card.path()
        assert card.status == "ready" and path is not None and digest(path) == card.sha256
        assert "CC0" in card.data_licence and card.licence == "MIT" and (path.parent / "card.md").is_file()


def test_a_recipe_may_name_the_voice_as_its_model():
    part = ModelPart.named("tts/fastspeech2@kathleen", aligner=True)
    assert part.config.hidden_channels == 128 and part.config.frontend.name == "cmudict" and part.config.aligner
    assert amphion.build("tts/fastspeech2@kathleen").config == amphion.load("tts/fastspeech2@kathleen").config


def test_info_of_the_voice_shows_its_controls_scores_and_limits(capsys):
    assert main(["info", "tts/fastspeech2@kathleen"]) == 0
    text = capsys.readouterr().out
    assert "--control NAME=VALUE" in text and "  pitch_variation = None\n" in text
    assert "* Scores, with the vocoder vocoder/hifigan@kathleen" in text and "* Limits: English only" in text


def test_the_package_is_smaller_than_20_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 20e6


@pytest.fixture(scope="module")
def task():
    return amphion.task("tts", model="tts/fastspeech2@kathleen")


def test_the_voice_needs_no_frontend_under_gpl_and_brings_its_vocoder(task):
    assert type(task.frontend).__module__ == "amphion_tts.frontends.cmudict"
    assert task.vocoder is not None and task.sample_rate == 22050


def test_a_recogniser_understands_at_least_nine_words_of_ten(task):
    wer = amphion.get("metrics", "wer")
    metric = wer(wer.Config())
    scores = [metric.measure(task.generate(text), text=text) for text in SENTENCES]
    assert metric.aggregate(scores).value < 10, [score.notes["heard"] for score in scores]


def test_the_same_seed_gives_the_same_audio_and_speed_is_a_control(task):
    first, again = (task.generate(SENTENCES[-1]).samples for _ in range(2))
    assert (first == again).all()
    slow = task.generate(task.request(text=SENTENCES[-1], controls={"length_scale": 1.5}))
    assert len(slow.samples) > 1.3 * len(first)
