-- Gives the lock back. ARGV: fence, quiet (0 or 1). Repeatable; a lock that was taken over is left alone.
-- Not quiet: a request of this holder may still land, so the lock only ends, and the next holder waits (rule 12).
if redis.call('HGET', LOCK, 'fence') == ARGV[1] then
  redis.call('DEL', WINDOWS, TOUCHED)
  if ARGV[2] == '1' then redis.call('DEL', LOCK) else redis.call('HSET', LOCK, 'until', 0) end
end
return {'OK'}
