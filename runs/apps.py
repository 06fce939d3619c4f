from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "runs"
    label = "runs"

    def ready(self) -> None:
        from orchestrator.vault.sealed import SealedColumn, register

        register(SealedColumn(model="runs.Subscription", blob="sealed", key_id="key_id", context="subscription"))
