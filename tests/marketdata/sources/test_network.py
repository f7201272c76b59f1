"""The guard of the way out: what is not public is refused, however it is dressed, and stays refused."""

from __future__ import annotations

import gzip
import hashlib
import ipaddress
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.marketdata.engine.sources import network as guard
from apps.marketdata.engine.sources.network import Network, TryAgain, checked_url, is_public
from apps.ui.engine.refusal import Refusal

METADATA = "169.254.169.254"
INNER = (
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", METADATA, "100.64.0.1",
    "100.100.100.200", "168.63.129.16", "192.0.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "::ffff:168.63.129.16", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    "2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe::1", "::127.0.0.1", "not an address", "",
)  # fmt: skip
OUTER = ("8.8.8.8", "1.1.1.1", "223.5.5.5", "2606:4700::1111", "2400:3200::1", "::ffff:8.8.8.8", "64:ff9b::808:808")


@pytest.mark.parametrize("address", INNER)
def test_what_is_not_public_is_refused(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTER)
def test_what_is_public_is_let_through(address):
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_no_dress_of_ipv6_makes_an_inner_address_public(inner):
    if not inner.is_global or inner.is_multicast:
        number = int(inner)
        dressed = [ipaddress.IPv6Address((0xFFFF << 32) | number), ipaddress.IPv6Address((0x64FF9B << 96) | number),
                   ipaddress.IPv6Address((0x2002 << 112) | (number << 80))]  # fmt: skip
        assert not any(is_public(str(one)) for one in dressed)


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://host/a", "file:///etc/passwd", "gopher://host", "http://", "https:///a", "http://[::1", "http://host:99999/",
     "javascript:alert(1)", "//host/a", "http://ho st/", "http://\x00/"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url):
    with pytest.raises(Refusal) as caught:
        checked_url(url)
    assert caught.value.code == "bad_url"


def test_a_password_in_an_address_is_refused():
    with pytest.raises(Refusal) as caught:
        checked_url("https://me:secret-7@host/a")  # pragma: allowlist secret
    assert caught.value.code == "password_in_url"
    assert "secret-7" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text):
    with suppress(Refusal):
        assert checked_url(text).host


def resolver(monkeypatch, *answers):
    """Have names resolve to each of ``answers`` in turn, the last for good; returns the list of questions."""
    asked = []
    left = list(answers)

    def getaddrinfo(host, port, *args, **kwargs):
        try:
            ipaddress.ip_address(host)
            addresses = [host]
        except ValueError:
            asked.append(host)
            addresses = left.pop(0) if len(left) > 1 else left[0]
        families = [socket.AF_INET6 if ":" in one else socket.AF_INET for one in addresses]
        return [
            (family, socket.SOCK_STREAM, 6, "", (one, port, 0, 0) if ":" in one else (one, port))
            for family, one in zip(families, addresses, strict=True)
        ]

    monkeypatch.setattr(guard.socket, "getaddrinfo", getaddrinfo)
    return asked


def refused(network, url, tmp_path, **options):
    with pytest.raises(Refusal) as caught:
        network.download(url, tmp_path / "got", **options)
    assert not (tmp_path / "got").exists()
    return caught.value


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "127.1", "0", METADATA])
def test_this_machine_is_refused_by_any_spelling(host, tmp_path):
    assert refused(Network(), f"http://{host}/", tmp_path).code in {"private_address", "unknown_host"}


def test_one_inner_address_among_public_ones_is_enough(monkeypatch, tmp_path):
    resolver(monkeypatch, ["93.184.215.14", "10.0.0.7"])
    assert refused(Network(), "http://mixed.example/", tmp_path).code == "private_address"


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch, tmp_path, server):
    """A name server that answers differently the second time is not asked a second time."""
    asked = resolver(monkeypatch, ["127.0.0.1"], [METADATA])
    server.answer = lambda path, headers: (200, {}, b"a,b\n1,2\n")
    network = Network(allowed=frozenset({f"rebind.example:{server.port}"}))
    answer = network.download(f"http://rebind.example:{server.port}/x.csv", tmp_path / "got")
    assert answer.status == 200
    assert asked == ["rebind.example"]
    assert server.asked[0][1]["host"] == f"rebind.example:{server.port}"


def test_a_name_that_turns_inward_after_a_redirect_is_refused(monkeypatch, tmp_path, server):
    resolver(monkeypatch, ["127.0.0.1"], [METADATA])
    server.answer = lambda path, headers: (302, {"Location": f"http://rebind.example:{server.port + 1}/"}, b"")
    network = Network(allowed=frozenset({f"rebind.example:{server.port}"}))
    found = refused(network, f"http://rebind.example:{server.port}/", tmp_path)
    assert (found.code, found.params["address"]) == ("private_address", METADATA)


@pytest.mark.parametrize(
    "target",
    [
        f"http://{METADATA}/latest/meta-data/",
        "http://localhost:1/",
        "http://[::ffff:169.254.169.254]/",
        "file:///etc/passwd",
        "//169.254.169.254/x",
    ],
)
def test_a_redirect_inward_is_refused_unasked(target, tmp_path, server, inside):
    server.answer = lambda path, headers: (302, {"Location": target}, b"")
    assert refused(inside, f"{server.url}/a.csv", tmp_path).code in {"private_address", "bad_url"}
    assert len(server.asked) == 1


def test_a_redirect_on_the_same_host_is_followed_and_a_circle_ended(tmp_path, server, inside):
    server.answer = lambda path, headers: (302, {"Location": "/b"}, b"") if path == "/a" else (200, {}, b"x")
    assert inside.download(f"{server.url}/a", tmp_path / "got").size == 1
    server.answer = lambda path, headers: (302, {"Location": "/a"}, b"")
    assert refused(inside, f"{server.url}/a", tmp_path).code == "too_many_redirects"


def test_a_secret_is_not_sent_to_the_host_that_is_redirected_to(tmp_path, server, inside):
    second = type(server)()
    second.answer = lambda path, headers: (200, {}, b"x")
    server.answer = lambda path, headers: (302, {"Location": f"{second.url}/b"}, b"")
    network = Network(allowed=inside.allowed | {f"127.0.0.1:{second.port}"})
    network.download(f"{server.url}/a", tmp_path / "got", secret_headers={"Authorization": "Bearer t0ken-1"})
    second.close()
    assert server.asked[0][1]["authorization"] == "Bearer t0ken-1"
    assert "authorization" not in second.asked[0][1]


def test_a_secret_goes_over_http_only_to_a_host_an_administrator_allows(monkeypatch, tmp_path):
    resolver(monkeypatch, ["93.184.215.14"])
    found = refused(Network(), "http://public.example/", tmp_path, secret_headers={"X-Key": "t0ken-1"})
    assert found.code == "insecure_secret"
    assert refused(Network(), "http://public.example/?k=1", tmp_path, secret_in_url=True).code == "insecure_secret"


def test_what_was_received_is_hashed_and_counted(tmp_path, server, inside):
    body = b"date,close\n" * 10_000
    server.answer = lambda path, headers: (
        200, {"ETag": '"7"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "Content-Type": "text/csv; charset=utf-8"}, body,
    )  # fmt: skip
    heard = []
    answer = Network(inside.allowed, on_bytes=heard.append).download(f"{server.url}/a", tmp_path / "got")
    assert (answer.size, answer.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert (answer.kind, answer.etag, answer.modified) == ("text/csv", '"7"', "Mon, 01 Jan 2024 00:00:00 GMT")
    assert heard[-1] == len(body)


def test_what_has_not_changed_is_not_sent(tmp_path, server, inside):
    server.answer = lambda path, headers: (304, {}, b"") if headers.get("if-none-match") == '"7"' else (200, {}, b"x")
    assert inside.download(f"{server.url}/a", tmp_path / "got", etag='"7"').status == 304
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_more_than_the_limit_is_refused_while_it_comes(tmp_path, server, packed):
    body = b"0" * 3_000_000
    server.answer = lambda path, headers: (
        (200, {"Content-Encoding": "gzip"}, gzip.compress(body)) if packed else (200, {}, body)
    )
    small = Network(frozenset({f"127.0.0.1:{server.port}"}), limit=1_000_000)
    assert refused(small, f"{server.url}/a", tmp_path).code == "too_large"


def test_half_an_answer_is_none(tmp_path, server, inside):
    server.answer = lambda path, headers: (200, {"Content-Length": "1000"}, b"date,open\n2024")
    found = refused(inside, f"{server.url}/a", tmp_path)
    assert (type(found), found.code) == (TryAgain, "unreachable")


@pytest.mark.parametrize(("status", "again"), [(500, True), (503, True), (429, True), (404, False), (403, False)])
def test_an_answer_that_is_an_error_is_told_and_some_are_tried_again(tmp_path, server, inside, status, again):
    server.answer = lambda path, headers: (status, {}, b"secret words")
    found = refused(inside, f"{server.url}/a", tmp_path)
    assert (isinstance(found, TryAgain), found.params["answered"]) == (again, status)
    assert "secret words" not in str(found)


def test_a_stop_is_heard_while_a_server_trickles(tmp_path):
    """The first bytes are told as they arrive; a full block may take hours."""
    heard, waited, listening = threading.Event(), list[bool](), socket.create_server(("127.0.0.1", 0))

    def trickle() -> None:
        peer, _ = listening.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ndate,open\n")
            waited.append(heard.wait(5))

    class Stop(Exception):
        """Somebody asked for the end."""

    def stop(size: int) -> None:
        heard.set()
        raise Stop

    port = listening.getsockname()[1]
    network = Network(allowed=frozenset({f"127.0.0.1:{port}"}))
    server = threading.Thread(target=trickle)
    with listening:
        server.start()
        with pytest.raises(Stop):
            replace(network, on_bytes=stop).download(f"http://127.0.0.1:{port}/a.csv", tmp_path / "a.csv")
        server.join()
    assert waited == [True]
    assert not (tmp_path / "a.csv").exists()


def test_silence_ends_in_time(tmp_path, server):
    waiting = threading.Event()
    server.answer = lambda path, headers: (waiting.wait(5) and (200, {}, b"")) or (200, {}, b"")
    network = Network(frozenset({f"127.0.0.1:{server.port}"}), seconds=0.2)
    found = refused(network, f"{server.url}/a", tmp_path)
    waiting.set()
    assert (type(found), found.code) == (TryAgain, "timed_out")


def test_nobody_there_is_told(tmp_path):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    found = refused(Network(frozenset({f"127.0.0.1:{port}"})), f"http://127.0.0.1:{port}/", tmp_path)
    assert (type(found), found.code) == (TryAgain, "unreachable")


def test_a_certificate_of_nobody_is_refused(tmp_path, server):
    """The pinned connection still asks for a certificate of the name: a self-made one is none."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(begin).not_valid_after(begin + timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = tmp_path / "both.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    server.answer = lambda path, headers: (200, {}, b"x")
    network = Network(frozenset({f"127.0.0.1:{server.port}"}))
    found = refused(network, f"https://127.0.0.1:{server.port}/", tmp_path)
    assert found.code == "unreachable"
    assert not server.asked
