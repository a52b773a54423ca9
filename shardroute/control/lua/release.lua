-- Gives the lock back. ARGV: fence, quiet (0 or 1). Repeatable; a lock that was taken over is left alone.
-- Not quiet: a request of this holder may still land, so the lock only ends, and the next holder waits (rule 12).
-- Its windows stay open meanwhile.
if redis.call('HGET', LOCK, 'fence') == ARGV[1] then
  if ARGV[2] == '1' then
    abandon_windows()
    redis.call('DEL', LOCK)
  elseif holds_lock(ARGV[1]) then
    redis.call('HSET', LOCK, 'until', now())
  end
end
return {'OK'}
