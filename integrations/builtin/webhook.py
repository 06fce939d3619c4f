"""What requests to webhooks are checked with: secrets of senders, which are put on no request of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from integrations.sdk import ApiKey, Basic, BearerToken, Provider
from integrations.sdk.auth import AuthField
from orchestrator.flow.webhooks import PROVIDER


@dataclass(frozen=True)
class SigningSecret(ApiKey):
    """What a sender signs its requests with, under the name that senders give it."""

    @property
    def fields(self) -> tuple[AuthField, ...]:
        return (AuthField(name="api_key", label=self.title, help=self.help),)


webhook: Final = Provider(
    key=PROVIDER,
    name="Webhook",
    description="A secret by which a webhook knows its sender: chosen under “Protect” at the webhook.",
    icon="hook",
    category="Logic",
    tile="hook",
    quality="bronze",
    auth=[
        SigningSecret(
            label="Signing secret",
            help="What the sender signs with: the service shows it, or asks for it.",
        ),
        BearerToken(label="Bearer token", help="The token that the sender puts into the Authorization header."),
        Basic(label="Name and password", help="What the sender signs in with."),
    ],
)
