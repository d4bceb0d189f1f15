-- Loads a cold event from Postgres's data, in one step. A sale that is already in Redis is newer, and stays. A hold of
-- another booking is not in Postgres, or it would have been read or have changed the token: it is replaced.
-- KEYS[1] event prefix; ARGV: change token read before Postgres, loader, claims as JSON, end of the epoch in ms, end of
--   all other keys in ms; the claims are
--   {"capacity": {section: n}, "seats": [[name, booking, ttl ms or 0 for sold]...],
--    "general": [[section, booking, quantity, ttl ms or 0 for sold]...], "ended": [booking...]}
-- Returns "loaded", "warm" if another process was faster, or "changed" if Postgres must be read again.
local prefix, ends = KEYS[1], tonumber(ARGV[5])
-- This loader's turn ends in every case. A loader whose turn has expired must not end the turn of the next.
if redis.call('GET', prefix .. ':loading') == ARGV[2] then redis.call('DEL', prefix .. ':loading') end
if redis.call('EXISTS', prefix .. ':epoch') == 1 then return 'warm' end
if (redis.call('GET', prefix .. ':change') or '') ~= ARGV[1] then return 'changed' end
local claims = cjson.decode(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

for section, capacity in pairs(claims.capacity) do
    redis.call('HSET', prefix .. ':capacity', section, string.format('%d', capacity))
end
redis.call('PEXPIREAT', prefix .. ':capacity', ARGV[5])
for _, claim in ipairs(claims.seats) do
    local key = prefix .. ':seat:' .. claim[1]
    local until_ms = redis.call('PEXPIRETIME', key) -- -1 without an end, -2 if missing
    if until_ms == -1 or until_ms >= ends then
        -- sold already
    elseif claim[3] == 0 then
        redis.call('SET', key, claim[2], 'PXAT', ARGV[5])
    elseif redis.call('PTTL', key) < claim[3] or redis.call('GET', key) ~= claim[2] then
        redis.call('SET', key, claim[2], 'PX', string.format('%d', claim[3]))
    end
end
for _, claim in ipairs(claims.general) do
    local section = prefix .. ':general:' .. claim[1]
    if redis.call('HSETNX', section .. ':places', claim[2], string.format('%d', claim[3])) == 1 then
        redis.call('INCRBY', section .. ':count', string.format('%d', claim[3]))
        local last = 'inf'
        if claim[4] ~= 0 then last = string.format('%d', now + claim[4]) end
        redis.call('ZADD', section .. ':until', last, claim[2])
        for _, part in ipairs({':until', ':places', ':count'}) do redis.call('PEXPIREAT', section .. part, ARGV[5]) end
    end
end
for _, booking in ipairs(claims.ended) do
    redis.call('SET', prefix .. ':ended:' .. booking, '1', 'EX', 86400)
end
redis.call('SET', prefix .. ':epoch', string.format('%d', now), 'PXAT', ARGV[4])
return 'loaded'
