-- Shows which places a booking has bought, and frees all others that it has: what Postgres has at one version of it.
-- The end of the event's keys marks a place as bought; one with that end, or with none, is sold. A bought place replaces
-- a hold of another booking (it is not in Postgres, or the sale would have failed), and not a sale to another booking.
-- A free place stays as it is if another booking has it. After the end of the event's keys nothing is set.
-- KEYS[1] event prefix; ARGV: booking, its version, end of the event's keys in ms ("0": it has never bought anything, so
--   its version is not kept), number of free seats, free seats..., number of bought seats, bought seats..., then
--   section, bought places (0: free)...
-- Returns 0 if the caller must read the booking again, and call again if its version has changed; else 1. That is so if
--   a later version is known (then this call is late, and nothing is changed), and if none is known and more is changed
--   than the booking's own hold (Redis may have been emptied since a later version was shown).
local prefix, booking, version, ends = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local known = tonumber(redis.call('HGET', prefix .. ':versions', booking) or 0)
if known > version then return 0 end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if ends ~= 0 and ends <= now then return 1 end
local first_bought = 6 + ARGV[4]
local first_section = first_bought + ARGV[first_bought - 1]
local is_own_hold, frees = true, ends == 0

for i = 5, first_bought - 2 do
    local key = prefix .. ':seat:' .. ARGV[i]
    frees = true
    if redis.call('GET', key) == booking then
        redis.call('DEL', key)
        is_own_hold = false
    end
end
for i = first_bought, first_section - 1 do
    local key = prefix .. ':seat:' .. ARGV[i]
    local mine = redis.call('GET', key) == booking
    local until_ms = redis.call('PEXPIRETIME', key) -- -1 without an end, -2 if missing
    local is_sold = until_ms == -1 or until_ms >= ends
    if mine or not is_sold then redis.call('SET', key, booking, 'PXAT', ARGV[3]) end
    is_own_hold = is_own_hold and mine
end
for i = first_section, #ARGV, 2 do
    local section, bought = prefix .. ':general:' .. ARGV[i], tonumber(ARGV[i + 1])
    local mine = tonumber(redis.call('HGET', section .. ':places', booking) or 0)
    is_own_hold = is_own_hold and mine == bought
    if bought ~= 0 then
        redis.call('ZADD', section .. ':until', 'inf', booking)
        redis.call('HSET', section .. ':places', booking, bought)
        redis.call('INCRBY', section .. ':count', bought - mine)
        for _, part in ipairs({':until', ':places', ':count'}) do redis.call('PEXPIREAT', section .. part, ARGV[3]) end
    else
        frees = true
        if mine ~= 0 then
            redis.call('DECRBY', section .. ':count', mine)
            redis.call('HDEL', section .. ':places', booking)
            redis.call('ZREM', section .. ':until', booking)
        end
    end
end
if frees then
    if redis.call('EXISTS', prefix .. ':epoch') == 0 then
        -- A process may be loading data that still has a claim of the booking: the new token makes it read again.
        redis.call('SET', prefix .. ':change', booking .. ':' .. clock[1] .. ':' .. clock[2], 'EX', 3600)
    end
    redis.call('SET', prefix .. ':ended:' .. booking, '1', 'EX', 86400)
end
if ends == 0 then return 1 end
redis.call('HSET', prefix .. ':versions', booking, ARGV[2])
redis.call('PEXPIREAT', prefix .. ':versions', ARGV[3])
return (known > 0 or is_own_hold) and 1 or 0
