"""Observer hooks of plugins (pluggy). They watch and may return notes; they change nothing and register nothing."""

import warnings
from functools import cache
from typing import Any

import pluggy

hookspec = pluggy.HookspecMarker("amphion")
hookimpl = pluggy.HookimplMarker("amphion")


class HookSpecs:
    """What a plugin may listen to. Each hook is an interface for years, so they are few."""

    @hookspec
    def amphion_doctor(self) -> list[str]:
        """Lines for ``amphion doctor``: what this plugin found of its own packages and data."""
        return []

    @hookspec
    def amphion_model_loaded(self, name: str, net: Any) -> None:
        """A network was loaded with its weights and is about to be handed out."""


@cache
def manager() -> pluggy.PluginManager:
    """The hook caller, with every readable plugin registered; loaded once, a broken plugin costs one warning."""
    from amphion_core import registry

    hooks = pluggy.PluginManager("amphion")
    hooks.add_hookspecs(HookSpecs)
    for ref in registry.refs("hooks"):
        try:
            module = ref.load()
            hooks.register(module, name=ref.dist)
            hooks.check_pending()
        except Exception as error:
            if hooks.has_plugin(ref.dist):  # half registered: an unknown hook is found after registration
                hooks.unregister(name=ref.dist)
            warnings.warn(f"hooks of {ref.dist} {ref.version} are off: {error}", RuntimeWarning, stacklevel=2)
    return hooks
