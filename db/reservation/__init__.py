"""The reservation service's database: what is on sale, who holds or owns which place, bookings, tickets."""
