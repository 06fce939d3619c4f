from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class TenantsConfig(AppConfig):
    name = "orchestrator.tenants"
    label = "tenants"

    def ready(self) -> None:
        from orchestrator.tenants import consistency
        from orchestrator.vault.sealed import SealedColumn, register

        register(SealedColumn(model="tenants.SecondFactor", blob="sealed", key_id="key_id", context="second_factor"))
        register(SealedColumn(model="tenants.SingleSignOn", blob="sealed", key_id="key_id", context="single_sign_on"))

        # Sent for each app, all before and all after the migrations: listening to one of them is enough.
        pre_migrate.connect(consistency.remove_before_migrations, sender=self)
        post_migrate.connect(consistency.install_after_migrations, sender=self)
