"""Cursor pages, newest first: ``{"results", "next", "previous"}``."""

from __future__ import annotations

from rest_framework.pagination import CursorPagination


class CursorPages(CursorPagination):
    """50 rows a page unless ``?limit=`` (at most 200) says otherwise; ids sort by time."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
    ordering = "-id"
