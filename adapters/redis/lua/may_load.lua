-- Gives the turn of loading a cold event to one caller at a time.
-- KEYS[1] event prefix; ARGV: loader, how long its turn lasts at most in ms
-- Returns 1 for the one whose turn it is, 0 for all others, also when the event has become warm meanwhile.
local prefix = KEYS[1]
if redis.call('EXISTS', prefix .. ':epoch') == 1 then return 0 end
if redis.call('SET', prefix .. ':loading', ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return 0
