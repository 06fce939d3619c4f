"""A service that is asked for a page: in a thread of its own, so that a look-up that hangs holds no other."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from django.utils import translation
from django.utils.translation import ngettext

_T = TypeVar("_T")


class Places:
    """So many places, all but one of which a tenant can hold: who it asks may be its own, and hold each to the end."""

    def __init__(self, number: int) -> None:
        self._number, self._taken = number, Counter[int]()
        self._lock = threading.Lock()

    def take(self, tenant_id: int) -> bool:
        """Take a place, if one is free for this tenant; whoever does gives it back."""
        with self._lock:
            if self._taken.total() >= self._number or self._taken[tenant_id] >= self._number - 1:
                return False
            self._taken[tenant_id] += 1
            return True

    def give_back(self, tenant_id: int) -> None:
        with self._lock:
            self._taken[tenant_id] -= 1
            # Else it would hold a number for each tenant that ever asked.
            self._taken += Counter()


def asked(
    question: Callable[[], Coroutine[Any, Any, _T]], *, places: Places, tenant_id: int, name: str, seconds: float
) -> _T:
    """Return what a question gives. Raises TimeoutError after so many ``seconds``, and what the question raises.

    Whoever calls took one of the ``places``: the thread gives it back whenever it ends, also after nobody waits any
    more.
    """
    future: Future[_T] = Future()
    language = translation.get_language()

    def work() -> None:
        try:
            # What goes wrong is told in the language of whoever asks, which a thread knows nothing of.
            with translation.override(language):
                future.set_result(asyncio.run(question()))
        except Exception as error:
            future.set_exception(error)
        except BaseException as error:
            # Meant for the thread it was raised in, and not for the one that waits.
            future.set_exception(RuntimeError(type(error).__name__))
        finally:
            places.give_back(tenant_id)

    try:
        threading.Thread(target=work, name=name, daemon=True).start()
    except RuntimeError:
        places.give_back(tenant_id)
        raise
    return future.result(timeout=seconds)


def again_in(seconds: float) -> str:
    """Return when it may be asked again, in a sentence."""
    count = max(1, round(seconds))
    return ngettext("Try again in %(count)d second.", "Try again in %(count)d seconds.", count) % {"count": count}
