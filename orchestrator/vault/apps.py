from django.apps import AppConfig


class VaultConfig(AppConfig):
    name = "orchestrator.vault"
    label = "vault"
