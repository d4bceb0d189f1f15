"""Makes a person's history long, at once."""

from __future__ import annotations

import psycopg

from config.settings import Settings, secret
from db.identity.audit_log import AuditLog
from db.identity.tables import AuditLogRow
from tests.api.people import Person


def lengthen(settings: Settings, superuser: psycopg.Connection, person: Person, entries: int) -> None:
    """Append so many proper entries by this person, each with an origin, as many changes would."""
    log, me = AuditLog(secret(settings.audit_log_secret)), f"user/{person.id}"
    columns = ("number", "at", "actor", "roles", "action", "object", "origin", "request_id", "previous", "hash")
    mine = superuser.execute("SELECT origin FROM audit_log WHERE actor = %s AND origin IS NOT NULL LIMIT 1", [me])
    [(origin,)] = mine.fetchall()
    with superuser.transaction(), superuser.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('audit-log'))")
        last = cursor.execute("SELECT number, clock_timestamp(), hash FROM audit_log ORDER BY number DESC LIMIT 1")
        [(number, at, previous)] = last.fetchall()
        with cursor.copy(f"COPY audit_log ({', '.join(columns)}) FROM STDIN") as copy:
            for each in range(entries):
                row = AuditLogRow(
                    number=number + each + 1,
                    at=at,
                    actor=me,
                    roles="customer",
                    action=f"test.{each}",
                    object=me if each % 2 else f"event/{person.id}",
                    origin=origin,
                    request_id=None,
                    previous=previous,
                )
                row.hash = previous = log._hash(row)
                copy.write_row([getattr(row, column) for column in columns])
