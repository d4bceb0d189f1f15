-- Moves the end of a booking's places to a later time, or removes the end if they are sold; never to an earlier time.
-- Sets missing keys, because Redis may have been emptied. For a place of another booking, Postgres has already decided:
--   extend   does not change it;
--   sell     replaces a hold of another booking (it is not in Postgres, or the sale would have failed), and does not
--            change a sale to another booking (then this call is late, and the place has been resold).
-- KEYS[1] event prefix; ARGV: booking, ttl in ms or "0" for sold, number of seats, seats..., then section, quantity...
local prefix, booking, ttl = KEYS[1], ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local first_section = 4 + tonumber(ARGV[3])

for i = 4, first_section - 1 do
    local key = prefix .. ':seat:' .. ARGV[i]
    local mine = redis.call('GET', key) == booking
    local left = redis.call('PTTL', key) -- -1 without an end (sold), -2 if missing
    if ttl == 0 then
        if mine or left ~= -1 then redis.call('SET', key, booking) end
    elseif left == -2 or (mine and left >= 0 and left < ttl) then
        redis.call('SET', key, booking, 'PX', ttl)
    end
end
for i = first_section, #ARGV, 2 do
    local section = prefix .. ':general:' .. ARGV[i]
    local mine = tonumber(redis.call('HGET', section .. ':places', booking) or 0)
    local last = 'inf'
    if ttl ~= 0 then last = now + ttl end
    redis.call('ZADD', section .. ':until', 'GT', last, booking)
    redis.call('HSET', section .. ':places', booking, ARGV[i + 1])
    redis.call('INCRBY', section .. ':count', tonumber(ARGV[i + 1]) - mine)
end
return 'OK'
