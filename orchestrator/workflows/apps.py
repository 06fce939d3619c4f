from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    name = "orchestrator.workflows"
    label = "workflows"

    def ready(self) -> None:
        from orchestrator.vault.sealed import SealedColumn, register

        register(
            SealedColumn(model="workflows.Trigger", blob="address_sealed", key_id="address_key_id", context="trigger")
        )
