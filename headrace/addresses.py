"""Which addresses a webhook may be sent to: public ones, and networks that the operator allows. Pure.

Only addresses are judged, never their spelling: resolvers take `127.1`, `0x7f.1` and `2130706433` for 127.0.0.1, and a
name means whatever its owner wants it to mean next.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

#: What this host is to itself.
LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))

#: Reachable by nobody or by our neighbours only, in addition to what `ipaddress` calls not global. Its judgement
#: differs between releases of Python, so what matters is listed again (IANA's special-purpose registries, RFC 6890).
_CLOSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carriers' NAT; metadata service of one cloud
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's wire server: a public address that only its machines reach
        "169.254.0.0/16",  # link-local; metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
#: Nothing else of IPv6 is given out to be reached by everybody.
_OPEN_V6 = IPv6Network("2000::/3")
_CLOSED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, among them Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: leads to an IPv4 address of the sender's choice
        "3fff::/20",  # documentation
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
#: Middle of an ISATAP address, which ends in an IPv4 address; the second form has the universal bit set.
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


def unwrapped(address: Address) -> Address:
    """The IPv4 address inside a mapped (`::ffff:1.2.3.4`) or NAT64 (`64:ff9b::1.2.3.4`, RFC 6052) one; others as is."""
    if isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to the public internet; a wrapped one is judged by what it holds."""
    address = unwrapped(address)
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _CLOSED_V4)
    is_isatap = int(address) >> 32 & 0xFFFFFFFF in _ISATAP
    is_closed = is_isatap or any(address in network for network in _CLOSED_V6)
    return address in _OPEN_V6 and address.is_global and not is_closed


#: Ports below 1024 but 443 are other services' (mail, shells); they would make a tool of us.
PORTS = ("443", "1024-65535")
_PORTS = re.compile("([0-9]{1,5})(?:-([0-9]{1,5}))?")
_LAST_PORT = 65_535


def port_range(text: str) -> range:
    """The ports that `443` or `1024-65535` names.

    Raises:
        ValueError: if it names none.
    """
    found = _PORTS.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is neither a port nor a range of ports like 8000-8999")
    ports = range(int(found[1]), int(found[2] or found[1]) + 1)
    if not ports or ports[0] < 1 or ports[-1] > _LAST_PORT:
        raise ValueError(f"'{text}' is no range of ports from 1 to {_LAST_PORT}, the lower one first")
    return ports


@dataclass(frozen=True, kw_only=True)
class Egress:
    """Where webhooks may go.

    Args:
        networks: allowed by the operator whatever they are.
        closed: refused by the operator whatever they are: public addresses of machines that nobody else should reach.
        ports: of receivers on the public internet, each like `443` or `1024-65535`.
        is_public_allowed: whether the public internet is allowed at all.
    """

    networks: tuple[Network, ...] = ()
    closed: tuple[Network, ...] = ()
    ports: tuple[str, ...] = PORTS
    is_public_allowed: bool = True

    def permits(self, text: str) -> bool:
        """Judge an address as a resolver writes it; what is none is refused."""
        try:
            address = unwrapped(ip_address(text))
        except ValueError:
            return False
        if any(address in network for network in self.closed):
            return False
        return any(address in network for network in self.networks) or (self.is_public_allowed and is_public(address))

    def permits_port(self, port: int) -> bool:
        """Judge the port of a receiver on the public internet."""
        return any(port in port_range(text) for text in self.ports)

    def refused(self, texts: Iterable[str]) -> list[str]:
        """Those that are not permitted."""
        return [text for text in texts if not self.permits(text)]
