"""What there is to choose from in Gmail."""

from __future__ import annotations

from integrations.google import rows_of
from integrations.providers.gmail.client import LABELS_PATH, MODIFY_SCOPE, SERVICE
from integrations.sdk import Option, Options, OptionsContext


async def labels(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the mailbox's labels by id, a person's own before Gmail's. Gmail gives all of them at once."""
    response = SERVICE.checked(await ctx.http.get(LABELS_PATH), MODIFY_SCOPE)
    rows = rows_of(response, "labels")
    if not all(isinstance(row.get("id"), str) and isinstance(row.get("name"), str) for row in rows):
        raise response.unexpected()
    wanted = query.strip().lower()
    found = sorted(
        (row for row in rows if wanted in row["name"].lower()),
        key=lambda row: (row.get("type") == "system", row["name"].lower()),
    )
    return Options(items=[Option(row["id"], row["name"], _hint(row.get("type"))) for row in found])


def _hint(kind: object) -> str:
    return "Gmail's own" if kind == "system" else ""
