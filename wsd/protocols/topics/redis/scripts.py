"""
What Redis does in one step, in Lua.

The keys of a topic: `m` a hash with its epoch (`e`), its offset (`n`), the bytes of its history (`z`), the generation
of the data in which the epoch began (`g`) and the epochs before (`p`, as in `lineage`); `s` its history, a Stream whose
ids are OFFSET-0; `l` a hash of last values; `o` and `q` its idempotency keys, a hash of their positions and a sorted
set by time; `h` a hash of members. Of all topics: `topics`, a sorted set by the time of the last publish; `lasts`, the
set of those with last values; `generation`, a hash with the present generation (`g`) and the server that it belongs to
(`s`). Of each daemon: `p` lives while the daemon does, and `t` is the set of topics at which it has members; `daemons`
is the set of all.
"""

from __future__ import annotations

IDLE = 7 * 86400
"""Seconds after which Redis forgets a topic that nobody publishes to, unless it has last values."""

GENERATION = """
-- KEYS: generation; ARGV: candidate. A server that has restarted, or a replica that has become the master, may have
-- lost what was acknowledged before: a new generation of the data begins. A server that does not tell who it is begins
-- one for each connection.
local function told(section, field)
  local info = redis.pcall('INFO', section)
  return type(info) == 'string' and string.match(info, field .. ':(%w+)') or nil
end
local role = told('replication', 'role')
if role and role ~= 'master' then return redis.error_reply('READONLY this server is a replica') end
local run, history = told('server', 'run_id'), told('replication', 'master_replid')
local server = run and history and run .. history or ARGV[1]
if redis.call('HGET', KEYS[1], 's') ~= server then redis.call('HSET', KEYS[1], 's', server, 'g', ARGV[1]) end
"""

_MOST_EPOCHS = 32
"""Epochs before the present one that a topic remembers."""

_BEGIN = """
-- The epoch and the earlier epochs of a topic. In a new generation of the data a new epoch begins where the one before
-- ends: so no position is used for two messages, whatever the server has lost.
local function begin(meta, stream, generations, candidate, idle)
  local generation = redis.call('HGET', generations, 'g') or ''
  local found = redis.call('HMGET', meta, 'e', 'g', 'n', 'p')
  local epoch, past = found[1], found[4] or ''
  if not epoch then
    redis.call('DEL', stream)
    redis.call('HSET', meta, 'e', candidate, 'n', 0, 'z', 0, 'g', generation)
    redis.call('EXPIRE', meta, idle)
    return candidate, ''
  end
  if found[2] ~= generation then
    past = past .. epoch .. ':' .. found[3] .. ' '
    local _, count = string.gsub(past, ' ', ' ')
    if count > MOST then past = string.sub(past, string.find(past, ' ') + 1) end
    redis.call('HSET', meta, 'e', candidate, 'g', generation, 'p', past)
    epoch = candidate
  end
  return epoch, past
end

-- The position of a message.
local function at(offset, epoch, past)
  for earlier, last in string.gmatch(past, '(%w+):(%d+)') do
    if offset <= tonumber(last) then
      epoch = earlier
      break
    end
  end
  return epoch .. '-' .. string.format('%.0f', offset)
end
""".replace("MOST", str(_MOST_EPOCHS))

PUBLISH = (
    _BEGIN
    + """
-- KEYS: m s l o q topics lasts generation
-- ARGV: now, epoch, history (count, size, age), keys, once (age, count), channel, topic, idle, isRetry, topics,
--       prefix, then for each message: body, size, key, isRemoval, once, marker
local now, keepCount, keepSize, keepAge = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local keys, onceAge, onceCount = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local channel, topic, idle, isRetry = ARGV[9], ARGV[10], tonumber(ARGV[11]), ARGV[12] == '1'
local mostTopics, prefix = tonumber(ARGV[13]), ARGV[14]
local FIRST, WIDTH = 15, 6

local held, will = redis.call('HLEN', KEYS[3]), {}
for i = FIRST, #ARGV, WIDTH do
  local key = ARGV[i + 2]
  if key ~= '' then
    local has = will[key]
    if has == nil then has = redis.call('HEXISTS', KEYS[3], key) == 1 end
    will[key] = ARGV[i + 3] == '0'
    if will[key] and not has then held = held + 1 elseif has and not will[key] then held = held - 1 end
    if will[key] and held > keys then return redis.error_reply('FULL keys') end
  end
end

local epoch, past = begin(KEYS[1], KEYS[2], KEYS[8], ARGV[2], idle)

for _, once in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now - onceAge)) do
  redis.call('HDEL', KEYS[4], once)
end
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now - onceAge)

local function sent(marker)
  for _, entry in ipairs(redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1000)) do
    if string.sub(entry[2][2], 1, #marker) == marker then
      return at(tonumber(string.match(entry[1], '%d+')), epoch, past)
    end
  end
  return false
end

local answers, added = {}, 0
for i = FIRST, #ARGV, WIDTH do
  local body, size, key, once = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 4]
  local known = once ~= '' and redis.call('HGET', KEYS[4], once)
  local before = not known and isRetry and sent(ARGV[i + 5])
  if known then
    answers[#answers + 1] = {known, 1}
  elseif before then
    answers[#answers + 1] = {before, 0}
  else
    local offset = redis.call('HINCRBY', KEYS[1], 'n', 1)
    local position = epoch .. '-' .. string.format('%.0f', offset)
    if keepCount == 0 or size > keepSize then
      redis.call('DEL', KEYS[2])
      redis.call('HSET', KEYS[1], 'z', 0)
    else
      redis.call('XADD', KEYS[2], string.format('%.0f-0', offset), 'b', body, 'z', size, 'a', ARGV[1])
      redis.call('HINCRBY', KEYS[1], 'z', size)
    end
    if key ~= '' then
      if ARGV[i + 3] == '1' then redis.call('HDEL', KEYS[3], key)
      else redis.call('HSET', KEYS[3], key, position .. '\\n' .. body) end
    end
    if once ~= '' then
      redis.call('HSET', KEYS[4], once, position)
      redis.call('ZADD', KEYS[5], now, once)
    end
    redis.call('PUBLISH', channel, position .. '\\n' .. body)
    answers[#answers + 1] = {position, 0}
  end
end

local excess = redis.call('ZCARD', KEYS[5]) - onceCount
if excess > 0 then
  local popped = redis.call('ZPOPMIN', KEYS[5], excess)
  for i = 1, #popped, 2 do redis.call('HDEL', KEYS[4], popped[i]) end
end

local size, length = tonumber(redis.call('HGET', KEYS[1], 'z')), redis.call('XLEN', KEYS[2])
local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
while oldest and (length > keepCount or size > keepSize or now - tonumber(oldest[2][6]) >= keepAge) do
  redis.call('XDEL', KEYS[2], oldest[1])
  size, length = size - tonumber(oldest[2][4]), length - 1
  oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
end
redis.call('HSET', KEYS[1], 'z', size)

redis.call('ZADD', KEYS[6], now, topic)
local tooMany = redis.call('ZCARD', KEYS[6]) - mostTopics
if tooMany > 0 then
  for _, other in ipairs(redis.call('ZRANGE', KEYS[6], 0, tooMany + 15)) do
    if tooMany > 0 and other ~= topic and redis.call('SISMEMBER', KEYS[7], other) == 0 then
      for _, kind in ipairs({'m', 's', 'o', 'q'}) do redis.call('DEL', prefix .. kind .. ':' .. other) end
      redis.call('ZREM', KEYS[6], other)
      tooMany = tooMany - 1
    end
  end
end
redis.call('EXPIRE', KEYS[2], math.ceil(keepAge) + 60)
redis.call('EXPIRE', KEYS[4], math.ceil(onceAge) + 60)
redis.call('EXPIRE', KEYS[5], math.ceil(onceAge) + 60)
if redis.call('HLEN', KEYS[3]) > 0 then
  redis.call('SADD', KEYS[7], topic)
  redis.call('PERSIST', KEYS[1])
else
  redis.call('SREM', KEYS[7], topic)
  redis.call('EXPIRE', KEYS[1], idle)
end
return answers
"""
)

READ = (
    _BEGIN
    + """
-- KEYS: m s generation; ARGV: candidate, idle, count, and to read what is behind a position: its epoch, its offset.
-- The epoch, the offset, the earlier epochs, the entries, and the offset behind which they are; nil for the newest.
local epoch, past = begin(KEYS[1], KEYS[2], KEYS[3], ARGV[1], tonumber(ARGV[2]))
local offset, since = tonumber(redis.call('HGET', KEYS[1], 'n')), nil
if ARGV[4] then
  local last = ARGV[4] == epoch and offset or nil
  for earlier, its in string.gmatch(past, '(%w+):(%d+)') do
    if earlier == ARGV[4] then last = tonumber(its) end
  end
  since = last and math.min(last, tonumber(ARGV[5]))
end
local entries
if since then
  entries = redis.call('XRANGE', KEYS[2], string.format('(%.0f-0', since), '+')
else
  entries = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', ARGV[3])
end
return {epoch, offset, past, entries, since}
"""
)

CLEAR = """
-- KEYS: m s l lasts; ARGV: topic, idle
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('SREM', KEYS[4], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'z', 0)
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
"""

ENTER = """
-- KEYS: h t; ARGV: member, value, most, topic, channel
local isNew = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0
if isNew and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return redis.error_reply('FULL members') end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SADD', KEYS[2], ARGV[4])
redis.call('PUBLISH', ARGV[5], '=' .. (isNew and 'join' or 'update') .. '\\n' .. ARGV[1] .. '\\n' .. ARGV[2])
"""

_LEAVE = """
local function leave(hash, member, channel)
  local value = redis.call('HGET', hash, member)
  if value then
    redis.call('HDEL', hash, member)
    redis.call('PUBLISH', channel, '=leave\\n' .. member .. '\\n' .. value)
  end
end
"""

LEAVE = (
    _LEAVE
    + """
-- KEYS: h; ARGV: member, channel
leave(KEYS[1], ARGV[1], ARGV[2])
"""
)

ALIVE = (
    _LEAVE
    + """
-- KEYS: p daemons; ARGV: daemon, seconds, prefix. This daemon lives on; members of those that do not are gone.
redis.call('SET', KEYS[1], '1', 'EX', ARGV[2])
redis.call('SADD', KEYS[2], ARGV[1])
for _, daemon in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  if redis.call('EXISTS', ARGV[3] .. 'p:' .. daemon) == 0 then
    for _, topic in ipairs(redis.call('SMEMBERS', ARGV[3] .. 't:' .. daemon)) do
      local hash, mine = ARGV[3] .. 'h:' .. topic, '{"p":"' .. daemon .. '",'
      local members = redis.call('HGETALL', hash)
      for i = 1, #members, 2 do
        if string.sub(members[i + 1], 1, #mine) == mine then leave(hash, members[i], ARGV[3] .. 'c:' .. topic) end
      end
    end
    redis.call('DEL', ARGV[3] .. 't:' .. daemon)
    redis.call('SREM', KEYS[2], daemon)
  end
end
"""
)

DIRECT = """
-- KEYS: h; ARGV: member, prefix of the channels of daemons, data. The number of daemons that were told.
local value = redis.call('HGET', KEYS[1], ARGV[1])
if not value then return 0 end
return redis.call('PUBLISH', ARGV[2] .. string.match(value, '^{"p":"([^"]*)"'), ARGV[3])
"""
