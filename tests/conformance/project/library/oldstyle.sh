#!/bin/sh
# Not Python at all.
# shellcheck source=/dev/null
. "$1"
echo "{\"changed\": false, \"word\": \"$word\"}"
