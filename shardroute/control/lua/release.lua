-- Gives the lock back. ARGV: fence. Repeatable; a lock that was taken over is left alone.
if redis.call('HGET', LOCK, 'fence') == ARGV[1] then redis.call('DEL', LOCK, WINDOWS, TOUCHED) end
return {'OK'}
