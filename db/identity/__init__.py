"""The identity service's database: accounts, and the sessions in which people are logged in."""
