-- Admits the places of one more unpaid booking by an unproven user of an event. Returns 0 if admitted, else the ms after
-- which to try again. Each place is a member of its own, so that a large set is counted and not read. Requests with one
-- key share the members of their booking. A member ends when its hold can no longer be made, unless it is made by then.
-- KEYS: `booking:number` by the end of the hold (in ms by Redis's clock), the requests that count on this booking
-- ARGV: booking, request, the places, ms of the hold, most places, ms for which a payment may outlast its hold,
--       ms within which the hold is made or never will be
local booking, places, hold, most = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local grace, undecided, soon = tonumber(ARGV[6]), tonumber(ARGV[7]), 30000
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - grace)
local missing = 0
for number = 1, places do
    if not redis.call('ZSCORE', KEYS[1], booking .. ':' .. number) then missing = missing + 1 end
end
if missing > 0 and redis.call('ZCARD', KEYS[1]) + missing > most then
    local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
    local left = first and first - now or 0
    return left > 0 and left or soon
end
local ends = now + math.min(hold, undecided - grace)
for number = 1, places do
    redis.call('ZADD', KEYS[1], 'GT', ends, booking .. ':' .. number)
end
redis.call('PEXPIRE', KEYS[1], math.max(hold + grace, redis.call('PTTL', KEYS[1])))
redis.call('SADD', KEYS[2], ARGV[2])
redis.call('PEXPIRE', KEYS[2], hold + grace)
return 0
