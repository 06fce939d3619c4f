import django.db.models.deletion
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import migrations, models
from django.utils import timezone


def move_sessions(apps, schema_editor):
    """Take the sessions that there are along, so that nobody has to sign in again."""
    old, new = apps.get_model("sessions", "Session"), apps.get_model("tenants", "PersonSession")
    people = set(apps.get_model("auth", "User").objects.values_list("pk", flat=True))
    for row in old.objects.filter(expire_date__gt=timezone.now()).iterator():
        person = str(SessionStore().decode(row.session_data).get("_auth_user_id", ""))
        user_id = int(person) if person.isdigit() and int(person) in people else None
        new.objects.create(
            session_key=row.session_key, session_data=row.session_data, expire_date=row.expire_date, user_id=user_id
        )
    old.objects.all().delete()


class Migration(migrations.Migration):

    dependencies = [
        ('sessions', '0001_initial'),
        ('tenants', '0002_invitations'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='PersonSession',
            fields=[
                ('session_key', models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name='session key')),
                ('session_data', models.TextField(verbose_name='session data')),
                ('expire_date', models.DateTimeField(db_index=True, verbose_name='expire date')),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'session',
                'verbose_name_plural': 'sessions',
                'abstract': False,
            },
        ),
        migrations.RunPython(move_sessions, migrations.RunPython.noop, elidable=True),
    ]
