-- Holds all requested places of a booking, or none.
-- KEYS[1] event prefix; ARGV: booking, ttl in ms, "1" to check only, ms for which places outlast the epoch,
--   number of seats, seats..., then section, quantity...
-- Returns "cold" while the event is not loaded, "held", or the names of the places that other bookings have.
-- A call of Redis costs more than everything else here: so SET NX comes first, and other calls only if it fails.
local prefix, booking, ttl, check_only = KEYS[1], ARGV[1], ARGV[2], ARGV[3] == '1'
local call = redis.call
if call('EXISTS', prefix .. ':epoch') == 0 then return 'cold' end
local last_seat = 5 + ARGV[5]
local set, later, taken = {}, {}, {}

for i = 6, last_seat do
    local key = prefix .. ':seat:' .. ARGV[i]
    if not check_only and call('SET', key, booking, 'PX', ttl, 'NX') then
        set[#set + 1] = key
    else
        local owner = call('GET', key)
        if owner == booking then
            later[#later + 1] = key
        elseif owner then
            taken[#taken + 1] = ARGV[i]
        end
    end
end
if last_seat == #ARGV and not taken[1] and not later[1] then return 'held' end

local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for i = last_seat + 1, #ARGV, 2 do
    local section = prefix .. ':general:' .. ARGV[i]
    for _, expired in ipairs(call('ZRANGEBYSCORE', section .. ':until', '-inf', now)) do
        call('DECRBY', section .. ':count', call('HGET', section .. ':places', expired) or 0)
        call('HDEL', section .. ':places', expired)
        call('ZREM', section .. ':until', expired)
    end
    local mine = tonumber(call('HGET', section .. ':places', booking) or 0)
    local others = tonumber(call('GET', section .. ':count') or 0) - mine
    local capacity = tonumber(call('HGET', prefix .. ':capacity', ARGV[i]) or 0)
    if others + tonumber(ARGV[i + 1]) > capacity then taken[#taken + 1] = ARGV[i] end
end

if taken[1] then
    for _, key in ipairs(set) do call('DEL', key) end
    return taken
end
if check_only then return 'held' end

for _, key in ipairs(later) do
    -- A seat that this booking has bought, or already holds for longer, does not change.
    local left = call('PTTL', key)
    if left >= 0 and left < tonumber(ttl) then call('SET', key, booking, 'PX', ttl) end
end
for i = last_seat + 1, #ARGV, 2 do
    local section = prefix .. ':general:' .. ARGV[i]
    -- What the booking has bought does not change: it may have given places back since it asked for them.
    if call('ZSCORE', section .. ':until', booking) ~= 'inf' then
        local mine = tonumber(call('HGET', section .. ':places', booking) or 0)
        call('ZADD', section .. ':until', 'GT', now + ttl, booking)
        call('HSET', section .. ':places', booking, ARGV[i + 1])
        call('INCRBY', section .. ':count', tonumber(ARGV[i + 1]) - mine)
        local epoch_ends = call('PEXPIRETIME', prefix .. ':epoch')
        if epoch_ends > 0 and call('PEXPIRETIME', section .. ':until') == -1 then
            local ends = string.format('%d', epoch_ends + ARGV[4])
            for _, part in ipairs({':until', ':places', ':count'}) do call('PEXPIREAT', section .. part, ends) end
        end
    end
end
return 'held'
