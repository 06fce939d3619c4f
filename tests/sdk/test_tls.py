"""Certificates: what is not signed by somebody we know, or names another host, is not spoken to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from integrations.sdk import Transient
from integrations.sdk.http import EgressPolicy, HttpPool
from tests.certificates import serving, trusting, written
from tests.sdk.server import Names, soon

NAMES = {"good_example": [["127.0.0.1"]], "other_example": [["127.0.0.1"]]}


def test_a_certificate_must_be_signed_by_somebody_we_know_and_name_the_host(tmp_path: Path) -> None:
    pem = written(tmp_path, "good.example")
    trusts = trusting(pem)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        writer.close()

    async def run() -> None:
        listener = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=serving(pem))
        port = listener.sockets[0].getsockname()[1]
        policy = EgressPolicy(allow=("127.0.0.1",))
        for tls, host, expected in (
            (None, "good.example", None),
            (trusts, "other.example", None),
            (trusts, "good.example", b"hi"),
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
