"""The organizer's order of an event's sections; those that are on sale already are put in the order of their names."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    # The default is for a process of the version before, which knows of no order.
    op.execute("ALTER TABLE sections ADD COLUMN position integer NOT NULL DEFAULT 0")
    op.execute(
        """
        UPDATE sections SET position = ordered.position
        FROM (SELECT event_id, name, row_number() OVER (PARTITION BY event_id ORDER BY name) - 1 FROM sections)
            AS ordered (event_id, name, position)
        WHERE (sections.event_id, sections.name) = (ordered.event_id, ordered.name)
        """
    )
