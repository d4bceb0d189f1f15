-- Takes back a seat that was set for a booking while the event was cold. Where it is warm by now, or the seat is sold, the
-- booking has come again meanwhile, and this is the late one: then it stays.
-- KEYS: seat, epoch; ARGV: booking
if redis.call('EXISTS', KEYS[2]) == 0 and redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PTTL', KEYS[1]) >= 0 then
    redis.call('DEL', KEYS[1])
end
