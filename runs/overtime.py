"""More time for a task of django-q2 that is under way.

The cluster ends a task twice over, whatever it does: by an alarm in its process, and by a timer that the cluster's
guard counts down, to kill the process. Both are set once, and a call of a step may take a day. So a driver that is well
and has such a call sets them anew, slice by slice; one that hangs does not, and is ended as before.
"""

from __future__ import annotations

import math
import multiprocessing
import signal
import threading
from typing import Any, Final

# What the guard waits beyond the alarm, as django-q2 itself has it.
_BUFFER_SECONDS: Final = 3.0


def prolong(seconds: float) -> bool:
    """Give this process's task so many seconds from now; return whether it is one, in the thread that has the alarm."""
    timer: Any = getattr(multiprocessing.current_process(), "timer", None)
    if timer is None or threading.current_thread() is not threading.main_thread():
        return False
    with timer.get_lock():
        # What is not busy, or is being ended, is left alone.
        if timer.value <= 0:
            return False
        timer.value = seconds + _BUFFER_SECONDS
    signal.alarm(math.ceil(seconds))
    return True
