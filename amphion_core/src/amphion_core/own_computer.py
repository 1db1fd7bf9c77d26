"""Which addresses belong to this computer, and which requests to a server without a key or a password come from it."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether only programs of this computer can reach the address ``host``."""
    if host.casefold() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def foreign_request(host: str, origin: str | None) -> str | None:
    """Why a request may not use a server without a key; None for a request of this computer.

    ``host`` and ``origin`` are the headers of these names. A page of another site can send requests to this computer,
    also by a name of that site that leads to 127.0.0.1. The browser then states the site in one of the two headers.
    """
    if not _is_local(host):
        return f"the host {host[:80]!r} is not this computer"
    if origin is not None and not _is_local(origin.partition("://")[2]):
        return f"a page of {origin[:80]} may not use this server"
    return None


def _is_local(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)
