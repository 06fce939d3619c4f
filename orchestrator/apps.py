from django.apps import AppConfig


class OrchestratorConfig(AppConfig):
    """The composition root: commands, checks and static files."""

    name = "orchestrator"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from orchestrator import checks  # noqa: F401  (registers the system checks)
