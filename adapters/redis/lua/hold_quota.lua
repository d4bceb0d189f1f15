-- Admits one more unpaid booking of a user and an event. Returns 0 if admitted, else the ms after which to try again.
-- KEYS: live bookings by the end of their hold, unpaid holds by the time when they were made (in ms by Redis's clock),
--       the requests that count on the booking
-- ARGV: booking, request, ms of the hold, most live ones, most unpaid ones made within a window, ms of the window,
--       ms for which a payment may outlast its hold
local booking, hold, most_live, most_made = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local window, grace, soon = tonumber(ARGV[6]), tonumber(ARGV[7]), 30000
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - grace)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - window)
if not redis.call('ZSCORE', KEYS[2], booking) then
    if redis.call('ZCARD', KEYS[1]) >= most_live then
        local left = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] - now
        return left > 0 and left or soon
    end
    if redis.call('ZCARD', KEYS[2]) >= most_made then
        return math.max(1, redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] + window - now)
    end
    redis.call('ZADD', KEYS[1], now + hold, booking)
    redis.call('ZADD', KEYS[2], now, booking)
    redis.call('PEXPIRE', KEYS[1], math.max(hold + grace, redis.call('PTTL', KEYS[1])))
    redis.call('PEXPIRE', KEYS[2], window)
end
redis.call('SADD', KEYS[3], ARGV[2])
redis.call('PEXPIRE', KEYS[3], math.max(hold + grace, window))
return 0
