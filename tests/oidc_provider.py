"""A strict OpenID Connect provider on this machine: it checks clients, PKCE and redirects, and can lie on demand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

CLIENT_ID: Final = "orchestrator at acme"
CLIENT_SECRET: Final = "s3cret/with: signs+"


@dataclass(kw_only=True)
class Grant:
    """What a code was given for; it counts once."""

    redirect_uri: str
    challenge: str
    nonce: str
    subject: str


@dataclass(kw_only=True)
class Provider:
    """One provider. ``people`` are claims by subject, ``subject`` is who signs in next.

    ``token`` changes the claims of an ID token, ``sign`` makes another one of it, ``answers`` replaces the answer of a
    path by a status and a body.
    """

    address: str = ""
    client_id: str = CLIENT_ID
    client_secret: str = CLIENT_SECRET
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    subject: str = "sub-ada"
    token: Callable[[dict[str, Any]], None] = lambda claims: None
    sign: Callable[[dict[str, Any]], str] | None = None
    keys: list[RSAKey | ECKey] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)

    def rotate(self) -> None:
        """Sign with a fresh key from now on, and publish that alone."""
        self.keys = [RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig", "alg": "RS256"})]

    def description(self) -> dict[str, Any]:
        return {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "jwks_uri": f"{self.address}/jwks",
            "userinfo_endpoint": f"{self.address}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
            **self.metadata,
        }

    def jwks(self) -> dict[str, Any]:
        return {"keys": [key.as_dict(private=False) for key in self.keys]}

    def code_for(self, address: str) -> str:
        """Sign ``subject`` in at an authorization address; return where the browser is sent back to.

        Raises AssertionError where the request lacks anything that a strict provider asks for.
        """
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert address.startswith(f"{self.address}/authorize?")
        assert query["response_type"] == "code"
        assert query["client_id"] == self.client_id
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        assert min(len(query[name]) for name in ("state", "nonce", "code_challenge")) >= 43
        code = secrets.token_urlsafe(16)
        self.grants[code] = Grant(
            redirect_uri=query["redirect_uri"],
            challenge=query["code_challenge"],
            nonce=query["nonce"],
            subject=self.subject,
        )
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def redeem(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Answer a request for a token: the client's name and secret, the code, its verifier and redirect."""
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode() if authorization else ":"
        name, secret = (unquote(part) for part in pair.split(":", 1))
        name, secret = form.get("client_id", name), form.get("client_secret", secret)
        if (name, secret) != (self.client_id, self.client_secret):
            return 401, {"error": "invalid_client"}
        grant = self.grants.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            grant is None
            or form.get("grant_type") != "authorization_code"
            or (grant.redirect_uri, grant.challenge) != (form.get("redirect_uri"), challenge)
        ):
            return 400, {"error": "invalid_grant", "error_description": "<b>no</b>"}
        now = int(time.time())
        claims = {
            "iss": self.address, "aud": self.client_id, "sub": grant.subject, "iat": now, "exp": now + 300,
            "nonce": grant.nonce, **self.people.get(grant.subject, {}),
        }  # fmt: skip
        self.token(claims)
        made = self.sign(claims) if self.sign else self.signed(claims)
        return 200, {"access_token": "at-" + grant.subject, "token_type": "Bearer", "id_token": made}

    def signed(self, claims: dict[str, Any], *, key: RSAKey | ECKey | None = None, algorithm: str = "RS256") -> str:
        used = key or self.keys[0]
        return jwt.encode({"alg": algorithm, "kid": used.kid}, claims, used, algorithms=[algorithm])

    def confused(self, claims: dict[str, Any], secret: bytes) -> str:
        """Return a token signed with a secret by HS256 under the name of the public key."""
        # By hand: no library signs with a public key.
        signed = f"{_part({'alg': 'HS256', 'kid': self.keys[0].kid})}.{_part(claims)}"
        return f"{signed}.{_written(hmac.digest(secret, signed.encode(), 'sha256'))}"

    def unsigned(self, claims: dict[str, Any]) -> str:
        return f"{_part({'alg': 'none', 'kid': self.keys[0].kid})}.{_part(claims)}."


def _part(value: dict[str, Any]) -> str:
    return _written(json.dumps(value).encode())


def _written(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@contextmanager
def oidc_provider() -> Iterator[Provider]:
    """Serve a provider on a free port of this machine until the end of the block."""
    made = Provider()
    made.rotate()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    server.daemon_threads = True
    made.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(made: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            made.calls.append(parts.path)
            if parts.path in made.answers:
                self.give(*made.answers[parts.path])
            elif parts.path == "/.well-known/openid-configuration":
                self.give(200, json.dumps(made.description()).encode())
            elif parts.path == "/jwks":
                self.give(200, json.dumps(made.jwks()).encode())
            elif parts.path == "/userinfo":
                subject = self.headers.get("Authorization", "").removeprefix("Bearer at-")
                self.give(200, json.dumps({"sub": subject, **made.userinfo}).encode())
            elif parts.path == "/authorize":
                back = made.code_for(f"{made.address}{self.path}")
                page = f'<!doctype html><title>Provider</title><h1>Provider</h1><a href="{escape(back)}">I am Ada</a>'
                self.give(200, page.encode(), "text/html")
            else:
                self.give(404, b"{}")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            made.calls.append(self.path)
            made.bodies.append(body)
            if self.path in made.answers:
                self.give(*made.answers[self.path])
                return
            form = {name: values[0] for name, values in parse_qs(body).items()}
            status, answer = made.redeem(form, self.headers.get("Authorization", ""))
            self.give(status, json.dumps(answer).encode())

        def give(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if status in (301, 302):
                self.send_header("Location", body.decode())
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Keep the suite's output clean."""

    return Handler
