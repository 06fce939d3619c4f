from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Tags, register
from django.utils import translation

from integrations import words


class OrchestratorConfig(AppConfig):
    """The composition root: commands, checks, static files and the language of the pure layers.

    What the checks need is imported when they are made: web and worker have been checked before they start.
    """

    name = "orchestrator"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # The pure layers know no Django: this is where their texts come to be translated.
        words.translate_by(translation.gettext, translation.ngettext)
        register(check_settings, "orchestrator")
        register(check_admin, Tags.admin)


def check_settings(**_: Any) -> Sequence[CheckMessage]:
    """Return what is wrong with the operator's settings."""
    from orchestrator import checks

    return checks.check_settings()


def check_admin(app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """Return what is wrong with the admin, which is not loaded before somebody opens it."""
    from orchestrator.admin import site

    return site.check(app_configs)
