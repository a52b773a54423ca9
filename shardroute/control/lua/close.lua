-- Closes a window (rules 7, 9). ARGV: fence, window, 'copy' or 'pay', checkpoint (JSON or ''), ids…
-- Copied ids that were touched meanwhile become debt; paid ids that were not are forgiven. Repeatable.
local fence, window, kind, checkpoint = unpack(ARGV, 1, 4)
if not holds_lock(fence) then return {'LOCK_LOST'} end
local stayed = 0
for index = 5, #ARGV do
  local id = ARGV[index]
  local touched = tonumber(redis.call('ZSCORE', TOUCHED, id) or '-1') >= tonumber(window)
  if touched or redis.call('HEXISTS', FLYING, id) == 1 then
    stayed = stayed + 1
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
