"""The reservation service's database: places on sale, claims, bookings, tickets, refunds and exchanges."""
