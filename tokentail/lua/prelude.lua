-- Stands before every script. KEYS are always the same three of one job, in one cluster slot:
local record, log, request = KEYS[1], KEYS[2], KEYS[3]

-- Followers subscribe to a channel named like the log. A message is the index of its first element, then one element
-- a line; without elements it says that the record changed.
local function publish(index, elements)
  redis.call('PUBLISH', log, index .. '\n' .. table.concat(elements, '\n'))
end

local function is_open(status)
  return status == 'queued' or status == 'running'
end

-- The log's last element if it is the `end`, else ''. A store that lost its tail may have closed a job and lack it.
local function closing_element()
  local last = redis.call('LINDEX', log, -1)
  if last and string.sub(last, 1, 13) == '{"type":"end"' then
    return last
  end
  return ''
end

-- Design law 3: `end` and the status change together. Law 6: only `end` sets an expiry, on log and request alike.
-- The record outlives them as a tombstone.
local function finish(status, now, retention_ms, tombstone_ms)
  redis.call('HSET', record, 'status', status, 'worker', '', 'ended_at', now, 'expires_at', now + retention_ms)
  redis.call('PEXPIRE', log, retention_ms)
  redis.call('PEXPIRE', request, retention_ms)
  redis.call('PEXPIRE', record, retention_ms + tombstone_ms)
end
