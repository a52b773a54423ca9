-- Closes a window (rules 7, 9). ARGV: fence, window, kind, checkpoint (JSON or ''), ids…
-- Answers the ids that a token touched since the window was opened, or is in flight on.
-- 'copy': those become debt. 'pay': the others are forgiven. 'look': nothing changes, and debt counts as touched.
-- Repeatable.
local fence, window, kind, checkpoint = unpack(ARGV, 1, 4)
if not holds_lock(fence) then return {'LOCK_LOST'} end
local stayed = {}
for index = 5, #ARGV do
  local id = ARGV[index]
  local touched = tonumber(redis.call('ZSCORE', TOUCHED, id) or '-1') >= tonumber(window)
    or redis.call('HEXISTS', FLYING, id) == 1
    or (kind == 'look' and redis.call('SISMEMBER', DEBT, id) == 1)
  if touched then
    stayed[#stayed + 1] = id
    if kind == 'copy' then redis.call('SADD', DEBT, id) end
  elseif kind == 'pay' then
    redis.call('SREM', DEBT, id)
  end
end
redis.call('ZREM', WINDOWS, window)
local oldest = redis.call('ZRANGE', WINDOWS, 0, 0)[1]
redis.call('ZREMRANGEBYSCORE', TOUCHED, '-inf', oldest and '(' .. oldest or '+inf')
if checkpoint ~= '' then redis.call('HSET', COPY, 'checkpoint', checkpoint) end
return {'OK', stayed}
