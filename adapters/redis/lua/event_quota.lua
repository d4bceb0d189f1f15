-- Admits the places of one more unpaid booking by an unproven user of an event. Returns 0 if admitted, else the ms after
-- which to try again. Each place is a member of its own, so that a large set is counted and not read.
-- KEYS: `booking:places:number` by the end of the hold (in ms by Redis's clock), the requests that count on this one
-- ARGV: booking:places, request, the places, ms of the hold, most places, ms for which a payment may outlast its hold
local member, places, hold = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local most, grace, soon = tonumber(ARGV[5]), tonumber(ARGV[6]), 30000
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - grace)
if not redis.call('ZSCORE', KEYS[1], member .. ':1') then
    if redis.call('ZCARD', KEYS[1]) + places > most then
        local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
        local left = first and first - now or 0
        return left > 0 and left or soon
    end
    for number = 1, places do
        redis.call('ZADD', KEYS[1], now + hold, member .. ':' .. number)
    end
    redis.call('PEXPIRE', KEYS[1], math.max(hold + grace, redis.call('PTTL', KEYS[1])))
end
redis.call('SADD', KEYS[2], ARGV[2])
redis.call('PEXPIRE', KEYS[2], hold + grace)
return 0
