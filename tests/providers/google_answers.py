"""What the tests of Google's services share: answers as Google writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx

AUTH = {"access_token": "ya29.x"}


def ok(answer: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=answer)


def refusal(status: int, reason: str = "", message: str = "It failed.", **headers: str) -> httpx.Response:
    """Return an error as the older services write it."""
    body = {"error": {"code": status, "message": message, "errors": [{"reason": reason}]}}
    return httpx.Response(status, json=body, headers=headers)


def new_refusal(status: int, reason: str, message: str = "It failed.") -> httpx.Response:
    """Return an error as the newer services write it."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]
    return httpx.Response(status, json={"error": {"code": status, "message": message, "details": details}})


def losing_after(*answers: httpx.Response) -> Callable[[httpx.Request], httpx.Response]:
    """Return a handler that gives these answers and then breaks off after it was asked."""
    rest = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        found = next(rest, None)
        if found is None:
            raise httpx.ReadError("gone")
        return found

    return answer


class Grid:
    """A sheet that answers as Google's does: a grid with rows, what is empty at its end left out."""

    def __init__(self, rows: list[list[Any]], *, size: int = 1000, title: str = "Orders") -> None:
        self.rows, self.size, self.title = rows, size, title
        self.ranges: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("values:batchGet"):
            grid = {"rowCount": self.size, "columnCount": 26}
            return ok({"sheets": [{"properties": {"title": self.title, "gridProperties": grid}}]})
        found = []
        for each in request.url.params.get_list("ranges"):
            self.ranges.append(each)
            first, last = (int("".join(filter(str.isdigit, cell))) for cell in each.rpartition("!")[2].split(":"))
            if last > self.size:
                return refusal(400, "badRequest", f"Range ({each}) exceeds grid limits.")
            rows = [*self.rows[first - 1 : last]]
            while rows and not any(rows[-1]):
                rows.pop()
            found.append({"range": each, **({"values": rows} if rows else {})})
        return ok({"spreadsheetId": "s", "valueRanges": found})


def data(items: Any) -> list[Mapping[str, Any]]:
    return [item.data for item in items]
