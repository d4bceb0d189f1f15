-- Moves the end of a booking's holds to a later time, never to an earlier one.
-- Sets missing keys, because Redis may have been emptied. It does not change a place of another booking, about which
-- Postgres has already decided; in a cold event that may be no hold at all but a single seat that is about to be
-- withdrawn (see withdraw.lua), so the next load must have read Postgres after this call.
-- Once the booking has bought places this call is late, and changes nothing. After the end of the event's keys nothing
-- is set: no hold is admitted any more.
-- KEYS[1] event prefix; ARGV: booking, ttl in ms, end of the event's keys in ms, number of seats, seats..., then section,
--   quantity...
local prefix, booking, ttl, ends = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if ends <= now or redis.call('HEXISTS', prefix .. ':versions', booking) == 1 then return 'OK' end
local first_section = 5 + tonumber(ARGV[4])
local is_cold, is_missed = redis.call('EXISTS', prefix .. ':epoch') == 0, false

for i = 5, first_section - 1 do
    local key = prefix .. ':seat:' .. ARGV[i]
    local mine = redis.call('GET', key) == booking
    local left = redis.call('PTTL', key) -- -1 without an end, -2 if missing
    if left == -2 or (mine and left >= 0 and left < ttl) then
        redis.call('SET', key, booking, 'PX', ttl)
    elseif is_cold and not mine then
        is_missed = true
    end
end
if is_missed then
    redis.call('SET', prefix .. ':change', booking .. ':' .. clock[1] .. ':' .. clock[2], 'EX', 3600)
end
for i = first_section, #ARGV, 2 do
    local section = prefix .. ':general:' .. ARGV[i]
    local mine = tonumber(redis.call('HGET', section .. ':places', booking) or 0)
    redis.call('ZADD', section .. ':until', 'GT', now + ttl, booking)
    redis.call('HSET', section .. ':places', booking, ARGV[i + 1])
    redis.call('INCRBY', section .. ':count', tonumber(ARGV[i + 1]) - mine)
    for _, part in ipairs({':until', ':places', ':count'}) do redis.call('PEXPIREAT', section .. part, ARGV[3]) end
end
return 'OK'
