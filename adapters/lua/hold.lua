-- Holds all the places that a booking asks for, or none.
-- KEYS[1] event prefix; ARGV: booking, ttl in ms, "1" to only look, number of seats, seats..., then section, quantity...
-- Returns {"cold"} while the event is not loaded, {"taken", name...}, or {"held"}.
local prefix, booking, ttl, look = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
if redis.call('EXISTS', prefix .. ':epoch') == 0 then return {'cold'} end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local seats, taken = {}, {'taken'}
local first_section = 5 + tonumber(ARGV[4])

for i = 5, first_section - 1 do
    local key = prefix .. ':seat:' .. ARGV[i]
    local owner = redis.call('GET', key)
    if owner and owner ~= booking then
        taken[#taken + 1] = ARGV[i]
    else
        -- A seat that this booking has bought (-1), or holds for longer already, keeps its end; -2 is free.
        local left = redis.call('PTTL', key)
        if left ~= -1 and left < ttl then seats[#seats + 1] = key end
    end
end

for i = first_section, #ARGV, 2 do
    local section = prefix .. ':general:' .. ARGV[i]
    for _, expired in ipairs(redis.call('ZRANGEBYSCORE', section .. ':until', '-inf', now)) do
        redis.call('DECRBY', section .. ':count', redis.call('HGET', section .. ':places', expired) or 0)
        redis.call('HDEL', section .. ':places', expired)
        redis.call('ZREM', section .. ':until', expired)
    end
    local mine = tonumber(redis.call('HGET', section .. ':places', booking) or 0)
    local others = tonumber(redis.call('GET', section .. ':count') or 0) - mine
    local capacity = tonumber(redis.call('HGET', prefix .. ':capacity', ARGV[i]) or 0)
    if others + tonumber(ARGV[i + 1]) > capacity then taken[#taken + 1] = ARGV[i] end
end

if #taken > 1 then return taken end
if look then return {'held'} end

for _, key in ipairs(seats) do redis.call('SET', key, booking, 'PX', ttl) end
for i = first_section, #ARGV, 2 do
    local section = prefix .. ':general:' .. ARGV[i]
    local mine = tonumber(redis.call('HGET', section .. ':places', booking) or 0)
    redis.call('ZADD', section .. ':until', 'GT', now + ttl, booking)
    redis.call('HSET', section .. ':places', booking, ARGV[i + 1])
    redis.call('INCRBY', section .. ':count', tonumber(ARGV[i + 1]) - mine)
end
return {'held'}
