"""The registry: finds components by name. Listing imports nothing; resolving a name imports exactly one module.

It reads Python entry points as text. A distribution declares a component in its ``pyproject.toml``::

    [project.entry-points."amphion.models"]
    "vocoder/hifigan" = "amphion_vocoders.models.hifigan:HiFiGAN"

Names are ``[family/]ident``, with ``@tag`` for a card. Importing a module registers nothing.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from importlib.metadata import Distribution, distributions
from typing import Any

from amphion_core import source_text
from amphion_core.errors import (
    InvalidComponent,
    NameConflict,
    PluginImportError,
    PluginIncompatible,
    RegistryError,
    UnknownComponent,
    nearest,
    shown,
)

v1 = "amphion_core.api:v1"
"""The interface version; a plugin declares it as the entry point ``amphion.api``."""

SPOKEN = (v1,)
"""The interface versions that this core supports."""

BASES = {
    "models": "amphion_core.families:ModelArchitecture",
    "features": "amphion_core.component:FeatureExtractor",
    "augmentations": "amphion_core.component:Augmentation",
    "datasets": "amphion_core.component:Dataset",
    "tasks": "amphion_core.component:TaskFramework",
    "trainers": "amphion_core.training.trainer:ModelTrainer",
    "metrics": "amphion_core.component:Metric",
    "embeddings": "amphion_core.component:AudioEmbedding",
    "recognizers": "amphion_core.component:SpeechRecognizer",
    "frontends": "amphion_core.component:TextFrontend",
}
"""The kinds of components, each with the base class that its components must have."""

FAMILIES = {
    "vocoder": "amphion_core.families:Vocoder",
    "discriminator": "amphion_core.families:Discriminator",
    "codec": "amphion_core.families:Codec",
    "tts": "amphion_core.families:TextToSpeech",
    "svc": "amphion_core.families:VoiceConverter",
    "tta": "amphion_core.families:TextToAudio",
    "text_encoder": "amphion_core.families:TextEncoder",
}
"""The families of models that the core checks, each with its base class. Other families are not checked."""

PLUMBING = ("pretrained", "recipes", "commands", "hooks", "aliases", "api")
"""Entry-point groups that are not components."""

PROVIDERS = {
    "vocoder": "amphion-vocoders", "discriminator": "amphion-vocoders", "codec": "amphion-vocoders",
    "vocode": "amphion-vocoders", "tts": "amphion-tts", "voice": "amphion-tts", "frontends": "amphion-tts",
    "svc": "amphion-svc", "tta": "amphion-tta", "text_encoder": "amphion-tta", "autoencoder": "amphion-tta",
    "eval": "amphion-eval", "metrics": "amphion-eval", "embeddings": "amphion-eval", "recognizers": "amphion-eval",
}  # fmt: skip
"""The distribution that provides a family, kind or command. The core knows no names of models."""

NAME = re.compile(r"(?:(?P<family>[a-z][a-z0-9_]*)/)?(?P<ident>[a-z][a-z0-9_]*)(?:@(?P<tag>[a-z0-9][a-z0-9._-]*))?")
_IMPORT_TO_DIST = {
    "parselmouth": "praat-parselmouth", "espeakng_loader": "espeakng-loader", "swift_f0": "swift-f0", "yaml": "pyyaml",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ComponentRef:
    """One component or command, as the metadata of its distribution describes it. Making it imports nothing."""

    kind: str
    name: str
    target: str  # "module:attribute"
    dist: str
    version: str
    requires_core: str = ""  # the version specifier, such as ">=0.1,<0.2"
    api: str = ""  # the interface marker the distribution declares

    @property
    def status(self) -> str:
        """``ok``, or why it cannot be used: its version, its interface, another one of that name, a missing package."""
        rivals = [ref.dist for ref in _claims(self.kind, self.name) if ref.dist != self.dist]
        if rivals and _preferred(self.name) != self.dist:
            return f"also claimed by {', '.join(rivals)}"
        return _incompatibility(self) or (f"needs {', '.join(self.missing)}" if self.missing else "ok")

    @property
    def missing(self) -> list[str]:
        """The optional packages that it needs and that are not installed, by the names that pip knows."""
        packages = source_text.needed_packages(self.target) if self.kind in BASES else ()
        return [_IMPORT_TO_DIST.get(name, name) for name in packages if source_text.module_path(name) is None]

    @property
    def summary(self) -> str:
        """What it is in one line, from its docstring; see `source_text.summary`."""
        shared = [ref for ref in refs(self.kind) if ref.target.partition(":")[0] == self.target.partition(":")[0]]
        return source_text.summary(self.target, own=len(shared) > 1)

    def load(self) -> Any:
        """Import the one module and return the checked class (for plumbing: the object).

        Raises PluginIncompatible, PluginImportError or InvalidComponent.
        """
        if reason := _incompatibility(self):
            short = "pip install -U amphion-core" if "amphion-core" in reason else f"pip install -U {self.dist}"
            raise PluginIncompatible(
                f"{self.kind[:-1]} {self.name!r} from {self.dist} {self.version} {reason}", hint=short
            )
        found = _import(self)
        if self.kind in BASES:
            _check_class(self, found)
        return found


def names(kind: str, pattern: str = "*") -> list[str]:
    """Names of installed components of a kind, sorted: ``names("models", "vocoder/*")``. Imports no plugin."""
    require_text("a pattern of names", pattern)
    return sorted({ref.name for ref in refs(kind) if fnmatchcase(ref.name, pattern)})


def refs(kind: str) -> list[ComponentRef]:
    """The references of a kind, sorted by name; two if two distributions have one name. Raises RegistryError."""
    require_text("a kind of components", kind)
    if kind not in BASES and kind not in PLUMBING:
        raise RegistryError(f"there is no kind {kind!r}", hint=f"kinds are {', '.join(BASES)}")
    found = [ref for ref in (*_temporary.get(), *_scan()) if ref.kind == kind]
    return sorted(found, key=lambda ref: (ref.name, ref.dist))


def find(kind: str, name: str) -> ComponentRef:
    """The reference of a name; a tag is ignored, and an alias gives what it stands for. Imports no plugin.

    Raises UnknownComponent with the nearest name or the pip command, NameConflict when two distributions have it.
    """
    require_text("a component", name)
    match = NAME.fullmatch(name)
    if not match:
        raise UnknownComponent(
            f"{shown(name)} is not a component name", hint="names look like mel, vocoder/hifigan or vocoder/hifigan@v1"
        )
    bare = name.partition("@")[0]
    claims = _claims(kind, bare) or _claims(kind, _canonical(kind, bare))
    if not claims:
        raise _unknown(kind, bare, match["family"])
    if len(claims) > 1:
        chosen = [ref for ref in claims if ref.dist == _preferred(claims[0].name)]
        if len(chosen) != 1:
            both = " and ".join(f"{ref.dist} ({ref.target})" for ref in claims)
            hint = f'uninstall one, or set AMPHION_PREFER="{bare}={claims[0].dist}"'
            raise NameConflict(f"{bare!r} is claimed by {both}", hint=hint)
        return chosen[0]
    return claims[0]


def require_text(what: str, value: Any) -> None:
    """Raise InvalidComponent unless ``value``, which names ``what``, is text."""
    if not isinstance(value, str):
        raise InvalidComponent(
            f"{what} is named by text, got {shown(value)}", hint="amphion list shows names, such as vocoder/hifigan"
        )


def get(kind: str, name: str) -> Any:
    """The class behind a name. Raises RegistryError (see ``find`` and ``ComponentRef.load``)."""
    return find(kind, name).load()


def name_of(component: type, kind: str = "models") -> str:
    """The registry name under which a class is installed, also where the entry point names a re-export of it.

    Raises UnknownComponent.
    """
    target = f"{component.__module__}:{component.__qualname__}"
    known = refs(kind)
    for ref in known:
        if ref.target == target:
            return ref.name
    for ref in known:
        if _re_exports(ref.target, component):
            return ref.name
    what = f"{component.__qualname__} is not installed among the {kind}"
    raise UnknownComponent(what, hint="declare it in pyproject.toml")


@contextmanager
def temporary(*added: ComponentRef) -> Iterator[None]:
    """Add references for the duration of a ``with`` block, for notebooks and tests."""
    token = _temporary.set((*added, *_temporary.get()))
    try:
        yield
    finally:
        _temporary.reset(token)


def refresh() -> None:
    """Read the installed distributions again. Needed after installing one in a running process."""
    _scan.cache_clear()


_temporary: ContextVar[tuple[ComponentRef, ...]] = ContextVar("amphion_temporary_components", default=())


@cache
def _scan() -> tuple[ComponentRef, ...]:
    """Every reference of every distribution that mentions Amphion; METADATA is parsed once for each of those."""
    found: dict[str, tuple[ComponentRef, ...]] = {}
    for dist in distributions():
        if "[amphion." in (dist.read_text("entry_points.txt") or ""):
            name = re.sub(r"[-_.]+", "-", dist.metadata["Name"]).lower()
            found.setdefault(name, tuple(_refs_of(dist, name)))  # the first on sys.path is the one that imports
    return tuple(ref for refs_ in found.values() for ref in refs_)


def _refs_of(dist: Distribution, name: str) -> Iterator[ComponentRef]:
    entries = [entry for entry in dist.entry_points if entry.group.startswith("amphion.")]
    markers = [entry.value for entry in entries if entry.group == "amphion.api"]
    version, requires = dist.metadata["Version"], ""
    for line in dist.requires or ():
        if match := re.match(r"amphion[-_.]core(?![\w.-])\s*(?:\[[^]]*\])?\s*\(?([^;)]*)", line, re.IGNORECASE):
            requires = requires or match[1].strip()
    for entry in entries:
        kind = entry.group.removeprefix("amphion.")
        target = entry.value.partition("[")[0].strip()  # the names of extras may follow
        yield ComponentRef(kind, entry.name, target, name, version, requires, ",".join(markers))


def _claims(kind: str, name: str) -> list[ComponentRef]:
    scoped = [ref for ref in _temporary.get() if (ref.kind, ref.name) == (kind, name)]
    return scoped or [ref for ref in refs(kind) if ref.name == name]


def _canonical(kind: str, alias: str) -> str:
    targets = {ref.target for ref in refs("aliases") if ref.name == alias}
    return next((ref.name for ref in refs(kind) if ref.target in targets), alias)


def _preferred(name: str) -> str | None:
    pairs = (pair.partition("=") for pair in os.environ.get("AMPHION_PREFER", "").split(","))
    return next((dist.strip() for key, _, dist in pairs if key.strip() == name), None)


def has_provider(kind: str) -> bool:
    """Whether the distribution of ours that provides a kind, such as metrics, is installed; True for other kinds."""
    return PROVIDERS.get(kind) in {None, *(ref.dist for ref in refs(kind))}


def _unknown(kind: str, name: str, family: str | None) -> UnknownComponent:
    installed = names(kind)
    of_family = family is not None and kind == "models"
    siblings = [other for other in installed if other.startswith(f"{family}/")] if of_family else installed
    provider = PROVIDERS.get({"commands": name, "tasks": name, "models": family}.get(kind) or kind)
    noun = kind[:-1]
    if others := [other for other in BASES if other != kind and name in names(other)]:
        see = f"{name} is a {others[0][:-1]}; amphion list {kind}"
        return UnknownComponent(f"no {noun} named {name!r} is installed", hint=see)
    idents = {other.rpartition("/")[2]: other for other in installed}  # 'hifigan' without its family is meant too
    close = nearest(name, installed) or idents.get(nearest(name, idents) or "")
    absent = not close and not has_provider(kind)
    if provider and (kind in ("commands", "tasks") or not siblings or absent):
        what = f"of the family {family!r}" if of_family else f"named {name!r}"
        return UnknownComponent(f"no {noun} {what} is installed", hint=f"pip install {provider}")
    see = "amphion --help" if kind == "commands" else f"amphion list {kind}"
    return UnknownComponent(f"no {noun} named {name!r} is installed", hint=f"did you mean {close}?" if close else see)


def _incompatibility(ref: ComponentRef) -> str | None:
    from amphion_core import __version__

    if ref.requires_core:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            if not SpecifierSet(ref.requires_core).contains(__version__, prereleases=True):
                return f"wants amphion-core{ref.requires_core}, found {__version__}"
        except InvalidSpecifier:
            return f"states no readable version of amphion-core: {ref.requires_core!r}"
    if not ref.api:
        return (
            f'declares no interface; its pyproject.toml needs [project.entry-points."amphion.api"] {ref.dist} = "{v1}"'
        )
    if not set(ref.api.split(",")) & set(SPOKEN):
        return f"speaks {ref.api}, this core speaks {', '.join(SPOKEN)}"
    return None


def _import(ref: ComponentRef) -> Any:
    module, _, attribute = ref.target.partition(":")
    provided = f"{ref.name!r} is provided by {ref.dist} {ref.version}"
    try:
        found: Any = import_module(module)
    except Exception as error:
        missing = (
            (getattr(error, "name", None) or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        )
        own = missing == module.partition(".")[0] or not missing
        hint = f"reinstall or remove {ref.dist}" if own else f"pip install {_IMPORT_TO_DIST.get(missing, missing)}"
        text = f"{provided} but {module} failed to import: {type(error).__name__}: {error}"
        raise PluginImportError(text, hint=hint) from error
    for step in filter(None, attribute.split(".")):
        if not hasattr(found, step):
            text = f"{ref.dist} {ref.version} declares {ref.target}, and there is no such attribute"
            raise PluginImportError(text, hint=f"stale install? pip install --force-reinstall {ref.dist}")
        found = getattr(found, step)
    return found


def _re_exports(target: str, component: type) -> bool:
    """Whether the name ``module:attribute`` leads to a class that is defined in another module. Imports no other."""
    module, _, attribute = target.partition(":")
    found: Any = sys.modules.get(module)  # a class that exists was imported through it, or is not offered by it
    if found is None:
        return False
    if attribute == component.__name__:  # the package may import the class lazily
        return getattr(found, attribute, None) is component
    return vars(found).get(attribute) is component


def _attribute(target: str) -> Any:
    """The object behind ``module:attribute``."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def _check_class(ref: ComponentRef, found: Any) -> None:
    family = FAMILIES.get(ref.name.partition("/")[0]) if ref.kind == "models" else None
    base = _attribute(family or BASES[ref.kind])
    schema = _attribute("amphion_core.config:BaseConfig")
    wrong = ""
    if not (isinstance(found, type) and issubclass(found, base)):
        wrong = f"is not a subclass of amphion_core.api.{base.__name__}"
    elif not (isinstance(config := getattr(found, "Config", None), type) and issubclass(config, schema)):
        wrong = "has no nested class Config(BaseConfig)"
    if wrong:
        hint = f"report it to the authors of {ref.dist}; amphion plugin check {ref.dist} lists what is wrong"
        raise InvalidComponent(f"{ref.kind[:-1]} {ref.name!r} from {ref.dist}: {ref.target} {wrong}", hint=hint)
