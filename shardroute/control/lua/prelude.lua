-- Put in front of every script. All scripts get the same keys in the same order, of one hash slot.
-- Times are milliseconds of Redis's own clock. Rules are numbered in docs/protocol.md.
local META, TENANTS, DEFAULTS, CHANGES, SESSIONS, ACKS, INFO,
      TOKENS, FLYING, TOUCHED, WINDOWS, DEBT, LOCK, COPY, VOID, BEATS,
      TALLIES, BATCHES, EXAMPLES, RECORDED = unpack(KEYS)

local LINE = {OLD = 0, DUAL_OLD = 1, HOLD_OLD = 2, HOLD_NEW = 3, DUAL_NEW = 4, NEW = 5}
local SETTLED = {OLD = true, NEW = true}
local DUAL = {DUAL_OLD = true, DUAL_NEW = true}
local HELD = {HOLD_OLD = true, HOLD_NEW = true}
local HOLD_ENDS_IN = {HOLD_OLD = 'DUAL_OLD', HOLD_NEW = 'DUAL_NEW'}
local DEFAULT_HOLD_ENDS_IN = {HOLD_OLD = 'OLD', HOLD_NEW = 'NEW'}
local STREAM_LENGTH = 10000

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Only a server that takes writes speaks for the map: a replica may be behind, or empty before its first copy. This
-- deletes nothing (no field has an empty name), and ends the script in READONLY there. It stands where nothing is
-- written afterwards: once a script has written, Redis no longer asks it to mind the limit of its memory.
local function master_only()
  redis.call('HDEL', META, '')
end

-- Rule 13: nothing is written into a map that is not there.
local function map_lost()
  if redis.call('HEXISTS', META, 'incarnation') == 1 then return false end
  master_only()
  return true
end

local function standing_of(tenant, shard)
  local own = redis.call('HGET', TENANTS, tenant)
  if not own then own = redis.call('HGET', DEFAULTS, shard) end
  if own then return cjson.decode(own) end
  return {phase = 'OLD', epoch = 0, version = 0, synced = 0, hold_until = 0, canary = 0}
end

-- Rule 1: version, record and stream entry change in one script.
local function announce(change, standing)
  local version = redis.call('HINCRBY', META, 'version', 1)
  change.version, change.standing = version, standing
  change.moving = tonumber(redis.call('HGET', META, 'moving'))
  if standing then standing.version = version end
  redis.call('XADD', CHANGES, 'MAXLEN', '~', STREAM_LENGTH, version .. '-0', 'change', cjson.encode(change))
  return version
end

local function publish(tenant, standing)
  local version = announce({tenant = tenant}, standing)
  redis.call('HSET', TENANTS, tenant, cjson.encode(standing))
  return version
end

local function publish_default(shard, standing)
  local version = announce({shard = tonumber(shard)}, standing)
  redis.call('HSET', DEFAULTS, shard, cjson.encode(standing))
  return version
end

-- Rule 2: live sessions that have not acknowledged a version.
local function lagging(version)
  local live, behind = redis.call('ZRANGEBYSCORE', SESSIONS, '(' .. now(), '+inf'), {}
  for _, session in ipairs(live) do
    if tonumber(redis.call('HGET', ACKS, session) or '0') < version then behind[#behind + 1] = session end
  end
  return behind
end

local function session_alive(session)
  return tonumber(redis.call('ZSCORE', SESSIONS, session) or '0') > now()
end

local function holds_lock(fence)
  local lock = redis.call('HMGET', LOCK, 'fence', 'until')
  if lock[1] == fence and tonumber(lock[2]) > now() then return true end
  master_only()
  return false
end

-- Rule 7: touches are kept only while somebody reads in order to write (a window is open). If its holder is gone,
-- for one more life of the lock: what the holder has sent lands sooner (rule 12).
local function touch(ids, first)
  if redis.call('ZCARD', WINDOWS) == 0 then return end
  local lock = redis.call('HMGET', LOCK, 'until', 'life')
  if lock[2] and tonumber(lock[1]) + tonumber(lock[2]) < now() then return end
  local sequence = redis.call('HGET', COPY, 'sequence')
  for index = first, #ids do redis.call('ZADD', TOUCHED, sequence, ids[index]) end
end

local function add_debt(ids, first)
  for index = first, #ids do redis.call('SADD', DEBT, ids[index]) end
end

-- Rule 7, for windows that their holder will never close: what it read then, it may have written over what was
-- touched since, or is being written still.
local function abandon_windows()
  if redis.call('ZCARD', WINDOWS) > 0 then
    add_debt(redis.call('ZRANGE', TOUCHED, 0, -1), 1)
    add_debt(redis.call('HKEYS', FLYING), 1)
  end
  redis.call('DEL', WINDOWS, TOUCHED)
end

local function land(ids, first)
  for index = first, #ids do
    if redis.call('HINCRBY', FLYING, ids[index], -1) <= 0 then redis.call('HDEL', FLYING, ids[index]) end
  end
end

-- Rule 8: tokens of sessions that are gone become debt.
local function reap()
  local tokens, reaped = redis.call('HGETALL', TOKENS), 0
  for index = 1, #tokens, 2 do
    local token = cjson.decode(tokens[index + 1])
    if not session_alive(token.session) then
      redis.call('HDEL', TOKENS, tokens[index])
      land(token.ids, 1)
      add_debt(token.ids, 1)
      touch(token.ids, 1)
      reaped = reaped + 1
    end
  end
  return reaped
end

local function forget_journal()
  redis.call('DEL', TOKENS, FLYING, TOUCHED, WINDOWS, DEBT, COPY, VOID)
end

-- Phase, epoch, deadline of the hold, and how many are in motion. A canary ends with the phase that it was set in.
local function step(standing, to, max_hold, fence)
  local from = standing.phase
  if SETTLED[from] ~= SETTLED[to] then
    redis.call('HINCRBY', META, 'moving', SETTLED[from] and 1 or -1)
  end
  if SETTLED[to] then standing.synced = 0 end
  if not HELD[to] then
    standing.hold_until = 0
  elseif not HELD[from] then
    standing.hold_until = now() + max_hold
  end
  standing.crossed = HELD[from] and HELD[to] and 1 or 0
  standing.phase, standing.epoch, standing.fence, standing.canary = to, standing.epoch + 1, fence, 0
end

local function move_to(tenant, standing, to, max_hold, fence)
  if SETTLED[standing.phase] ~= SETTLED[to] then forget_journal() end
  step(standing, to, max_hold, fence)
  return publish(tenant, standing)
end

-- Statistics carry no token, so what was taken once is remembered for a minute: far longer than it is asked again.
local function first_time(batch)
  redis.call('ZREMRANGEBYSCORE', BATCHES, '-inf', now() - 60000)
  local added = redis.call('ZADD', BATCHES, 'NX', now(), batch)
  redis.call('PEXPIRE', BATCHES, 60000)
  return added == 1
end

-- Windows of time: fields START/WIDTH, in ms. Oldest first, as {field, start, end}.
local function windows_of_time()
  local windows = {}
  for index, field in ipairs(redis.call('HKEYS', TALLIES)) do
    local start, width = string.match(field, '(%d+)/(%d+)')
    windows[index] = {field, tonumber(start), start + width}
  end
  table.sort(windows, function(one, two) return one[2] < two[2] end)
  return windows
end
