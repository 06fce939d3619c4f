from django.apps import AppConfig


class VaultConfig(AppConfig):
    name = "orchestrator.vault"
    label = "vault"

    def ready(self) -> None:
        from orchestrator.vault.sealed import SealedColumn, register

        register(SealedColumn(model="vault.Credential", blob="sealed", key_id="key_id", context="credential"))
