-- Takes up to ARGV[2] turns at KEYS[1], ARGV[1] microseconds apart, none later than ARGV[3] microseconds from now.
-- Answers how many were taken, and in how many microseconds the first one is.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, wanted, ahead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local first = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
local taken = math.min(wanted, math.floor((now + ahead - first) / interval) + 1)
if taken < 1 then
    return {0, 0}
end
local next = first + taken * interval
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000) + 1000)
return {taken, first - now}
