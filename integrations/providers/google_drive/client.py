"""How Google Drive is spoken to. Documents of Google's own editors have no bytes: they are exported as another type."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

from integrations.google import SCOPES_ROOT, Service, next_page, part, rows_of
from integrations.sdk import Account, AuthContext, InputError
from integrations.sdk.client import Response, StepHttp
from integrations.words import gettext as _

BASE_URL: Final = "https://www.googleapis.com"
DOCS_URL: Final = "https://developers.google.com/workspace/drive/api/reference/rest/v3"
# Nothing less reads files that others made and writes into a folder that a person chose.
SERVICE: Final = Service(name="Google Drive", scopes=(SCOPES_ROOT + "drive",), grants="see and add files")

FILES_PATH: Final = "drive/v3/files"
UPLOAD_PATH: Final = "upload/drive/v3/files"
ABOUT_PATH: Final = "drive/v3/about"

FIELDS: Final = "id,name,mimeType,size,createdTime,modifiedTime,parents,webViewLink,md5Checksum"
GOOGLE_TYPE: Final = "application/vnd.google-apps."
FOLDER: Final = GOOGLE_TYPE + "folder"
SHORTCUT: Final = GOOGLE_TYPE + "shortcut"
# What is downloaded of a document where nothing else is asked for.
EXPORTS: Final[Mapping[str, str]] = {
    GOOGLE_TYPE + "document": "text/plain",
    GOOGLE_TYPE + "spreadsheet": "text/csv",
    GOOGLE_TYPE + "presentation": "application/pdf",
    GOOGLE_TYPE + "drawing": "image/png",
    GOOGLE_TYPE + "script": "application/vnd.google-apps.script+json",
}
# Of drives that are shared, too.
ALL_DRIVES: Final = {"supportsAllDrives": "true"}


async def facts(http: StepHttp, file_id: str) -> dict[str, Any]:
    """Return a file's resource; that of its target for a shortcut."""
    for _turn in range(2):
        params = {"fields": f"{FIELDS},shortcutDetails(targetId)", **ALL_DRIVES}
        response = SERVICE.checked(await http.get(f"{FILES_PATH}/{part(file_id)}", params=params))
        found = file_of(response)
        if found["mimeType"] != SHORTCUT:
            break
        details = found.get("shortcutDetails")
        file_id = str(details.get("targetId") or "") if isinstance(details, dict) else ""
    return found


async def content(http: StepHttp, file_id: str) -> bytes:
    """Return a file's bytes."""
    response = await http.get(f"{FILES_PATH}/{part(file_id)}", params={"alt": "media", **ALL_DRIVES})
    return SERVICE.checked(response).content


async def exported(http: StepHttp, file_id: str, mime_type: str) -> bytes:
    """Return a document of Google's own editors as another type; Google exports at most 10 MB."""
    response = await http.get(f"{FILES_PATH}/{part(file_id)}/export", params={"mimeType": mime_type})
    return SERVICE.checked(response).content


async def upload(http: StepHttp, resource: Mapping[str, Any], data: bytes, mime_type: str) -> dict[str, Any]:
    """Make a file of these bytes, described by ``resource``, in one request (multipart/related)."""
    boundary = secrets.token_hex(24)
    head = (
        f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(dict(resource))}\r\n"
        f"--{boundary}\r\nContent-Type: {mime_type}\r\n\r\n"
    )
    response = await http.post(
        UPLOAD_PATH,
        params={"uploadType": "multipart", "fields": FIELDS, **ALL_DRIVES},
        headers={"Content-Type": f"multipart/related; boundary={boundary}"},
        content=head.encode("ascii") + data + f"\r\n--{boundary}--\r\n".encode("ascii"),
    )
    return file_of(SERVICE.checked(response))


async def listed(
    http: StepHttp, query: str, *, order: str, most: int, fields: str = FIELDS, page: str | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return one page of the files that a query finds, and the token of the next."""
    params = {
        "q": query,
        "orderBy": order,
        "pageSize": str(most),
        "fields": f"nextPageToken,files({fields})",
        "includeItemsFromAllDrives": "true",
        **ALL_DRIVES,
        **({"pageToken": page} if page else {}),
    }
    response = SERVICE.checked(await http.get(FILES_PATH, params=params))
    rows = rows_of(response, "files")
    if not all(isinstance(row.get("id"), str) and isinstance(row.get("name"), str) for row in rows):
        raise response.unexpected()
    return rows, next_page(response)


def file_of(response: Response) -> dict[str, Any]:
    answer = response.json_object()
    if not all(isinstance(answer.get(name), str) for name in ("id", "name", "mimeType")):
        raise response.unexpected()
    return answer


def described(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file's resource in the library's words; sizes come as text, and documents have none."""
    size = str(found.get("size") or "")
    parents = found.get("parents")
    return {
        "id": found["id"],
        "name": found["name"],
        "mimeType": str(found.get("mimeType") or ""),
        "size": int(size) if size.isascii() and size.isdigit() else None,
        "createdTime": found.get("createdTime"),
        "modifiedTime": found.get("modifiedTime"),
        "parents": [str(each) for each in parents] if isinstance(parents, list) else [],
        "webViewLink": str(found.get("webViewLink") or ""),
    }


def quoted(value: str) -> str:
    """Return a text as a query's literal."""
    if any(ord(character) < ord(" ") for character in value):
        raise InputError(_("A search cannot hold line breaks or control characters."))
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


async def account(ctx: AuthContext) -> Account:
    """Ask whose drive this is."""
    params = {"fields": "user(displayName,emailAddress)"}
    user = SERVICE.checked(await ctx.http.get(ABOUT_PATH, params=params)).json_object().get("user")
    user = user if isinstance(user, dict) else {}
    return Account(label=str(user.get("emailAddress") or user.get("displayName") or SERVICE.name))
