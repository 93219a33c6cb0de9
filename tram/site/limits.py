"""Every bound that a host keeps, in one place. Sizes are bytes, times seconds."""

from __future__ import annotations

KEPT_TREES = 5  # an unchanged site sends nothing as long as its tree is among these
KEPT_RUNS = 5  # acknowledged runs that stay, for a person to look at
KEPT_SNAPSHOTS = 3
PARTIAL_PACKS = 3
MAX_WAITING_ORDERS = 20
MAX_UNACKNOWLEDGED_RUNS = 100  # a hub unreachable for months: no report is dropped, no new order is taken
MAX_EVENTS_OF_A_RUN = 5_000  # beyond it only states and the result are told, and one note says so
MAX_REFUSALS_KEPT = 500
MAX_FAILURES = 3  # of this program on one run, before the run is given up

TREE_JSON_BYTES = 4 * 2**20
PACK_HEAD_BYTES = 4  # the length of its sketch
XZ_MEMORY_BYTES = 128 * 2**20
DISK_MARGIN_BYTES = 32 * 2**20  # what a host needs to live on: logs, apt's lists, our own journal
EVENTS_FRAME_BYTES = 192 * 2**10
DATA_FRAME_BYTES = 64 * 2**10

PROGRESS_SECONDS = 5.0
LONGEST_SILENCE_SECONDS = 120.0  # the most a centre may ask a watch to hold its tongue between results
POLL_SECONDS = 0.5
EXECUTOR_QUIET_SECONDS = 4 * 3600.0  # an executor that says nothing for so long is stuck and is ended

# A snapshot guards configuration, not data: what is larger than this in /etc is named in a note and left alone.
SNAPSHOT_FILE_BYTES = 16 * 2**20

# While a change waits for its confirmation only time in which the line is up counts against it. A line that is down
# for this many times the order's confirm_seconds (at least an hour) ends the waiting; see docs/adr/0011.
DOWN_FACTOR = 10
DOWN_AT_LEAST_SECONDS = 3600.0
PROBE_TIMEOUT_SECONDS = 5.0
PROBE_EVERY_SECONDS = (2.0, 30.0)  # a tenth of confirm_seconds, within these
