"""Mayan's settings as the role has them (/etc/mayan/mayan.yml), and the few that Mayan does not read from there."""

from __future__ import annotations

import json
from pathlib import Path

from mayan.settings.production import *  # noqa: F403  # Django reads settings as names of a module
from mayan.settings.production import INSTALLED_APPS, MIDDLEWARE, REST_FRAMEWORK

from tram_mayan.tries import Tries

_ROLE = json.loads(Path("/etc/mayan/settings.json").read_text(encoding="utf-8"))

INSTALLED_APPS = [*INSTALLED_APPS, "tram_mayan.apps.TramMayanApp", "tram_practice.apps.TramPracticeApp"]

# Before anything else looks at a file that was sent.
MIDDLEWARE = (
    "tram_mayan.away.SaySo",
    *MIDDLEWARE[:2],
    "tram_mayan.scan.ScanUploads",
    *MIDDLEWARE[2:],
    "tram_mayan.session.KeepAlive",
)

# What is here goes before Mayan's own translation.
LOCALE_PATHS = [str(path) for path in sorted(Path("/usr/local/lib/tram-mayan/compiled").glob("*"))]

TRAM_SCANNER = _ROLE["scanner"]
TRAM_SCAN_SECONDS = _ROLE["scan_seconds"]
TRAM_PAGES = _ROLE["pages_limit"]

# Kept alive by tram_mayan.session, which is why it is a quarter longer than what is promised.
SESSION_COOKIE_AGE = _ROLE["session_minutes"] * 75
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = True
CORS_ORIGIN_ALLOW_ALL = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 5_000_000

# A task is done when it has ended, not when it was begun: a worker that is killed loses none. What a worker that
# died had in hand is given to it again when it starts (tram_mayan.worker).
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_ANNOTATIONS = (Tries(),)
# Whatever a page does to the text recognition, the worker is free again after this.
CELERY_TASK_TIME_LIMIT = 3600
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 6 * 3600}

if _ROLE["ldap"]["url"]:
    from tram_mayan.ldap import settings as _ldap_settings

    globals().update(_ldap_settings(_ROLE["ldap"], REST_FRAMEWORK))

# How wrong passwords are counted: mayan.yml (AUTHENTICATION_LOCKOUT_…), which Mayan writes over AXES_… of here.
AXES_CLIENT_IP_CALLABLE = "tram_mayan.scan.address"
