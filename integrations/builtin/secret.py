"""A secret value: a text that lies in the vault and goes into the secret inputs of steps, never on a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from integrations.sdk import AuthKind, Provider
from integrations.sdk.auth import AuthField
from orchestrator.flow.secret_inputs import PROVIDER


@dataclass(frozen=True)
class SecretValue(AuthKind):
    """One text. It says nothing of where it goes, so it is put on no request by itself."""

    type = "api_key"
    default_label = "A secret value"

    @property
    def fields(self) -> tuple[AuthField, ...]:
        return (AuthField(name="api_key", label="Value", help=self.help),)


secret: Final = Provider(
    key=PROVIDER,
    name="Secret",
    description="One value for a step's field, kept where nobody reads it again.",
    icon="key",
    category="Logic",
    tile="gray",
    quality="bronze",
    auth=[SecretValue(help="It is not shown again, in no run either.")],
)
