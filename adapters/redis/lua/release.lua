-- Releases a booking's places, held or sold; places of other bookings do not change.
-- KEYS[1] event prefix; ARGV: booking, number of seats, seats..., then sections...
local prefix, booking = KEYS[1], ARGV[1]
local first_section = 3 + tonumber(ARGV[2])
if redis.call('EXISTS', prefix .. ':epoch') == 0 then
    -- A process may be loading data that still has this claim: the new token makes it read again.
    local clock = redis.call('TIME')
    redis.call('SET', prefix .. ':change', booking .. ':' .. clock[1] .. ':' .. clock[2], 'EX', 3600)
end
redis.call('SET', prefix .. ':ended:' .. booking, '1', 'EX', 86400)
for i = 3, first_section - 1 do
    local key = prefix .. ':seat:' .. ARGV[i]
    if redis.call('GET', key) == booking then redis.call('DEL', key) end
end
for i = first_section, #ARGV do
    local section = prefix .. ':general:' .. ARGV[i]
    local mine = redis.call('HGET', section .. ':places', booking)
    if mine then
        redis.call('DECRBY', section .. ':count', mine)
        redis.call('HDEL', section .. ':places', booking)
        redis.call('ZREM', section .. ':until', booking)
    end
end
return 'OK'
