-- Takes back a seat that was set for a booking and is no hold, if it is still the booking's.
-- KEYS[1] seat; ARGV: booking
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
