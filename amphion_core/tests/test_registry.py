"""The registry: names, aliases, conflicts, versions, and broken plugins that hurt only themselves."""

import pytest

import amphion_core as amphion
from amphion_core import cards, registry
from amphion_core.api import BaseConfig, Card, FeatureExtractor
from amphion_core.errors import (
    InvalidComponent,
    NameConflict,
    PluginImportError,
    PluginIncompatible,
    RegistryError,
    UnknownComponent,
)
from amphion_core.registry import ComponentRef


class Fine(FeatureExtractor):
    """A feature that is complete."""

    class Config(BaseConfig):
        """Empty."""

    def extract(self, wave, lengths=None):
        return wave


class NoConfig(FeatureExtractor):
    """A feature whose config was forgotten."""

    Config = None

    def extract(self, wave, lengths=None):
        return wave


BROKEN_CARDS = property()  # not a list of cards
CARDS = [Card(name="vocoder/griffin_lim@soft", title="a card of a test", config={"iterations": 3})]


def ref(name="fine", target=f"{__name__}:Fine", kind="features", dist="amphion-a", **fields):
    return ComponentRef(
        kind, name, target, dist, "0.1.0", **({"requires_core": ">=0.1,<0.2", "api": "amphion_core.api:v1"} | fields)
    )


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """This module under its own name, as an installed plugin would be."""
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__(__name__))


def test_a_temporary_component_is_known_inside_the_block_only():
    with registry.temporary(ref()):
        assert amphion.get("features", "fine").__name__ == "Fine"
        assert "fine" in amphion.list("features")
    with pytest.raises(UnknownComponent):
        amphion.find("features", "fine")


def scanned(monkeypatch, *refs):
    monkeypatch.setattr(registry, "_scan", lambda: refs)


@pytest.mark.parametrize("order", [("amphion-a", "amphion-b"), ("amphion-b", "amphion-a")])
def test_a_name_of_two_distributions_is_an_error_that_names_both(monkeypatch, order):
    scanned(monkeypatch, *(ref(dist=dist) for dist in order))
    with pytest.raises(NameConflict, match=r"amphion-a \(.*\) and amphion-b"):
        amphion.find("features", "fine")
    assert {each.status for each in registry.refs("features")} == {
        "also claimed by amphion-a",
        "also claimed by amphion-b",
    }
    monkeypatch.setenv("AMPHION_PREFER", "other=x, fine=amphion-b")
    assert amphion.find("features", "fine").dist == "amphion-b"


def test_a_conflict_hurts_only_its_own_name(monkeypatch):
    scanned(monkeypatch, ref(dist="amphion-a"), ref(dist="amphion-b"), ref(name="other"))
    assert amphion.get("features", "other").__name__ == "Fine"


def test_an_alias_is_followed_and_never_loaded(monkeypatch):
    alias = ref(name="old_name", kind="aliases", target=f"{__name__}:Fine")
    scanned(monkeypatch, ref(), alias)
    assert amphion.find("features", "old_name").name == "fine"


@pytest.mark.parametrize(
    ("fields", "error", "reason"),
    [
        ({"requires_core": ">=0.3"}, PluginIncompatible, "wants amphion-core>=0.3, found 0.1.0"),
        ({"requires_core": "what"}, PluginIncompatible, "no readable version"),
        ({"api": "amphion_core.api:v0"}, PluginIncompatible, "speaks amphion_core.api:v0, this core speaks"),
        ({"api": ""}, PluginIncompatible, "declares no interface"),
        ({"target": "no_such_module:X"}, PluginImportError, "No module named 'no_such_module'"),
        ({"target": "json:Nope"}, PluginImportError, "declares json:Nope, and there is no such attribute"),
        ({"target": "json:JSONDecoder"}, InvalidComponent, "is not a subclass of amphion_core.api.FeatureExtractor"),
        ({"target": f"{__name__}:NoConfig"}, InvalidComponent, "has no nested class Config"),
    ],
)
def test_what_cannot_be_used_says_why(fields, error, reason):
    with registry.temporary(ref(**fields)), pytest.raises(error) as caught:
        amphion.get("features", "fine")
    assert reason in caught.value.message and caught.value.hint


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        ("models", "vocoder/hifgan", "did you mean vocoder/hifigan?"),
        ("models", "hifigan", "did you mean vocoder/hifigan?"),
        ("models", "tta/audioldn", "did you mean tta/audioldm?"),
        ("models", "vocoder/zzzzzz", "amphion list models"),
        ("models", "Vocoder/HiFi", "names look like"),
        ("models", "vocoder/hifigan@", "names look like"),
        ("metrics", "pesqwb", "did you mean pesq_wb?"),
        ("metrics", "vocoder/hifigan", "vocoder/hifigan is a model; amphion list metrics"),
        ("metrics", "vocoder/zzzzzz", "amphion list metrics"),
        ("models", "mel", "mel is a feature; amphion list models"),
    ],
)
def test_an_unknown_name_gets_the_next_step(kind, name, hint):
    with pytest.raises(UnknownComponent) as caught:
        amphion.find(kind, name)
    assert hint in caught.value.hint
    assert isinstance(caught.value, LookupError)


def test_there_is_no_such_kind():
    with pytest.raises(RegistryError, match="no kind 'modells'"):
        amphion.list("modells")


def test_cards_of_a_broken_plugin_hurt_only_themselves():
    good = ref(name="amphion-a", kind="pretrained", target=f"{__name__}:CARDS")
    bad = ref(name="amphion-b", kind="pretrained", target=f"{__name__}:BROKEN_CARDS", dist="amphion-b")
    with registry.temporary(good, bad):
        assert cards.find("vocoder/griffin_lim@soft").config == {"iterations": 3}
        assert cards.find("vocoder/hifigan@v1")
        assert any("cards of amphion-b" in note for note in cards.notes())
        with pytest.raises(UnknownComponent, match=r"cards of amphion-b 0\.1\.0 cannot be read"):
            cards.find("vocoder/hifigan@v9")


def test_an_unknown_tag_lists_the_tags_or_the_nearest():
    with pytest.raises(UnknownComponent, match="has no card 'nothing-like-it'") as caught:
        cards.find("vocoder/hifi_gan@nothing-like-it")
    assert "v1, v2, v3" in caught.value.hint


def test_a_default_that_is_not_ready_says_what_each_card_needs():
    missing = Card(
        name="tta/x@a", title="t", source="package:nowhere_to_be_found/x.bin", pip="amphion-x[weights]", default=True
    )
    row = ref(name="amphion-a", kind="pretrained", target=f"{__name__}:MISSING")
    globals()["MISSING"] = [missing]
    with registry.temporary(row), pytest.raises(UnknownComponent) as caught:
        cards.default("tta")
    assert caught.value.hint == 'pip install "amphion-x[weights]"'


def test_hooks_of_a_broken_plugin_cost_one_warning(monkeypatch):
    from amphion_core import hooks

    hooks.manager.cache_clear()
    broken = ref(name="amphion-x", kind="hooks", target="no_such_hooks")
    with registry.temporary(broken), pytest.warns(RuntimeWarning, match=r"hooks of amphion-a 0\.1\.0 are off"):
        manager = hooks.manager()
    assert manager.hook.amphion_doctor() == []
    hooks.manager.cache_clear()


def test_the_first_docstring_line_is_read_without_importing():
    import sys

    sys.modules.pop("amphion_vocoders.models.griffin_lim", None)
    assert amphion.find("models", "vocoder/griffin_lim").summary.startswith("Griffin-Lim")
    assert "amphion_vocoders.models.griffin_lim" not in sys.modules


def test_a_missing_optional_package_is_named_without_an_import(monkeypatch, tmp_path):
    (tmp_path / "far_tracker.py").write_text(
        '"""Two trackers."""\nimport nothing_like_this\n\n'
        'class Far:\n    """A far tracker."""\n\n    needs_packages = ("nothing_like_this", "parselmouth_x")\n\n'
        'class Near:\n    """A near tracker."""\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    far, near = (ref(name=name.lower(), target=f"far_tracker:{name}") for name in ("Far", "Near"))
    scanned(monkeypatch, far, near)
    assert far.status == "needs nothing_like_this, parselmouth_x" and near.status == "ok"
    assert (far.summary, near.summary) == ("A far tracker.", "A near tracker.")
    scanned(monkeypatch, far)
    assert far.summary == "Two trackers."
