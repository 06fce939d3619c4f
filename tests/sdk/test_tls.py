"""Certificates: what is not signed by somebody we know, or names another host, is not spoken to."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from integrations.sdk import Transient
from integrations.sdk.http import EgressPolicy, HttpPool
from tests.sdk.server import Names, soon

NAMES = {"good_example": [["127.0.0.1"]], "other_example": [["127.0.0.1"]]}


def certificate(folder: Path) -> Path:
    """Write a self-signed certificate for good.example with its key, and return the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "good.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("good.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_a_certificate_must_be_signed_by_somebody_we_know_and_name_the_host(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(pem)
    trusting = ssl.create_default_context(cafile=str(pem))

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        writer.close()

    async def run() -> None:
        listener = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=serving)
        port = listener.sockets[0].getsockname()[1]
        policy = EgressPolicy(allow=("127.0.0.1",))
        for tls, host, expected in (
            (None, "good.example", None),
            (trusting, "other.example", None),
            (trusting, "good.example", b"hi"),
        ):
            pool = HttpPool(policy, resolver=Names(**NAMES), tls=tls)
            http = pool.client(deadline=soon())
            if expected is None:
                with pytest.raises(Transient, match="certificate is not valid"):
                    await http.post(f"https://{host}:{port}/")
            else:
                assert (await http.get(f"https://{host}:{port}/")).content == expected
            await pool.aclose()
        listener.close()

    asyncio.run(run())
