"""What is remembered beside Mayan's own tables."""

from __future__ import annotations

from django.db import models


class Practice(models.Model):
    """The practice as `tram documents apply` last wrote it: one row."""

    data = models.JSONField(default=dict)


class Book(models.Model):
    """A register book: one agency, one book of it, one year. Its row is locked while a number is given."""

    agency = models.CharField(max_length=64)
    book = models.CharField(max_length=64)
    year = models.PositiveIntegerField()
    last = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agency", "book", "year"], name="tram_one_book")]  # noqa: RUF012  # Django's way


class Number(models.Model):
    """A number that was given. It outlives its document: a number is never given twice."""

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="numbers")
    number = models.PositiveIntegerField()
    document = models.BigIntegerField(unique=True)
    direction = models.CharField(max_length=8)
    by = models.CharField(max_length=150, blank=True)
    given = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["book", "number"], name="tram_one_number")]  # noqa: RUF012  # Django's way


class Letter(models.Model):
    """A letter that became a document, so that it becomes none again."""

    agency = models.CharField(max_length=64)
    message = models.CharField(max_length=512)
    digest = models.CharField(max_length=64)
    document = models.BigIntegerField()
    complete = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agency", "message", "digest"], name="tram_one_letter")]  # noqa: RUF012  # Django's way


class Unread(models.Model):
    """A letter that could not be made a document so far. The row goes with the letter, or when it is taken."""

    agency = models.CharField(max_length=64)
    validity = models.BigIntegerField(default=0, db_default=0)
    uid = models.BigIntegerField()
    tries = models.PositiveIntegerField(default=0)
    due = models.DateTimeField(null=True)
    why = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agency", "validity", "uid"], name="tram_one_unread")]  # noqa: RUF012  # Django's way


class Dispatch(models.Model):
    """A document that is to leave by mail: written in the transaction that issued it."""

    document = models.BigIntegerField(unique=True)
    agency = models.CharField(max_length=64)
    to = models.TextField()
    sent = models.DateTimeField(null=True)
    trouble = models.TextField(blank=True)


class Reminder(models.Model):
    """That somebody was reminded of a document on a day."""

    document = models.BigIntegerField()
    day = models.DateField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["document", "day"], name="tram_one_reminder")]  # noqa: RUF012  # Django's way
