from django.db import migrations
from django.db.models.functions import Now


def due(apps, schema_editor):
    """Have every credential that there is checked; drivers take a few at a time."""
    rows = apps.get_model("vault", "Credential")._base_manager.using(schema_editor.connection.alias)
    rows.filter(next_check_at=None).update(next_check_at=Now())


class Migration(migrations.Migration):

    dependencies = [
        ('vault', '0002_health'),
    ]

    operations = [
        migrations.RunPython(due, migrations.RunPython.noop),
    ]
