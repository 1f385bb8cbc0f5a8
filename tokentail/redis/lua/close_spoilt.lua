-- Closes a job of which a key cannot be read, as failed, and makes its keys readable; what is valid stays.
-- ARGV: owner, model, submitted element, end element, now, retention, tombstone, how many elements of the log can be
-- read ('' for all), then the generation and its base where the record does not have them, a new generation's name,
-- the beginning of workers' channels, and the webhook's time.
-- Returns 1, or 0 when the job is closed, has its end and can be read, or was deleted. Can be repeated.
local submitted, element, now, readable = ARGV[3], ARGV[4], ARGV[5], ARGV[8]
local needed = {attempts = 0, enqueues = 1, tokens = 0, bytes = 0, created_at = now, queued_at = now}
local others = {'started_at', 'first_token_at', 'generation_token_at', 'appended_at', 'losses'}

local function is_digest(text)
  return #text == 32 and not string.find(text, '[^0-9a-f]')
end

local function has_its_values()
  for name in pairs(needed) do
    if not is_number(redis.call('HGET', record, name)) then
      return false
    end
  end
  for _, value in ipairs(redis.call('HMGET', record, 'base', 'ended_at', 'expires_at', 'shares', unpack(others))) do
    if value and not is_number(value) then
      return false
    end
  end
  local user = redis.call('HGET', record, 'user')
  return not user or is_digest(user)
end

local function has_type(key, wanted)
  local reply = redis.call('TYPE', key)
  local kind = type(reply) == 'table' and reply.ok or reply
  return kind == wanted, kind == 'none'
end

local is_hash, is_list = has_type(record, 'hash'), has_type(log, 'list')
if is_hash and readable == '' then
  local status, is_deleted = unpack(redis.call('HMGET', record, 'status', 'is_deleted'))
  local has_ended = is_list and is_status(status) and not is_open(status) and closing_element() ~= ''
  if is_deleted or (has_ended and has_its_values()) then
    return 0
  end
end
-- A write that needs no memory comes first, for the reason given in close.lua.
redis.call('PERSIST', record)
for key, wanted in pairs({[record] = 'hash', [log] = 'list', [request] = 'string'}) do
  local is_ours, is_missing = has_type(key, wanted)
  if not is_ours and not is_missing then
    redis.call('DEL', key)
  end
end
if readable == '0' then
  redis.call('DEL', log)
elseif readable ~= '' then
  redis.call('LTRIM', log, 0, readable - 1)
end
while closing_element() ~= '' do
  redis.call('RPOP', log) -- an `end` that no script of ours appended, for that one would have closed the job
end
if redis.call('EXISTS', log) == 0 then
  redis.call('RPUSH', log, submitted)
end
local length = redis.call('LLEN', log)

local function keep(name, is_valid, otherwise)
  local value = redis.call('HGET', record, name)
  if value and not is_valid(value) then
    redis.call('HDEL', record, name)
    value = false
  end
  if not value and otherwise then
    redis.call('HSET', record, name, otherwise)
  end
  return value or otherwise
end
local function is_name(text)
  return #text <= 64 and not string.find(text, '[^%w._:-]')
end
for name, otherwise in pairs(needed) do
  keep(name, is_number, otherwise)
end
for _, name in ipairs(others) do
  keep(name, is_number)
end
keep('user', is_digest)
local shares = redis.call('HGET', record, 'shares')
if shares and not is_number(shares) then
  redis.call('HSET', record, 'shares', now) -- no read token has that count, and none that was revoked counts again
end
local generation, base = redis.call('HGET', record, 'generation'), redis.call('HGET', record, 'base')
if not (generation and #generation <= 16 and string.find(generation, '^[0-9a-z]+$') and is_number(base)
    and tonumber(base) >= 1 and tonumber(base) <= length) then
  generation, base = ARGV[9], math.min(tonumber(ARGV[10]), length)
end
if readable ~= '' or not is_list then
  generation = ARGV[11] -- law 1: what was cut off makes no cursor good that was given out before
end
local worker = keep('worker', is_name, '')
keep('last_worker', is_name)
redis.call('HDEL', record, 'upstream', 'pace', 'counts', 'counted', 'calls')
redis.call('HSET', record, 'format', 1, 'owner', ARGV[1], 'model', ARGV[2], 'attempt', '', 'generation', generation,
  'base', base)
redis.call('RPUSH', log, element)
finish('failed', now, ARGV[6], ARGV[7], ARGV[13])
publish(length, {}) -- not the end alone: positions before it may have changed, so that followers must read
if worker ~= '' then
  redis.call('PUBLISH', ARGV[12] .. worker, record)
end
return 1
