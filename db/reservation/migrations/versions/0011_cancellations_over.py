"""When nothing is left to do about a cancelled event, so that one whose workflow was lost is found and gone on with."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("ALTER TABLE cancellations ADD COLUMN over_at timestamptz")
    # A report that names blocked bookings was kept before the end.
    op.execute("UPDATE cancellations SET over_at = finished_at WHERE coalesce((report ->> 'blocked')::int, 0) = 0")
    op.execute("CREATE INDEX cancellations_under_way ON cancellations (started_at) WHERE over_at IS NULL")
