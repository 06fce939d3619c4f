"""Settings of the suite: the product's own, with keys and a data folder of their own that go when it ends.

``TEST_DATABASE_URL`` and ``TEST_REDIS_URL`` move the suite to another database or broker.
"""

import atexit
import base64
import os
import shutil
import tempfile
from pathlib import Path

_folder = Path(tempfile.mkdtemp(prefix="orchestrator-tests-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)

for _name in ("DATABASE_URL", "REDIS_URL", "BASE_URL", "EGRESS_ALLOW", "INTEGRATIONS_BASE_URLS", "WORKERS"):
    os.environ.pop(_name, None)
os.environ.update(
    DATA_DIR=str(_folder),
    SECRET_KEY="a key of the test suite alone, long enough for the deployment checks to pass",
    VAULT_KEYS=base64.urlsafe_b64encode(b"0123456789abcdef0123456789abcdef").decode(),
)
if "TEST_DATABASE_URL" in os.environ:
    os.environ["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]
if "TEST_REDIS_URL" in os.environ:
    os.environ["REDIS_URL"] = os.environ["TEST_REDIS_URL"]

from orchestrator.settings import *  # noqa: E402, F403
from orchestrator.settings import DATABASES, ENV  # noqa: E402

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if ENV.uses_sqlite:
    # A file, not shared memory: the driver writes from a thread of its own, and shared-cache locks are not WAL's.
    DATABASES["default"]["TEST"] = {"NAME": str(_folder / "test.sqlite3")}
