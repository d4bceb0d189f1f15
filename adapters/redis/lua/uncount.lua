-- Takes a request's hold out of its counts, unless another request counts on it: that one has made the hold, or may still.
-- A request that does not count on it, or no longer, changes nothing: it is late, or was never admitted.
-- KEYS: the requests that count on the hold, then the sets in which it is counted
-- ARGV: request, the hold's members in the sets
if redis.call('SREM', KEYS[1], ARGV[1]) == 0 or redis.call('EXISTS', KEYS[1]) == 1 then return end
for at = 2, #KEYS do redis.call('ZREM', KEYS[at], unpack(ARGV, 2)) end
