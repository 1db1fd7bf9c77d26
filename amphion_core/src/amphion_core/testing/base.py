"""The base of all checks: what a check is, how it fails, and the example of a component that it works on."""

from collections.abc import Callable, Iterator
from typing import Any

from amphion_core.registry import ComponentRef

Check = Callable[[ComponentRef], None]
"""A function that raises CheckFailed, or any other error, when the component breaks a promise."""


class CheckFailed(AssertionError):
    """A component breaks a promise of its kind. The message says which."""


def require(condition: object, message: str) -> None:
    """Raise CheckFailed with ``message`` unless the condition holds."""
    if not condition:
        raise CheckFailed(message)


def example_config(ref: ComponentRef) -> Any:
    """The component's ``example_config()``, or its ``Config()`` where it has none."""
    component = ref.load()
    return component.example_config() if hasattr(component, "example_config") else component.Config()


def require_described(config: Any, what: str) -> None:
    """Raise CheckFailed unless each field has a description, and each number a range."""
    fields = config.model_fields
    bare = [name for name, field in fields.items() if not field.description]
    require(not bare, f"{what} has fields without a description: {bare}")
    open_numbers = [name for name, field in fields.items() if _is_number(field.annotation) and not _has_bound(field)]
    require(not open_numbers, f"{what} has numbers without a range (ge, gt, le, lt): {open_numbers}")


def _is_number(annotation: Any) -> bool:
    parts = set(getattr(annotation, "__args__", ())) or {annotation}
    return bool(parts & {int, float})


def _has_bound(field: Any) -> bool:
    return any(hasattr(item, name) for item in field.metadata for name in ("ge", "gt", "le", "lt"))


def tensors(value: Any) -> Iterator[Any]:
    """Every tensor of a nested result: tuples, lists, dicts, dataclasses."""
    from torch import Tensor

    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from tensors(getattr(value, name))
