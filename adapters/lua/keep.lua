-- Gives a booking's places another end, or none when they are sold. Sets what is missing (Redis may have been emptied),
-- and leaves alone what another booking owns: Postgres has decided already.
-- KEYS[1] event prefix; ARGV: booking, ttl in ms or "0" for sold, number of seats, seats..., then section, quantity...
local prefix, booking, ttl = KEYS[1], ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local first_section = 4 + tonumber(ARGV[3])

for i = 4, first_section - 1 do
    local key = prefix .. ':seat:' .. ARGV[i]
    local owner = redis.call('GET', key)
    if ttl == 0 then
        redis.call('SET', key, booking)
    elseif not owner or (owner == booking and redis.call('PTTL', key) >= 0) then
        redis.call('SET', key, booking, 'PX', ttl)
    end
end
for i = first_section, #ARGV, 2 do
    local section = prefix .. ':general:' .. ARGV[i]
    local mine = tonumber(redis.call('HGET', section .. ':places', booking) or 0)
    if ttl == 0 then
        redis.call('ZADD', section .. ':until', 'inf', booking)
    elseif redis.call('ZSCORE', section .. ':until', booking) ~= 'inf' then
        redis.call('ZADD', section .. ':until', now + ttl, booking)
    end
    redis.call('HSET', section .. ':places', booking, ARGV[i + 1])
    redis.call('INCRBY', section .. ':count', tonumber(ARGV[i + 1]) - mine)
end
return 'OK'
