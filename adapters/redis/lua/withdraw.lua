-- Removes a seat that was set for a booking while the event was cold. If the event is warm now, or the seat is sold,
-- the booking has repeated its request and this call is late: then the seat stays.
-- KEYS: seat, epoch; ARGV: booking
if redis.call('EXISTS', KEYS[2]) == 0 and redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PTTL', KEYS[1]) >= 0 then
    redis.call('DEL', KEYS[1])
end
