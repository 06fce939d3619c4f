"""The table of addresses, and what the operator may add to it."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.sdk.egress import EgressPolicy, host_is_listed, refusal

PRIVATE = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "0.0.0.0": "this host",  # noqa: S104
    "0.1.2.3": "this host",
    "10.0.0.1": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "169.254.169.254": "link-local",
    "100.64.0.1": "shared by a carrier",
    "100.100.100.200": "shared by a carrier",
    "100.127.255.255": "shared by a carrier",
    "192.0.0.1": "reserved",
    "192.0.0.192": "reserved",
    "192.0.2.1": "documentation",
    "198.51.100.7": "documentation",
    "203.0.113.9": "documentation",
    "198.18.0.1": "benchmarking",
    "198.19.255.255": "benchmarking",
    "192.88.99.1": "reserved",
    "168.63.129.16": "a cloud platform's own",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "::": "this host",
    "::1": "loopback",
    "::127.0.0.1": "this host",
    "::8.8.8.8": "this host",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:10.0.0.1": "private",
    "::ffff:a9fe:a9fe": "link-local",
    "64:ff9b::127.0.0.1": "loopback",
    "64:ff9b::a9fe:a9fe": "link-local",
    "64:ff9b:1::10.0.0.1": "local translation",
    "64:ff9b:1::8.8.8.8": "local translation",
    "2002:7f00:1::": "loopback",
    "2002:a9fe:a9fe::1": "link-local",
    "2002:c0a8:101::": "private",
    "2001::1": "reserved",
    "2001:0:7f00:1::": "reserved",
    "2001:2::1": "reserved",
    "2001:10::1": "reserved",
    "2001:20::1": "reserved",
    "2001:db8::1": "documentation",
    "3fff::1": "documentation",
    "fc00::1": "private",
    "fd00:ec2::254": "private",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "fec0::1": "reserved",
    "ff02::1": "multicast",
    "100::1": "reserved",
    "5f00::1": "reserved",
    "::ffff:0:127.0.0.1": "reserved",
    "not an address": "not an address",
    "127.1": "not an address",
}
PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::",
    "2606:4700::1111",
    "2a00:1450:4001::8a",
)


@pytest.mark.parametrize(("address", "reason"), PRIVATE.items())
def test_an_address_that_leads_inside_is_refused_with_its_reason(address: str, reason: str) -> None:
    assert refusal(address) == reason


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_passes(address: str) -> None:
    assert refusal(address) is None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_the_same_in_every_wrapping(address: object) -> None:
    plain = refusal(str(address))
    number = int(address)  # type: ignore[call-overload]
    high, low = number >> 16, number & 0xFFFF
    assert refusal(f"::ffff:{address}") == plain
    assert refusal(f"64:ff9b::{address}") == plain
    assert refusal(f"2002:{high:x}:{low:x}::1") == plain


@given(st.ip_addresses(v=6))
def test_what_python_knows_not_to_be_global_is_refused(address: object) -> None:
    if not getattr(address, "is_global", False):
        assert refusal(str(address)) is not None or getattr(address, "ipv4_mapped", None)


def request(url: str, method: str = "GET") -> httpx.Request:
    return httpx.Request(method, url)


def test_a_network_of_the_operator_passes_at_the_socket_and_its_neighbour_does_not() -> None:
    policy = EgressPolicy(allow=("10.1.0.0/16", "fd00::/64"))
    assert policy.refusal("10.1.2.3", 80) is None
    assert policy.refusal("::ffff:10.1.2.3", 80) is None
    assert policy.refusal("fd00::5", 443) is None
    assert policy.refusal("10.2.0.1", 80) == "private"
    assert policy.refusal("fd00:0:0:1::5", 443) == "private"


def test_an_address_with_a_port_passes_on_that_port_alone() -> None:
    policy = EgressPolicy(allow=("127.0.0.1:9001", "[::1]:9002"))
    assert policy.refusal("127.0.0.1", 9001) is None
    assert policy.refusal("127.0.0.1", 9002) == "loopback"
    assert policy.refusal("::1", 9002) is None
    assert policy.refusal("::1", 9001) == "loopback"


def test_a_host_passes_by_its_name_alone_with_or_without_a_port() -> None:
    policy = EgressPolicy(allow=("internal.example", "db.example:5432"))
    assert policy.trusts(request("http://INTERNAL.example./x"))
    assert policy.trusts(request("http://db.example:5432/"))
    assert not policy.trusts(request("http://db.example/"))
    assert not policy.trusts(request("http://internal.example.evil.test/"))
    assert policy.refusal("10.0.0.1", 80) == "private"


def test_a_replaced_root_passes_by_scheme_host_and_port_together() -> None:
    policy = EgressPolicy(origins=("http://127.0.0.1:9001/slack/api",))
    assert policy.trusts(request("http://127.0.0.1:9001/anything", "POST"))
    assert not policy.trusts(request("https://127.0.0.1:9001/slack/api"))
    assert not policy.trusts(request("http://127.0.0.1:9002/slack/api"))
    assert not policy.trusts(request("http://localhost:9001/slack/api"))


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("POST", "http://127.0.0.1:8000/healthz"),
        ("HEAD", "http://127.0.0.1:8000/healthz"),
        ("GET", "http://127.0.0.1:8000/healthz/"),
        ("GET", "http://127.0.0.1:8000/healthz?x=1"),
        ("GET", "http://127.0.0.1:8000/api/v1/runs/"),
        ("GET", "http://127.0.0.1:8000/x/../api"),
        ("GET", "http://localhost:8000/healthz"),
        ("GET", "http://127.0.0.1:8001/healthz"),
        ("GET", "https://127.0.0.1:8000/healthz"),
    ],
)
def test_of_our_own_address_exactly_a_get_of_the_health_page_passes(method: str, url: str) -> None:
    policy = EgressPolicy(health_url="http://127.0.0.1:8000/healthz")
    assert policy.trusts(request("http://127.0.0.1:8000/healthz"))
    assert not policy.trusts(request(url, method))


@pytest.mark.parametrize("entry", ["http://a.example", "10.0.0.0/40", "a b", "", "host:port", "user@host", "a/b"])
def test_an_entry_that_cannot_be_read_says_so(entry: str) -> None:
    with pytest.raises(ValueError, match="EGRESS_ALLOW has"):
        EgressPolicy(allow=(entry,))


@pytest.mark.parametrize(
    ("entry", "url", "listed"),
    [
        ("api.example.com", "https://api.example.com/x", True),
        ("API.example.com", "https://api.EXAMPLE.com./x", True),
        ("api.example.com", "https://evil.example.com/", False),
        ("api.example.com", "https://api.example.com.evil.test/", False),
        ("api.example.com:8443", "https://api.example.com:8443/", True),
        ("api.example.com:8443", "https://api.example.com/", False),
        ("*.example.com", "https://a.b.example.com/", True),
        ("*.example.com", "https://example.com/", False),
        ("*.example.com", "https://evilexample.com/", False),
        ("https://api.example.com", "https://api.example.com:443/", True),
        ("https://api.example.com", "http://api.example.com/", False),
        ("", "https://api.example.com/", False),
    ],
)
def test_a_list_of_hosts_means_what_it_says(entry: str, url: str, listed: bool) -> None:
    assert host_is_listed(httpx.URL(url), [entry]) is listed
