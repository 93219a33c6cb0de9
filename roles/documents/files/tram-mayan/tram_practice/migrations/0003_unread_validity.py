"""A letter that could not be made a document is known by the build of its mailbox, too."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Made by hand after models.py; `makemigrations --check` says whether they agree.

    Rows from before are of validity 0, which no mailbox has: the next reading drops them, and tries their letters anew.
    The database knows the default, too, for a release from before that is taken back to.
    """

    dependencies = [("tram_practice", "0002_unread")]  # noqa: RUF012  # Django's way
    operations = [  # noqa: RUF012  # Django's way
        migrations.AddField("unread", "validity", models.BigIntegerField(default=0, db_default=0)),
        migrations.RemoveConstraint("unread", "tram_one_unread"),
        migrations.AddConstraint(
            "unread",
            models.UniqueConstraint(fields=["agency", "validity", "uid"], name="tram_one_unread"),
        ),
    ]
