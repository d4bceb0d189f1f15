"""Takes mail by SMTP and puts it into the store; says yes only once it is kept."""

from aiosmtpd.smtp import SMTP, Envelope, Session

from stack.mail.store import Store

LIMIT = 30 * 1024 * 1024


class Inbox:
    """What aiosmtpd calls for each mail."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep the mail."""
        content = envelope.content or b""
        raw = content.encode() if isinstance(content, str) else content
        identifier = self._store.add(envelope.mail_from or "", envelope.rcpt_tos, raw)
        return f"250 2.0.0 Ok: queued as {identifier}"


def connection(store: Store) -> SMTP:
    """Speaks SMTP with one client."""
    return SMTP(Inbox(store), hostname="localhost", data_size_limit=LIMIT, enable_SMTPUTF8=True)
