"""Which devices this computer has, and one check of the name that a user gives."""

from typing import Annotated

import torch
from pydantic import AfterValidator

from amphion_core.errors import DeviceError


def available_devices() -> tuple[str, ...]:
    """The names that ``resolve_device`` accepts here: ``cpu``, and one name for each GPU, such as ``cuda:0``."""
    kind = _accelerator()
    return ("cpu", *(f"{kind}:{index}" for index in range(torch.accelerator.device_count() if kind else 0)))


def resolve_device(name: "str | torch.device") -> torch.device:
    """The device called ``name``: ``cpu``, ``cuda``, ``cuda:1``, or ``auto`` for a GPU if there is one, else the CPU.

    Raises DeviceError that lists the devices of this computer.
    """
    kind = _accelerator()
    if isinstance(name, str) and name == "auto":
        return torch.device(kind or "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError, ValueError):  # not a name that torch knows
        device = None
    if device is not None and device.type == "cpu":
        return device
    if device is not None and device.type == kind and (device.index or 0) < torch.accelerator.device_count():
        return device
    present = available_devices()
    what = f"this computer has no device {str(name)!r}; torch {torch.__version__} finds: {', '.join(present)}"
    raise DeviceError(what, hint=f"choose one of {', '.join(('auto', *present))}; amphion doctor shows more")


def _accelerator() -> str | None:
    """The kind of GPU that torch can use here, such as ``cuda`` or ``mps``; None without one."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return found.type if found else None


def _checked(name: str) -> str:
    try:
        return str(resolve_device(name))
    except DeviceError as error:  # pydantic shows the text of the error alone
        raise ValueError(error.message) from error


Device = Annotated[str, AfterValidator(_checked)]
"""Annotation of a config field that names a device: accepts what ``resolve_device`` accepts."""
