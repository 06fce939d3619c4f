"""What requests to webhooks are checked with: secrets of senders, which are put on no request of ours."""

from __future__ import annotations

from typing import Final

from integrations.sdk import Basic, BearerToken, Provider, SigningSecret
from orchestrator.flow.webhooks import PROVIDER

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
