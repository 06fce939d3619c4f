from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "orchestrator.api"
    label = "api"

    def ready(self) -> None:
        from orchestrator.vault.sealed import SealedColumn, register

        register(
            SealedColumn(
                model="api.IdempotencyRecord", blob="answer_sealed", key_id="answer_key_id", context="idempotency"
            )
        )
