"""Letters that could not be made documents."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Made by hand after models.py; `makemigrations --check` says whether they agree."""

    dependencies = [("tram_practice", "0001_initial")]  # noqa: RUF012  # Django's way
    operations = [  # noqa: RUF012  # Django's way
        migrations.CreateModel(
            name="Unread",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("agency", models.CharField(max_length=64)),
                ("uid", models.BigIntegerField()),
                ("tries", models.PositiveIntegerField(default=0)),
                ("due", models.DateTimeField(null=True)),
                ("why", models.TextField(blank=True)),
            ],
            options={"constraints": [models.UniqueConstraint(fields=["agency", "uid"], name="tram_one_unread")]},
        ),
    ]
