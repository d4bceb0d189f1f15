-- Admits the places of one more unpaid booking at an address and an event. Returns 0 if admitted, else the ms after
-- which to try again.
-- KEYS: `booking:places` by the end of the hold (in ms by Redis's clock), the requests that count on this one
-- ARGV: booking:places, request, the places, ms of the hold, most places, ms for which a payment may outlast its hold
local member, sum, hold = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local most, grace, soon = tonumber(ARGV[5]), tonumber(ARGV[6]), 30000
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - grace)
if not redis.call('ZSCORE', KEYS[1], member) then
    local held = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
    for at = 1, #held, 2 do
        sum = sum + tonumber(string.match(held[at], ':(%d+)$'))
    end
    if sum > most then
        local left = held[2] and held[2] - now or 0
        return left > 0 and left or soon
    end
    redis.call('ZADD', KEYS[1], now + hold, member)
    redis.call('PEXPIRE', KEYS[1], math.max(hold + grace, redis.call('PTTL', KEYS[1])))
end
redis.call('SADD', KEYS[2], ARGV[2])
redis.call('PEXPIRE', KEYS[2], hold + grace)
return 0
