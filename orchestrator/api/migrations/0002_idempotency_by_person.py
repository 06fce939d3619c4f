"""Kept answers belong to a person; those of before name nobody and are let go: they last a day at most."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("api", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL("DELETE FROM api_idempotencyrecord", migrations.RunSQL.noop),
        migrations.RemoveConstraint(model_name="idempotencyrecord", name="idempotency_key_once"),
        migrations.AddField(
            model_name="idempotencyrecord",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddConstraint(
            model_name="idempotencyrecord",
            constraint=models.UniqueConstraint(
                fields=("tenant", "user", "path", "key"), name="idempotency_key_once"
            ),
        ),
    ]
