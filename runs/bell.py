"""The local bell: one byte to who waits on this machine, past broker and database.

1. Who waits holds a post, one at a time: a driver the one for work, django-q2's pusher the one for messages.
2. Who has committed work sends a byte there. That never blocks and never raises; it costs microseconds.
3. Bytes that wait are heard as one. One that is lost costs little: who holds a post looks now and then by itself.

A post is a datagram socket, named for the machine and its database, so that two installations do not hear each other.
It lies in DATA_DIR, or, where that path is too long for a socket or cannot be written, in Linux's own space of names
or in the user's temporary folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import select
import socket
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Final

from django.conf import settings

WORK: Final = "work"
MESSAGES: Final = "messages"
# macOS takes 103 bytes, Linux 107; what is bound first carries a few more, see `_bind`.
_PATH_BYTES: Final = 103
_NEW_BYTES: Final = 9
# What a dead machine left behind; a living post is taken anew many times a day.
_STALE_SECONDS: Final = 86_400.0
_MOST_HEARD: Final = 1_000
# How long who holds no post sleeps at most.
DEAF_SECONDS: Final = 0.1


def ring(post: str) -> bool:
    """Wake who holds a post; return whether somebody does."""
    return _reach(post, b"!")


def is_held(post: str) -> bool:
    """Whether somebody holds a post; wakes nobody."""
    return _reach(post, None)


def _reach(post: str, byte: bytes | None) -> bool:
    return any(_is_reached(address, byte) for address in _addresses(post))


def _is_reached(address: str, byte: bytes | None) -> bool:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            if byte is None:
                sender.connect(address)
            else:
                sender.sendto(byte, address)
    except BlockingIOError:
        # It is full: what waits there says the same.
        return True
    except OSError:
        return False
    return True


class Ear:
    """One who would hold a post; for one thread."""

    def __init__(self, post: str) -> None:
        self._post = post
        self._socket: socket.socket | None = None
        self._address = ""
        self._inode = 0

    def take(self) -> bool:
        """Hold the post from now on unless somebody else does; return whether we do."""
        if self.holds:
            return True
        self.leave()
        if is_held(self._post):
            return False
        for address in _addresses(self._post):
            with contextlib.suppress(OSError):
                self._bind(address)
                return True
        return False

    @property
    def holds(self) -> bool:
        """Whether the post is ours still: its file may be gone, or be another's who did not see us."""
        return self._socket is not None and (_is_abstract(self._address) or _inode(self._address) == self._inode)

    def hear(self) -> bool:
        """Take what was rung so far; return whether there was anything. Never blocks."""
        heard = False
        with contextlib.suppress(OSError):
            for _ in range(_MOST_HEARD if self._socket else 0):
                assert self._socket is not None
                self._socket.recv(1)
                heard = True
        return heard

    def wait(self, seconds: float) -> bool:
        """Sleep until it is rung, for ``seconds`` at most, or a moment where the post is another's."""
        if not self.take():
            time.sleep(min(seconds, DEAF_SECONDS))
            return False
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        poll.poll(seconds * 1000)
        return self.hear()

    def fileno(self) -> int:
        """Return what becomes readable when it is rung, -1 while we do not hold the post."""
        return -1 if self._socket is None else self._socket.fileno()

    def leave(self) -> None:
        """Give the post up, if we hold it."""
        if self._socket is None:
            return
        if self.holds and not _is_abstract(self._address):
            with contextlib.suppress(OSError):
                os.unlink(self._address)
        self._socket.close()
        self._socket = None

    def _bind(self, address: str) -> None:
        """Listen at an address, in the place of who is gone. Raises OSError."""
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            if _is_abstract(address):
                bound.bind(address)
            else:
                self._inode = _bind_file(bound, Path(address))
        except OSError:
            bound.close()
            raise
        self._socket, self._address = bound, address


def _bind_file(bound: socket.socket, path: Path) -> int:
    """Bind under a name of its own first: a file that a dead one left is exchanged in one step. Return its inode."""
    new = f"{path}.{secrets.token_hex((_NEW_BYTES - 1) // 2)}"
    bound.bind(new)
    try:
        inode = _inode(new)
        os.rename(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise
    _clear_stale(path)
    return inode


def _clear_stale(path: Path) -> None:
    before = time.time() - _STALE_SECONDS
    for other in path.parent.glob(f"{path.name.partition('-')[0]}-*.sock*"):
        with contextlib.suppress(OSError):
            if other != path and other.stat().st_mtime < before:
                other.unlink()


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _is_abstract(address: str) -> bool:
    return address.startswith("\0")


def _addresses(post: str) -> tuple[str, ...]:
    if not hasattr(socket, "AF_UNIX"):
        return ()
    database = settings.DATABASES["default"]
    where = [str(database.get(key) or "") for key in ("ENGINE", "HOST", "PORT", "NAME")]
    return _addresses_of(post, str(settings.ENV.data_dir), *where)


@cache
def _addresses_of(post: str, folder: str, *database: str) -> tuple[str, ...]:
    """Return where a post may be, best first."""
    name = f"{post}-{_digest(_machine(), *database)[:12]}.sock"
    apart = f"orchestrator-{post}-{_digest(_machine(), folder, *database)[:20]}"
    elsewhere = f"\0{apart}" if sys.platform == "linux" else str(Path(tempfile.gettempdir(), f"{apart}.sock"))
    return tuple(address for address in (str(Path(folder, name)), elsewhere) if _fits(address))


def _fits(address: str) -> bool:
    return len(os.fsencode(address)) + _NEW_BYTES <= _PATH_BYTES


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()


@cache
def _machine() -> str:
    """Return what tells this machine from others that share its folders, and is the same in all its containers."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        return socket.gethostname()
