-- Gives the turn to load a cold event to one caller at a time.
-- KEYS[1] event prefix; ARGV: loader, the longest duration of its turn in ms
-- Returns 1 for the caller that has the turn, 0 for all others, and 0 if the event is already warm.
local prefix = KEYS[1]
if redis.call('EXISTS', prefix .. ':epoch') == 1 then return 0 end
if redis.call('SET', prefix .. ':loading', ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return 0
