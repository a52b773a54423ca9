-- Registers the token of a dual write (rules 5, 6, 7). ARGV: tenant, shard, epoch, session, token, ids…
-- Repeatable: a token that is there already is left alone.
-- Epochs of a tenant whose record was dropped begin again, so an epoch alone does not say that writes are dual.
local tenant, shard, epoch, session, token = unpack(ARGV, 1, 5)
local standing = standing_of(tenant, shard)
if standing.epoch ~= tonumber(epoch) or not DUAL[standing.phase] then return {'STALE', standing.version} end
if not session_alive(session) then return {'LAPSED'} end
if redis.call('ZSCORE', VOID, token) then return {'VOID'} end
if redis.call('HEXISTS', TOKENS, token) == 1 then return {'OK', 0} end
local ids, overlapped = {}, 0
for index = 6, #ARGV do
  local id = ARGV[index]
  ids[#ids + 1] = id
  if redis.call('HINCRBY', FLYING, id, 1) > 1 then
    redis.call('SADD', DEBT, id)
    overlapped = overlapped + 1
  end
end
touch(ids, 1)
redis.call('HSET', TOKENS, token, cjson.encode({session = session, ids = ids}))
return {'OK', overlapped}
