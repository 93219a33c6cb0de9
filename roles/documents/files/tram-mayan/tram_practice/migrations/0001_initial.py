"""The first tables."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


def key() -> models.BigAutoField:
    """A table's own number."""
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    """Made by hand after models.py; `makemigrations --check` says whether they agree."""

    initial = True
    dependencies = []  # noqa: RUF012  # Django's way
    operations = [  # noqa: RUF012  # Django's way
        migrations.CreateModel(
            name="Practice",
            fields=[("id", key()), ("data", models.JSONField(default=dict))],
        ),
        migrations.CreateModel(
            name="Book",
            fields=[
                ("id", key()),
                ("agency", models.CharField(max_length=64)),
                ("book", models.CharField(max_length=64)),
                ("year", models.PositiveIntegerField()),
                ("last", models.PositiveIntegerField(default=0)),
            ],
            options={"constraints": [models.UniqueConstraint(fields=["agency", "book", "year"], name="tram_one_book")]},
        ),
        migrations.CreateModel(
            name="Number",
            fields=[
                ("id", key()),
                ("number", models.PositiveIntegerField()),
                ("document", models.BigIntegerField(unique=True)),
                ("direction", models.CharField(max_length=8)),
                ("by", models.CharField(blank=True, max_length=150)),
                ("given", models.DateTimeField(auto_now_add=True)),
                (
                    "book",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="numbers", to="tram_practice.book"
                    ),
                ),
            ],
            options={"constraints": [models.UniqueConstraint(fields=["book", "number"], name="tram_one_number")]},
        ),
        migrations.CreateModel(
            name="Letter",
            fields=[
                ("id", key()),
                ("agency", models.CharField(max_length=64)),
                ("message", models.CharField(max_length=512)),
                ("digest", models.CharField(max_length=64)),
                ("document", models.BigIntegerField()),
                ("complete", models.BooleanField(default=False)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=["agency", "message", "digest"], name="tram_one_letter")]
            },
        ),
        migrations.CreateModel(
            name="Dispatch",
            fields=[
                ("id", key()),
                ("document", models.BigIntegerField(unique=True)),
                ("agency", models.CharField(max_length=64)),
                ("to", models.TextField()),
                ("sent", models.DateTimeField(null=True)),
                ("trouble", models.TextField(blank=True)),
            ],
        ),
        migrations.CreateModel(
            name="Reminder",
            fields=[("id", key()), ("document", models.BigIntegerField()), ("day", models.DateField())],
            options={"constraints": [models.UniqueConstraint(fields=["document", "day"], name="tram_one_reminder")]},
        ),
    ]
