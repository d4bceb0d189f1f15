-- Ends a loader's turn without a load. A loader whose turn has expired must not end the turn of the next.
-- KEYS[1] event prefix; ARGV: loader
if redis.call('GET', KEYS[1] .. ':loading') == ARGV[1] then redis.call('DEL', KEYS[1] .. ':loading') end
return 'OK'
