"""Before a worker starts: what the one before it had in hand when it died goes back into its queues."""

from __future__ import annotations

import json
import sys
from typing import Any

import redis


def give_back(store: redis.Redis, queues: set[str]) -> int:
    """Put every unanswered message of these queues back; how many.

    Each queue has one worker (the role sees to that), so nobody can have them in hand. Source: kombu.transport.redis.
    """
    count = 0
    held: dict[bytes, Any] = store.hgetall("unacked")
    for tag, content in held.items():
        message, _, routing_key = json.loads(content)
        if routing_key not in queues:
            continue
        message.setdefault("headers", {})
        message["properties"]["delivery_info"]["redelivered"] = True
        with store.pipeline(transaction=True) as together:
            # At the end that is read next: it was first in line.
            together.rpush(routing_key, json.dumps(message))
            together.zrem("unacked_index", tag)
            together.hdel("unacked", tag)
            together.execute()
        count += 1
    return count


def main() -> None:
    """`python -m tram_mayan.worker SOCKET QUEUE,QUEUE…`"""
    store = redis.Redis(unix_socket_path=sys.argv[1], db=0)
    count = give_back(store, set(sys.argv[2].split(",")))
    if count:
        print(f"{count} tasks of a worker that died are done again")


if __name__ == "__main__":
    main()
