-- Put in front of every script. All scripts get the same keys in the same order, of one hash slot.
-- Times are milliseconds of Redis's own clock. Rules are numbered in docs/protocol.md.
local META, TENANTS, DEFAULTS, CHANGES, SESSIONS, ACKS, INFO,
      TOKENS, FLYING, TOUCHED, WINDOWS, DEBT, LOCK, COPY, VOID, BEATS,
      TALLIES, BATCHES, EXAMPLES, RECORDED, WITHHELD, USAGE, SIZES, ENDS, SUSPECTS, SUSPECTED = unpack(KEYS)

local LINE = {OLD = 0, DUAL_OLD = 1, HOLD_OLD = 2, HOLD_NEW = 3, DUAL_NEW = 4, NEW = 5}
local SETTLED = {OLD = true, NEW = true}
local DUAL = {DUAL_OLD = true, DUAL_NEW = true}
local HELD = {HOLD_OLD = true, HOLD_NEW = true}
local PRIMARY = {OLD = 'old', DUAL_OLD = 'old', HOLD_OLD = 'old', HOLD_NEW = 'new', DUAL_NEW = 'new', NEW = 'new'}
local HOLD_ENDS_IN = {HOLD_OLD = 'DUAL_OLD', HOLD_NEW = 'DUAL_NEW'}
local DEFAULT_HOLD_ENDS_IN = {HOLD_OLD = 'OLD', HOLD_NEW = 'NEW'}
local STREAM_LENGTH = 10000
local EVERY_TENANT = ''
local DEFAULT_STEP = 1000

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

-- The time by which leases and holds count (rule 4): Redis's clock, but no step of it counts for more than `step`, a
-- tenth of the short lease, and none backwards. Redis's host may set its clock, or a replica on another host take over.
-- Where no script looks for longer than `step` it counts too little: then others wait for longer, which is safe.
local counted_time
local function lease_time()
  if counted_time then return counted_time end
  local clock, known = now(), redis.call('HMGET', META, 'incarnation', 'clock', 'counted', 'step')
  if not known[1] then return clock end
  counted_time = clock
  if known[2] then
    local passed = math.max(clock - tonumber(known[2]), 0)
    counted_time = tonumber(known[3]) + math.min(passed, tonumber(known[4]) or DEFAULT_STEP)
  end
  redis.call('HSET', META, 'clock', string.format('%d', clock), 'counted', string.format('%d', counted_time))
  return counted_time
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
  -- Rule 13: a version names the one that it came after, so that a map which went on from an older copy shows.
  local time = redis.call('TIME')
  change.after = redis.call('HGET', META, 'stamp') or ''
  change.stamp = string.sub(redis.sha1hex(cjson.encode(change) .. time[1] .. '.' .. time[2]), 1, 16)
  redis.call('HSET', META, 'stamp', change.stamp)
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

-- Rule 3: the newest version that a session has acknowledged for a tenant, or for all of them.
local function acknowledged(session, tenant)
  local version = tonumber(redis.call('HGET', ACKS, session) or '0')
  local withheld = redis.call('HGET', WITHHELD, session)
  if withheld then
    for name, last in pairs(cjson.decode(withheld)) do
      if name == tenant or tenant == EVERY_TENANT then version = math.min(version, last) end
    end
  end
  return version
end

-- Rule 2: live sessions that have not acknowledged a version for a tenant, or for all of them.
local function lagging(version, tenant)
  local live, behind = redis.call('ZRANGEBYSCORE', SESSIONS, '(' .. lease_time(), '+inf'), {}
  for _, session in ipairs(live) do
    if acknowledged(session, tenant) < version then behind[#behind + 1] = session end
  end
  return behind
end

local function session_alive(session)
  return tonumber(redis.call('ZSCORE', SESSIONS, session) or '0') > lease_time()
end

-- Milliseconds that a lock has left: until its end by Redis's clock, or by the lease time, whichever comes first. So no
-- step of the clock keeps it, and a clock that few scripts look at does not either. To end early is safe: whoever
-- takes it over waits, and its holder asks before each write (rule 12).
local function lock_remaining()
  local lock = redis.call('HMGET', LOCK, 'until', 'counted_until')
  local remaining = (tonumber(lock[1]) or 0) - now()
  if lock[2] then remaining = math.min(remaining, tonumber(lock[2]) - lease_time()) end
  return remaining
end

local function keep_lock(life)
  redis.call('HSET', LOCK, 'until', now() + life, 'counted_until', lease_time() + life)
end

local function holds_lock(fence)
  if redis.call('HGET', LOCK, 'fence') == fence and lock_remaining() > 0 then return true end
  master_only()
  return false
end

-- Rule 7: touches are kept only while somebody reads in order to write (a window is open). If its holder is gone,
-- for one more life of the lock: what the holder has sent lands sooner (rule 12).
local function touch(ids, first)
  if redis.call('ZCARD', WINDOWS) == 0 then return end
  local lock = redis.call('HMGET', LOCK, 'counted_until', 'life')
  if lock[1] and lock[2] and tonumber(lock[1]) + tonumber(lock[2]) < lease_time() then return end
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
    standing.hold_until = lease_time() + max_hold
  end
  standing.crossed = HELD[from] and HELD[to] and 1 or 0
  standing.phase, standing.epoch, standing.fence, standing.canary = to, standing.epoch + 1, fence, 0
end

local function move_to(tenant, standing, to, max_hold, fence)
  if SETTLED[standing.phase] ~= SETTLED[to] then forget_journal() end
  step(standing, to, max_hold, fence)
  return publish(tenant, standing)
end

-- Whoever holds the tenant may be deleting what is left of it on a side. What a holder that is gone has sent lands
-- within one more life of its lock (rule 12).
local function may_be_at_work()
  local lock = redis.call('HMGET', LOCK, 'counted_until', 'life')
  return lock[1] and tonumber(lock[1]) + tonumber(lock[2] or 0) > lease_time()
end

-- A step of a declaration. One that is taken back leaves no record: the tenant follows its shard's default again.
local function declare(tenant, standing, to, max_hold)
  if SETTLED[standing.phase] ~= SETTLED[to] then forget_journal() end
  step(standing, to, max_hold, '')
  standing.declared = HELD[to] and 1 or nil
  if to ~= 'OLD' then return publish(tenant, standing) end
  redis.call('HDEL', TENANTS, tenant)
  return announce({tenant = tenant}, nil)
end

-- Sessions that ended ten minutes ago, a hundred at a time: whoever begins one, and every barrier, forgets them.
local function forget_dead_sessions()
  local dead = redis.call('ZRANGEBYSCORE', SESSIONS, '-inf', lease_time() - 600000, 'LIMIT', 0, 100)
  for _, session in ipairs(dead) do
    for _, key in ipairs({ACKS, WITHHELD, INFO, BEATS}) do redis.call('HDEL', key, session) end
    redis.call('ZREM', SESSIONS, session)
  end
end

-- Statistics carry no token, so what was taken once is remembered for a minute: far longer than it is asked again. Of
-- all tenants together, so many.
local MOST_BATCHES = 10000

local function taken_before(batch)
  redis.call('ZREMRANGEBYSCORE', BATCHES, '-inf', now() - 60000)
  return redis.call('ZSCORE', BATCHES, batch)
end

local function remember(batch)
  redis.call('ZADD', BATCHES, now(), batch)
  redis.call('ZREMRANGEBYRANK', BATCHES, 0, -MOST_BATCHES - 1)
  redis.call('PEXPIRE', BATCHES, 60000)
end

-- All tenants' statistics together have a budget, in bytes. What each key of them takes is counted as it changes, so
-- that a call costs the same however many tenants there are. A key is counted with what Redis needs for it beside its
-- contents, about, and an element likewise.
local KEY_BYTES, ELEMENT_BYTES = 600, 100

local function counted(key, bytes)
  local before = redis.call('ZSCORE', SIZES, key)
  local after = math.max(0, (before or KEY_BYTES) + bytes)
  redis.call('ZADD', SIZES, after, key)
  redis.call('HINCRBY', USAGE, 'bytes', after - (before or 0))
end

-- A key that is gone.
local function uncount(key)
  local bytes = redis.call('ZSCORE', SIZES, key)
  if bytes then redis.call('HINCRBY', USAGE, 'bytes', -bytes) end
  redis.call('ZREM', SIZES, key)
  redis.call('ZREM', ENDS, key)
end

local function lives_for(key, milliseconds)
  redis.call('PEXPIRE', key, milliseconds)
  redis.call('ZADD', ENDS, now() + milliseconds, key)
end

-- Whether so many bytes more fit. If not, {'FULL', the largest key, how much is too much}: its oldest go first, so
-- nobody takes more than all others leave, and who has little keeps it.
local function too_much(key, bytes, budget)
  for _, ended in ipairs(redis.call('ZRANGEBYSCORE', ENDS, '-inf', now(), 'LIMIT', 0, 20)) do uncount(ended) end
  if redis.call('EXISTS', key) == 0 then uncount(key) end
  local largest = redis.call('ZREVRANGE', SIZES, 0, 0)[1]
  if not largest then redis.call('HSET', USAGE, 'bytes', 0) end
  local above = (redis.call('HGET', USAGE, 'bytes') or 0) + KEY_BYTES + bytes - budget
  if above <= 0 then return nil end
  if bytes + KEY_BYTES > tonumber(budget) or not largest then return {'TOO_LARGE'} end
  return {'FULL', largest, above}
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
