"""The corpus of spellings: what leads to a forbidden address is refused, in the URL or when it is resolved."""

import asyncio
import contextlib

import pytest

from headrace.addresses import Egress
from headrace.webhook_url import check_webhook_url
from tests.unit.address_corpus import FORBIDDEN, NO_HOSTS, PUBLIC
from workers.webhooks.guard import NameNotResolved, resolve


def refused_by_url(host: str) -> bool:
    try:
        check_webhook_url(f"https://{host}/", Egress())
    except ValueError:
        return True
    return False


def refused_when_resolved(host: str) -> bool:
    """What the guard does before it connects; a name that leads nowhere is connected to by nobody."""
    with contextlib.suppress(NameNotResolved):
        addresses = asyncio.run(resolve(host.strip("[]"), 443))
        return bool(Egress().refused(addresses))
    return True


def test_the_corpus_is_large() -> None:
    assert len(set(FORBIDDEN)) >= 80
    assert len(set(PUBLIC)) >= 20


@pytest.mark.parametrize("host", FORBIDDEN)
def test_what_leads_to_a_forbidden_address_is_refused(host: str) -> None:
    # A name may pass as a URL: it means something only when it is resolved.
    assert refused_when_resolved(host)
    assert refused_by_url(host) or host.strip("[].").isalpha()


@pytest.mark.parametrize("host", NO_HOSTS)
def test_what_is_no_host_is_refused_at_once(host: str) -> None:
    assert refused_by_url(host)


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_address_is_allowed_however_it_is_spelled(host: str) -> None:
    assert not refused_by_url(host)
    assert not Egress().refused(asyncio.run(resolve(host.strip("[]"), 443)))


@pytest.mark.parametrize("ports", [("443",), ("8443", "9000-9100")])
def test_only_ports_that_the_operator_names_are_allowed(ports: tuple[str, ...]) -> None:
    egress = Egress(ports=ports)

    allowed = []
    for port in (22, 443, 8443, 8999, 9000, 9100, 9101):
        with contextlib.suppress(ValueError):
            check_webhook_url(f"https://example.com:{port}/", egress)
            allowed.append(port)

    assert allowed == ([443] if ports == ("443",) else [8443, 9000, 9100])


@pytest.mark.parametrize("url", ["https://example.com/", "https://example.com:443/"])
def test_a_url_without_a_port_means_443(url: str) -> None:
    with pytest.raises(ValueError, match="port 443"):
        check_webhook_url(url, Egress(ports=("8443",)))
