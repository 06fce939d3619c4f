"""Google Drive: what a download gives, what an upload sends, and which files are new."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from integrations.providers.google_drive import google_drive
from integrations.providers.google_drive.actions import MAX_BYTES, download_file, upload_file
from integrations.providers.google_drive.client import FOLDER, GOOGLE_TYPE, SHORTCUT
from integrations.providers.google_drive.triggers import MAX_PAGES, SHOWN, new_file
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    Option,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.polling import MAX_ITEMS
from integrations.sdk.testing import check_account, run_action, run_options, run_poll
from tests.providers.google_answers import AUTH, losing_after, ok, refusal

ID = "1ZdR3L3qP4Bkq8noWLJHSr_iBau0DNT4K"


def facts(**more: Any) -> dict[str, Any]:
    return {"id": ID, "name": "a.csv", "mimeType": "text/csv", "size": "5", **more}


def downloaded(about: Mapping[str, Any], body: bytes, **inputs: Any) -> tuple[dict[str, Any], httpx.Request]:
    http = [ok(dict(about)), httpx.Response(200, content=body)]
    result = run_action(download_file, {"fileId": ID, **inputs}, auth=AUTH, http=http)
    return result.output, result.requests[-1]


def test_a_text_comes_as_text_and_what_is_none_as_base64() -> None:
    output, request = downloaded(facts(), "Käse".encode())
    assert (output["encoding"], output["content"], output["size"], output["name"]) == ("text", "Käse", 5, "a.csv")
    assert dict(request.url.params) == {"alt": "media", "supportsAllDrives": "true"}
    for about, body in ((facts(mimeType="image/png"), b"\x89PNG"), (facts(), b"\xff\xfe\x00")):
        output, _ = downloaded(about, body)
        assert (output["encoding"], base64.b64decode(output["content"])) == ("base64", body)
    assert downloaded(facts(mimeType="application/ld+json"), b"{}")[0]["encoding"] == "text"
    assert downloaded(facts(), b"abc", encoding="base64")[0]["content"] == "YWJj"
    assert downloaded(facts(mimeType="image/svg"), b"abc", encoding="text")[0]["content"] == "abc"
    with pytest.raises(InputError, match="no text in UTF-8"):
        downloaded(facts(), b"\xff", encoding="text")


@pytest.mark.parametrize(
    "link", [f"https://drive.google.com/file/d/{ID}/view", f"https://drive.google.com/open?id={ID}"]
)
def test_a_file_is_named_by_its_link_too(link: str) -> None:
    http = [ok(facts()), httpx.Response(200, content=b"x")]
    result = run_action(download_file, {"fileId": link}, auth=AUTH, http=http)
    assert [request.url.path for request in result.requests] == [f"/drive/v3/files/{ID}"] * 2


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        ("document", {}, "text/plain"),
        ("spreadsheet", {}, "text/csv"),
        ("presentation", {}, "application/pdf"),
        ("document", {"exportAs": "text/markdown"}, "text/markdown"),
    ],
)
def test_a_document_of_googles_own_is_exported(kind: str, inputs: dict[str, Any], expected: str) -> None:
    about = {"id": ID, "name": "Doc", "mimeType": GOOGLE_TYPE + kind}
    output, request = downloaded(about, b"hello", **inputs)
    assert request.url.path == f"/drive/v3/files/{ID}/export"
    assert request.url.params["mimeType"] == output["contentType"] == expected
    assert (output["mimeType"], output["size"]) == (GOOGLE_TYPE + kind, None)


def test_a_shortcut_leads_to_its_target() -> None:
    shortcut = facts(mimeType=SHORTCUT, shortcutDetails={"targetId": "T1"})
    http = [ok(shortcut), ok(facts(id="T1")), httpx.Response(200, content=b"x")]
    result = run_action(download_file, {"fileId": ID}, auth=AUTH, http=http)
    assert [request.url.path.rpartition("/")[2] for request in result.requests] == [ID, "T1", "T1"]
    with pytest.raises(InputError):
        run_action(download_file, {"fileId": ID}, auth=AUTH, http=[ok(facts(mimeType=SHORTCUT))])


def test_what_cannot_be_downloaded_is_told_before_anything_is_asked_for() -> None:
    for about, kind, said in (
        (facts(mimeType=FOLDER), InputError, "is a folder"),
        (facts(mimeType=GOOGLE_TYPE + "form"), InputError, "cannot be downloaded"),
        (facts(size=str(MAX_BYTES + 1)), Permanent, "4,194,305 bytes"),
    ):
        with pytest.raises(kind, match=said):
            run_action(download_file, {"fileId": ID}, auth=AUTH, http=[ok(about)])
    with pytest.raises(Permanent, match="at most 4,194,304"):
        downloaded({"id": ID, "name": "Doc", "mimeType": GOOGLE_TYPE + "document"}, b"x" * (MAX_BYTES + 1))
    with pytest.raises(Permanent, match="larger than"):
        downloaded(facts(), b"x" * (11 * 1024 * 1024))


def sent(**inputs: Any) -> tuple[httpx.Request, dict[str, Any], bytes]:
    """Return an upload's request, and its two parts."""
    result = run_action(upload_file, {"name": "a.txt", "content": "x", **inputs}, auth=AUTH, http=[ok(facts())])
    boundary = result.request.headers["content-type"].partition("boundary=")[2].encode()
    _before, first, second, after = result.request.content.split(b"--" + boundary)
    assert after == b"--\r\n"
    return result.request, json.loads(first.partition(b"\r\n\r\n")[2]), second.partition(b"\r\n\r\n")[2][:-2]


def test_an_upload_says_what_the_file_is_and_where_it_goes() -> None:
    request, about, data = sent(content="Käse\r\n--x--")
    assert (about, data) == ({"name": "a.txt"}, "Käse\r\n--x--".encode())
    assert request.url.path == "/upload/drive/v3/files"
    folder = "https://drive.google.com/drive/folders/F1?usp=sharing"
    _, about, data = sent(
        content="aGk=\n",
        encoding="base64",
        mimeType="text/csv",
        folder=folder,
        convertTo="spreadsheet",
        description="d",
    )
    assert data == b"hi"
    assert about == {
        "name": "a.txt",
        "parents": ["F1"],
        "mimeType": "application/vnd.google-apps.spreadsheet",
        "description": "d",
    }


@pytest.mark.parametrize(
    "inputs",
    [
        {"encoding": "base64", "content": "a b!"},
        {"encoding": "base64", "content": "abc"},
        {"content": "\ud800"},
        {"content": "x" * (MAX_BYTES + 1)},
        {"mimeType": "text/plain\r\nX-Evil: 1"},
        {"mimeType": "text"},
        {"name": ""},
        {"folder": "https://example.com/"},
    ],
)
def test_what_cannot_be_uploaded_is_not_sent(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(upload_file, {"name": "a", "content": "x", **inputs}, auth=AUTH)


def test_a_lost_answer_to_an_upload_is_an_unknown_outcome_and_to_a_download_is_asked_again() -> None:
    with pytest.raises(OutcomeUnknown):
        run_action(upload_file, {"name": "a", "content": "x"}, auth=AUTH, http=losing_after())
    with pytest.raises(Transient):
        run_action(download_file, {"fileId": ID}, auth=AUTH, http=losing_after(ok(facts())))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(400, "badRequest"), Permanent),
        (refusal(401, "authError"), AuthError),
        (refusal(403, "insufficientPermissions"), PermissionMissing),
        (refusal(403, "storageQuotaExceeded"), PermissionMissing),
        (refusal(403, "userRateLimitExceeded"), RateLimited),
        (refusal(404, "notFound"), NotFound),
        (refusal(429, "rateLimitExceeded"), RateLimited),
        (refusal(500, "internalError"), Transient),
        (ok({"id": 5, "name": "a", "mimeType": "b"}), Permanent),
    ],
)
def test_a_refusal_is_read_by_status_and_reason(answer: httpx.Response, expected: type[IntegrationError]) -> None:
    with pytest.raises(IntegrationError) as caught:
        run_action(upload_file, {"name": "a", "content": "x"}, auth=AUTH, http=[answer])
    assert type(caught.value) is expected


def test_folders_are_listed_by_id_and_searched_for_by_google() -> None:
    row = {"id": "F1", "name": "It's new", "ownedByMe": False}
    answer = ok({"files": [row, {**row, "ownedByMe": True}], "nextPageToken": "p2"})
    found, (request,) = run_options(upload_file, "folder", query=" it's \\", cursor="p1", auth=AUTH, http=[answer])
    assert list(found.items) == [Option("F1", "It's new", "shared"), Option("F1", "It's new")]
    assert found.next_cursor == "p2"
    assert request.url.params["pageToken"] == "p1"
    assert request.url.params["q"].endswith(
        f"mimeType = '{FOLDER}' and trashed = false and name contains 'it\\'s \\\\'"
    )
    with pytest.raises(InputError):
        run_options(upload_file, "folder", query="a\nb", auth=AUTH)


def test_a_token_is_asked_whose_it_is() -> None:
    answer = ok({"user": {"emailAddress": "ada@example.com", "displayName": "Ada"}})
    account, (request,) = check_account(google_drive, {"type": "oauth2", **AUTH}, [answer])
    assert (account.label, request.url.path) == ("ada@example.com", "/drive/v3/about")


class Drive:
    """A drive that lists the files made from a moment on, as Google does."""

    def __init__(self, page: int = 1000) -> None:
        self.files: list[dict[str, Any]] = []
        self.page = page
        self.queries: list[str] = []

    def add(self, name: str, minute: float) -> None:
        made = datetime.fromisoformat("2026-05-04T07:00:00+00:00") + timedelta(minutes=minute)
        moment = made.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.files.append({"id": name, "name": name, "mimeType": "text/plain", "createdTime": moment})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = request.url.params
        self.queries.append(asked["q"])
        since = asked["q"].partition("createdTime >= '")[2].rstrip("'")
        newest_first = asked["orderBy"].endswith("desc")
        found = sorted(self.files, key=lambda each: each["createdTime"], reverse=newest_first)
        found = [each for each in found if each["createdTime"] >= since]
        start, size = int(asked.get("pageToken", 0)), min(self.page, int(asked["pageSize"]))
        following = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
        return ok({"files": found[start : start + size], **following})


def poll(drive: Drive, cursor: Any = None, **inputs: Any) -> Any:
    return run_poll(new_file, inputs, cursor=cursor, auth=AUTH, http=drive)


def ids(found: Any) -> list[str]:
    return [item.id for item in found.items]


def test_the_first_poll_remembers_what_is_there_and_the_next_gives_what_is_new_once() -> None:
    drive = Drive()
    for at, name in enumerate("abcde"):
        drive.add(name, at)
    first = poll(drive, folder="F'1")
    assert ids(first) == ["c", "d", "e"]
    assert len(first.items) == SHOWN
    assert "'F\\'1' in parents" in drive.queries[0]
    assert ids(poll(drive, first.cursor)) == []
    # Of the same moment as the newest, later, and much later.
    drive.add("f", 4)
    drive.add("g", 5)
    second = poll(drive, first.cursor)
    assert ids(second) == ["f", "g"]
    assert ids(poll(drive, second.cursor)) == []
    drive.add("h", 600)
    third = poll(drive, second.cursor)
    assert ids(third) == ["h"]
    # It was made before the last one, and is only found now.
    drive.add("i", 595)
    assert ids(poll(drive, third.cursor)) == ["i"]


def test_an_empty_drive_gives_its_first_file() -> None:
    drive = Drive()
    first = poll(drive)
    drive.add("a", 0)
    assert ids(poll(drive, first.cursor)) == ["a"]


def test_more_than_a_poll_may_bring_follows_and_none_comes_twice() -> None:
    drive = Drive(page=60)
    cursor = poll(drive).cursor
    count = MAX_ITEMS * 2 + 60 * MAX_PAGES
    for at in range(count):
        drive.add(f"{at:04}", at / 1000)
    got: list[str] = []
    for _turn in range(20):
        found = poll(drive, cursor)
        got, cursor = got + ids(found), found.cursor
        assert len(found.items) <= MAX_ITEMS
        if not found.more:
            break
    assert got == [f"{at:04}" for at in range(count)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(refusal(401), AuthError), (refusal(429), RateLimited), (refusal(404), NotFound), (refusal(502), Transient),
     (ok({}), Permanent), (ok({"files": [1]}), Permanent), (ok({"files": [{"id": 1}]}), Permanent)],
)  # fmt: skip
def test_a_poll_that_fails_says_why(answer: httpx.Response, expected: type[IntegrationError]) -> None:
    with pytest.raises(IntegrationError) as caught:
        poll(answer_with(answer))
    assert type(caught.value) is expected


def answer_with(answer: httpx.Response) -> Any:
    return lambda request: answer


def test_a_download_gives_a_file_that_an_upload_takes() -> None:
    output, _ = downloaded(facts(mimeType="image/png"), b"\x89PNG", encoding="file")
    assert output["file"] == {"name": "a.csv", "type": "image/png", "size": 4, "base64": "iVBORw=="}
    assert (output["encoding"], output["content"]) == ("file", "")
    answer = [ok(facts())]
    result = run_action(upload_file, {"file": output["file"]}, auth=AUTH, http=answer)
    assert b"Content-Type: image/png\r\n\r\n\x89PNG\r\n" in result.request.content
    assert b'{"name": "a.csv"}' in result.request.content
    renamed = run_action(upload_file, {"file": output["file"], "name": "b.png"}, auth=AUTH, http=[ok(facts())])
    assert b'{"name": "b.png"}' in renamed.request.content
    for wrong in ({"file": output["file"], "content": "x"}, {"content": "x"}, {"file": "https://example.com"}):
        with pytest.raises(InputError):
            run_action(upload_file, wrong, auth=AUTH)
    large = {"name": "a", "base64": base64.b64encode(bytes(MAX_BYTES + 1)).decode()}
    with pytest.raises(InputError, match="at most 4,194,304 are taken") as caught:
        run_action(upload_file, {"file": large}, auth=AUTH)
    assert caught.value.field == "file"
