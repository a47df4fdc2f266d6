"""Which addresses only this host can reach."""

import ipaddress


def is_loopback(host: str) -> bool:
    """True for `localhost` and loopback addresses; a name that would have to be looked up is none."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
