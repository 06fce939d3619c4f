"""How Google Docs is spoken to; what all of Google's services share is in ``integrations.google``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from integrations.google import SCOPES_ROOT, Service, part
from integrations.sdk import Account, AuthContext, NotFound
from integrations.sdk.client import StepHttp

BASE_URL: Final = "https://docs.googleapis.com"
DOCS_URL: Final = "https://developers.google.com/workspace/docs/api/reference/rest"
SERVICE: Final = Service(name="Google Docs", scopes=(SCOPES_ROOT + "documents",), grants="see and change documents")
DOCUMENTS_PATH: Final = "v1/documents"
# No document has it: who is told that it is not there was let in.
NO_DOCUMENT: Final = "0"


async def post(http: StepHttp, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Send something and return the answer, which names the document. Raises the error that Google names."""
    response = SERVICE.checked(await http.post(path, json=dict(body)))
    answer = response.json_object()
    if not isinstance(answer.get("documentId"), str):
        raise response.unexpected()
    return answer


def update_path(document_id: str) -> str:
    return f"{DOCUMENTS_PATH}/{part(document_id)}:batchUpdate"


def page_of(document_id: str) -> str:
    """Return where a person reads a document."""
    return f"https://docs.google.com/document/d/{part(document_id)}/edit"


async def account(ctx: AuthContext) -> Account:
    """Ask for a document that is not there: the one permission that there is says nothing of whose it is."""
    response = await ctx.http.get(f"{DOCUMENTS_PATH}/{NO_DOCUMENT}", params={"fields": "documentId"})
    with suppress(NotFound):
        SERVICE.checked(response)
    return Account(label=SERVICE.name, scopes=SERVICE.scopes)
