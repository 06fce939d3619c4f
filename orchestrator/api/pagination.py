"""Cursor pages, newest first: ``{"results", "next", "previous"}``."""

from __future__ import annotations

from django.utils.translation import gettext_lazy
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request


class CursorPages(CursorPagination):
    """50 rows a page unless ``?limit=`` (at most 200) says otherwise; ids sort by time."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
    ordering = "-id"
    # Lazy, as the framework's own is.
    invalid_cursor_message = gettext_lazy(  # type: ignore[assignment]
        "There is no such page: the cursor is none of ours. Start again without it."
    )

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the cursor. Raises NotFound unless its position is an id: a forged one would reach the query."""
        cursor = super().decode_cursor(request)
        if cursor is None or cursor.position is None:
            return cursor
        position = str(cursor.position)
        if not (position.isascii() and position.isdigit() and len(position) < 19):
            raise NotFound(str(self.invalid_cursor_message))
        return cursor
