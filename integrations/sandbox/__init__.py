"""Running tenants' code in other processes, without network, files, environment or memory of earlier runs.

What runs belongs to one event loop: it is made at the first use in that loop, never before a fork, and ends with
``aclose``. Every process ends by itself when the one that started it is gone.
"""

from integrations.sandbox.outcome import NO_NETWORK, CodeFailed, NoNetwork, Outcome, OverLimit
from integrations.sandbox.pools import aclose, run_javascript, run_python

__all__ = ["NO_NETWORK", "CodeFailed", "NoNetwork", "Outcome", "OverLimit", "aclose", "run_javascript", "run_python"]
