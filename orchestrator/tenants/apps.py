from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "orchestrator.tenants"
    label = "tenants"
