-- Counts one more try to charge. Returns -1 if it is counted now, 0 if it was before, else the ms until another try.
-- KEYS: tries by the time when they were made (in ms by Redis's clock)
-- ARGV: try, most tries within a window, ms of the window
local try, most, window = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
if redis.call('ZSCORE', KEYS[1], try) then return 0 end
if redis.call('ZCARD', KEYS[1]) >= most then
    return math.max(1, redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] + window - now)
end
redis.call('ZADD', KEYS[1], now, try)
redis.call('PEXPIRE', KEYS[1], window)
return -1
