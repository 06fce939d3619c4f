"""Files that a form sends, bounded before anything of them is kept."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadhandler import FileUploadHandler, SkipFile

from orchestrator import jsongate


class Bounded(FileUploadHandler):
    """Stands before the others: a file of more than ``jsongate.MAX_BYTES`` is dropped, as if none had been chosen.

    Django bounds a form's texts, and not its files: these would go to the disk, of whatever size.
    """

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        if start + len(raw_data) > jsongate.MAX_BYTES:
            raise SkipFile
        return raw_data

    def file_complete(self, file_size: int) -> Any:
        """Leave the file to the handlers behind."""
        return None
