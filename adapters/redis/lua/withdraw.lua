-- Removes a seat that was set for a booking while the event was cold. If the event is warm now, or the seat is sold or
-- held for longer, the booking has repeated its request and this call is late: then the seat stays. A seat without an end,
-- as version 0.1.0 leaves it, is sold.
-- KEYS: seat, epoch; ARGV: booking, ms for which the seat was set
local left = redis.call('PTTL', KEYS[1]) -- -1 without an end, -2 if missing
if redis.call('EXISTS', KEYS[2]) == 0 and redis.call('GET', KEYS[1]) == ARGV[1]
    and left >= 0 and left <= tonumber(ARGV[2]) then
    redis.call('DEL', KEYS[1])
end
