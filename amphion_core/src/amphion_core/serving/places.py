"""Looks at the models that the command line states before the first client does. Nothing stays loaded."""

from amphion_core import loading, registry
from amphion_core.errors import AmphionError, DataError
from amphion_core.serving.settings import Settings


def check_places(settings: Settings) -> None:
    """Raise DataError for a stated model that its task cannot use: missing, damaged, not on this disk, of another kind.

    Each is read once, which needs its size in memory for a moment.
    """
    for task, places in settings.places.items():
        framework = registry.get("tasks", task)
        if places and "model" not in framework.Config.model_fields:
            raise DataError(f"--model {places[0]}: the task {task} takes no model", hint="leave --model out")
        for place in places:
            try:
                found = _architecture(place)
            except AmphionError as error:
                raise DataError(f"--model {place}: {error.message}", hint=error.hint) from error
            _check_family(task, place, found)


def _architecture(place: str) -> str:
    """The registry name of the model at a place. A card that is on a model hub is downloaded now."""
    name = place.partition("@")[0]
    if name in registry.names("models") and not getattr(registry.get("models", name), "needs_weights", True):
        return registry.find("models", name).name
    return loading.open_weights(place).name


def _check_family(task: str, place: str, name: str) -> None:
    """Raise DataError for a model of another family, where the task is called like a family."""
    family = name.partition("/")[0]
    if family != task and registry.names("models", f"{task}/*"):
        fitting = (
            f"--model {family}={place}" if family in registry.names("tasks") else f"amphion list models '{task}/*'"
        )
        raise DataError(f"--model {place}: {name} is no model of the task {task}", hint=fitting)
