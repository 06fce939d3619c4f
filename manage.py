#!/usr/bin/env python
"""The product's one command line: ``python manage.py up`` sets up and runs everything on one machine."""

import os
import sys

from orchestrator import env


def main() -> int:
    """Run one management command; a missing or wrong setting ends it with one sentence and exit status 2."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    try:
        env.prepare(command, wants_help=bool({"-h", "--help"} & set(sys.argv[2:])))
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except env.ConfigurationError as error:
        print(f"orchestrator: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
