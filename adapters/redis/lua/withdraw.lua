-- Removes a seat that was set for a booking while the event was cold. If the event is warm now, or the seat is sold or
-- held for longer, the booking has repeated its request and this call is late: then the seat stays.
-- KEYS: seat, epoch; ARGV: booking, ms for which the seat was set
if redis.call('EXISTS', KEYS[2]) == 0 and redis.call('GET', KEYS[1]) == ARGV[1]
    and redis.call('PTTL', KEYS[1]) <= tonumber(ARGV[2]) then
    redis.call('DEL', KEYS[1])
end
