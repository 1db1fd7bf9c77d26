"""Hooks through which plugins observe the core (pluggy). They may return notes; they change and register nothing."""

import warnings
from functools import cache
from typing import Any

import pluggy

hookspec = pluggy.HookspecMarker("amphion")
hookimpl = pluggy.HookimplMarker("amphion")


class HookSpecs:
    """The hooks that a plugin may implement. They are few, because each must stay stable for years."""

    @hookspec
    def amphion_doctor(self) -> list[str]:
        """Lines for ``amphion doctor``, such as the state of the packages and data that the plugin needs."""
        return []

    @hookspec
    def amphion_model_loaded(self, name: str, net: Any) -> None:
        """Called after a network was loaded with its weights, before ``load`` returns it."""


@cache
def manager() -> pluggy.PluginManager:
    """Calls the hooks of all plugins; made once. A plugin whose hooks cannot be loaded gives one warning."""
    from amphion_core import registry

    hooks = pluggy.PluginManager("amphion")
    hooks.add_hookspecs(HookSpecs)
    for ref in registry.refs("hooks"):
        try:
            module = ref.load()
            hooks.register(module, name=ref.dist)
            hooks.check_pending()
        except Exception as error:
            if hooks.has_plugin(ref.dist):  # an unknown hook is found only after the registration
                hooks.unregister(name=ref.dist)
            warnings.warn(f"hooks of {ref.dist} {ref.version} are off: {error}", RuntimeWarning, stacklevel=2)
    return hooks
