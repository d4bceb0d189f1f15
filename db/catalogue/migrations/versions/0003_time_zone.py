"""Events get the time zone of their venue's coordinates."""

import sqlalchemy as sa
from alembic import op

from domain.time_zones import zone_of

revision = "0003"
down_revision = "0002"

_PLACES = sa.text("SELECT DISTINCT venue_latitude AS latitude, venue_longitude AS longitude FROM events")
_SET = sa.text("UPDATE events SET timezone = :zone WHERE venue_latitude = :latitude AND venue_longitude = :longitude")


def upgrade() -> None:
    # A version from before this migration may still run, and drafts events without a zone.
    op.execute("ALTER TABLE events ADD COLUMN timezone text NOT NULL DEFAULT 'UTC' CHECK (timezone <> '')")
    connection = op.get_bind()
    for place in connection.execute(_PLACES).all():
        zone = zone_of(place.latitude, place.longitude)
        connection.execute(_SET, {"zone": zone, "latitude": place.latitude, "longitude": place.longitude})
