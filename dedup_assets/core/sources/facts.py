"""What the services call the time and the version of an object."""

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

_TIMES = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")
_VERSIONS = ("ETag", "etag", "generation", "md5Hash")


def modified_ns_of(entry: Mapping[str, Any]) -> int:
    """Nanoseconds since 1970 of the last change; 0 where the service does not tell."""
    for name in _TIMES:
        time = entry.get(name)
        if isinstance(time, str):
            try:
                time = datetime.fromisoformat(time.replace("Z", "+00:00"))
            except ValueError:
                continue
        if isinstance(time, datetime):
            aware = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
            since = aware - datetime(1970, 1, 1, tzinfo=timezone.utc)
            return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000
        if isinstance(time, int | float):
            return round(time * 1_000_000) * 1000
    return 0


def etag_of(entry: Mapping[str, Any]) -> str | None:
    """What changes with every write of the object; None where the service does not tell."""
    for name in _VERSIONS:
        if entry.get(name):
            return str(entry[name]).strip('"')
    return None
