from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "orchestrator.alerts"
    label = "alerts"

    def ready(self) -> None:
        from orchestrator.vault.sealed import SealedColumn, register

        register(SealedColumn(model="alerts.AlertChannel", blob="sealed", key_id="key_id", context="alert_channel"))
