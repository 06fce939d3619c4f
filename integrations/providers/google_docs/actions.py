"""What can be done in Google Docs."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from integrations.google import id_of
from integrations.providers.google_docs import google_docs
from integrations.providers.google_docs.client import DOCUMENTS_PATH, page_of, post, update_path
from integrations.sdk import RunContext, action, ui

MAX_TEXT: Final = 1_000_000
SAMPLE_ID: Final = "1a2B3c4D5e6F7g8H9i0JkLmNoPqRsTuVwXyZ012345678"


class CreateDocumentInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=1000, title="Title", examples=["Minutes of 4 May"])


class CreateDocumentOutput(BaseModel):
    document_id: str = Field(alias="documentId", title="Document id")
    title: str = Field(title="Title")
    url: str = Field(title="Address", description="Where a person reads it.")


@action(
    provider=google_docs,
    key="google_docs.createDocument",
    name="Create document",
    auth_type="oauth2",
    input_schema=CreateDocumentInputs,
    output_schema=CreateDocumentOutput,
    sample={
        "documentId": SAMPLE_ID,
        "title": "Minutes of 4 May",
        "url": f"https://docs.google.com/document/d/{SAMPLE_ID}/edit",
    },
    idempotent=False,
    effect="create",
    synonyms=("new", "write", "page", "text", "word"),
    summary=lambda output: str(output["title"]),
)
async def create_document(ctx: RunContext[CreateDocumentInputs]) -> dict[str, Any]:
    """Create an empty document, in the top folder of the account's drive."""
    made = await post(ctx.http, DOCUMENTS_PATH, {"title": ctx.inputs.title})
    ctx.log(f"Created {made['documentId']}")
    return {
        "documentId": made["documentId"],
        "title": str(made.get("title") or ctx.inputs.title),
        "url": page_of(made["documentId"]),
    }


class AppendTextInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    document_id: str = Field(
        alias="documentId",
        min_length=1,
        max_length=500,
        title="Document",
        description="Its id, or its link.",
        examples=[SAMPLE_ID],
    )
    text: str = Field(
        min_length=1,
        max_length=MAX_TEXT,
        title="Text",
        description="Plain text.",
        examples=["Ada called: she asks for a demonstration."],
        json_schema_extra=ui(format="textarea"),
    )
    new_paragraph: bool = Field(
        default=True,
        alias="newParagraph",
        title="In a new paragraph",
        description="Else it goes on in the last one.",
        examples=[False],
        json_schema_extra=ui(advanced=True),
    )


class AppendTextOutput(BaseModel):
    document_id: str = Field(alias="documentId", title="Document id")
    url: str = Field(title="Address", description="Where a person reads it.")


@action(
    provider=google_docs,
    key="google_docs.appendText",
    name="Append text",
    auth_type="oauth2",
    input_schema=AppendTextInputs,
    output_schema=AppendTextOutput,
    sample={"documentId": SAMPLE_ID, "url": f"https://docs.google.com/document/d/{SAMPLE_ID}/edit"},
    idempotent=False,
    effect="update",
    synonyms=("add", "write", "insert", "paragraph", "log", "note"),
    summary=lambda output: f"document {output['documentId']}",
)
async def append_text(ctx: RunContext[AppendTextInputs]) -> dict[str, Any]:
    """Add text at the end of a document."""
    inputs = ctx.inputs
    text = f"\n{inputs.text}" if inputs.new_paragraph else inputs.text
    requests = [{"insertText": {"endOfSegmentLocation": {}, "text": text}}]
    done = await post(ctx.http, update_path(id_of(inputs.document_id)), {"requests": requests})
    return {"documentId": done["documentId"], "url": page_of(done["documentId"])}
