"""Which addresses are public, and which spellings of a URL get anywhere: judged by what they resolve to."""

import socket
from ipaddress import ip_address, ip_network

import pytest

from headrace.addresses import LOOPBACK, Egress, is_public, port_range
from headrace.webhook_url import check_webhook_url

FORBIDDEN = [
    "0.0.0.0",  # noqa: S104 - an address to be refused
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",  # IPv4-compatible loopback
    "::169.254.169.254",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",  # IPv4-translated
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "100::1",  # discard
    "2001::1",  # Teredo
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",  # benchmarks
    "2001:10::1",  # ORCHID
    "2001:db8::1",
    "2002:7f00:1::",  # 6to4 of loopback
    "2002:a9fe:a9fe::",
    "2002:808:808::",
    "2a00:1450:4001:80b::5efe:10.0.0.1",  # ISATAP
    "2a00:1450:4001:80b:0200:5efe:10.0.0.1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "192.167.255.255",
    "198.17.255.255",
    "223.255.255.254",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2001:4860:4860::8888",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80b::200e",
]

#: Hosts that resolvers take for addresses; each leads to a forbidden one.
SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "0",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.000.000.001",
    "0251.0376.0251.0376",
    "0xa9fea9fe",
    "2852039166",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_an_address_that_not_everybody_reaches_is_refused(text: str) -> None:
    assert not is_public(ip_address(text))
    assert not Egress().permits(text)


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_allowed(text: str) -> None:
    assert is_public(ip_address(text))
    assert Egress().permits(text)


@pytest.mark.parametrize("text", FORBIDDEN)
def test_nothing_forbidden_is_public_by_another_name(text: str) -> None:
    address = ip_address(text)
    mapped = f"::ffff:{text}" if address.version == 4 else text

    assert not Egress().permits(mapped)


@pytest.mark.parametrize("text", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"])
def test_what_the_operator_allows_is_allowed_however_it_is_wrapped(text: str) -> None:
    assert Egress(networks=LOOPBACK).permits(text)


def test_an_allowed_network_opens_no_other() -> None:
    egress = Egress(networks=(ip_network("10.20.0.0/16"),))

    permitted = [text for text in ("10.20.3.4", "10.21.0.1", "127.0.0.1", "8.8.8.8") if egress.permits(text)]
    assert ["10.20.3.4", "8.8.8.8"] == permitted


def test_where_only_allowed_networks_are_meant_public_addresses_are_refused() -> None:
    egress = Egress(networks=LOOPBACK, is_public_allowed=False)

    assert ["8.8.8.8", "not an address"] == egress.refused(["127.0.0.1", "8.8.8.8", "not an address"])


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_a_forbidden_address_passes(host: str) -> None:
    with pytest.raises(ValueError, match=r"not a (public address|URL)"):
        check_webhook_url(f"https://{host}/", Egress())


@pytest.mark.parametrize("host", SPELLINGS)
def test_every_spelling_is_refused_by_what_it_resolves_to(host: str) -> None:
    found = socket.getaddrinfo(host.strip("[]"), 443, type=socket.SOCK_STREAM)

    assert Egress().refused(str(address[0]) for *_, address in found)


@pytest.mark.parametrize(
    "url",
    [
        "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",  # full-width digits
        "https://\u2460\u2461\u2466.0.0.1/",  # digits in circles
        "https://example.com\\@127.0.0.1/",
        "https://127.0.0.1@example.com/",
        "https://user:password@example.com/",
        "https://exam ple.com/",
        "https://example.com:0/",
        "https://example.com:22/",
        "https://example.com:65536/",
        "http://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "//example.com/",
        "https://",
        "https://%31%32%37.0.0.1/",
        "https://[fe80::1%25eth0]/",
        "https://-example.com/",
        "",
    ],
)
def test_a_url_that_says_more_or_less_than_an_address_by_https_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check_webhook_url(url, Egress())


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("https://example.com/done?a=b#part", "https://example.com/done?a=b"),
        ("https://EXAMPLE.com:8443", "https://example.com:8443"),
        ("https://exämple.com/", "https://xn--exmple-cua.com/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]/"),
        ("https://my_receiver.example.com./x", "https://my_receiver.example.com./x"),
    ],
)
def test_a_public_url_is_taken_in_one_spelling(url: str, used: str) -> None:
    assert used == check_webhook_url(url, Egress())


def test_plain_http_and_any_port_are_for_allowed_networks() -> None:
    assert check_webhook_url("http://127.0.0.1:80/x", Egress(networks=LOOPBACK)) == "http://127.0.0.1/x"


def test_what_the_operator_closes_is_closed_whatever_else_allows_it() -> None:
    closed = (ip_network("8.8.8.0/24"), ip_network("2606:4700::/32"), ip_network("127.0.0.2/32"))
    egress = Egress(networks=LOOPBACK, closed=closed)

    asked = ["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700:4700::1111", "127.0.0.2"]
    assert asked == egress.refused([*asked, "8.8.4.4", "127.0.0.1"])


@pytest.mark.parametrize("text", ["", "0", "65536", "443-", "-443", "9-8", "a", "1-2-3", "٤٤٣", "443 ", "0-80"])
def test_what_names_no_ports_is_said_to(text: str) -> None:
    with pytest.raises(ValueError, match="port"):
        port_range(text)
