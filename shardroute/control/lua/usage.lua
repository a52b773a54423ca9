-- What our keys take of Redis, by kind: name, how many keys, bytes (-1 where the server does not tell), again and again.
-- ARGV: 'everything' but journals, or 'journal' of a tenant. Changes nothing. Redis estimates a key from five samples,
-- so this takes no longer where there is more.
local function taken(kind, keys)
  local there, bytes = 0, 0
  for _, key in ipairs(keys) do
    local answer = redis.pcall('MEMORY', 'USAGE', key)
    if type(answer) == 'table' then return {kind, #keys, -1} end
    if answer then there, bytes = there + 1, bytes + answer end
  end
  return {kind, there, bytes}
end
if ARGV[1] == 'journal' then return {taken('journal', {TOKENS, FLYING, TOUCHED, WINDOWS, DEBT, LOCK, COPY, VOID, SUSPECTS})} end
return {taken('map', {META, TENANTS, DEFAULTS, SUSPECTED}), taken('changes', {CHANGES}),
        taken('sessions', {SESSIONS, ACKS, WITHHELD, INFO, BEATS}),
        {'statistics', redis.call('ZCARD', SIZES), tonumber(redis.call('HGET', USAGE, 'bytes') or 0)}}
