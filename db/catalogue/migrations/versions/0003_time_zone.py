"""Events get the time zone of their venue's coordinates."""

import sqlalchemy as sa
from alembic import op

from domain.time_zones import zone_of

revision = "0003"
down_revision = "0002"

_PLACES = sa.text("SELECT DISTINCT venue_latitude AS latitude, venue_longitude AS longitude FROM events")
_SET = sa.text("UPDATE events SET timezone = :zone WHERE venue_latitude = :latitude AND venue_longitude = :longitude")


def upgrade() -> None:
    op.execute("ALTER TABLE events ADD COLUMN timezone text CHECK (timezone <> '')")
    connection = op.get_bind()
    for place in connection.execute(_PLACES).all():
        zone = zone_of(place.latitude, place.longitude)
        connection.execute(_SET, {"zone": zone, "latitude": place.latitude, "longitude": place.longitude})
    op.execute("ALTER TABLE events ALTER COLUMN timezone SET NOT NULL")
