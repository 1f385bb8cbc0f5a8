-- Stands before every script of one job. KEYS are always the same, all in one cluster slot; `append.lua` may lack the
-- last one:
local record, log, request = KEYS[1], KEYS[2], KEYS[3]

-- Followers subscribe to a channel named like the log. A message is the index of its first element and the message's
-- format, then one element a line. Without elements it means that the log must be read: the record changed, or the
-- elements are so large that a follower that reads no messages would have Redis keep too much for it. The script
-- `usual_append.lua`, which stands alone, publishes the same message.
local function publish(index, elements)
  local lines = table.concat(elements, '\n')
  redis.call('PUBLISH', log, index .. ' 1\n' .. (#lines > 8192 and '' or lines))
end

local function is_open(status)
  return status == 'queued' or status == 'running'
end

local function is_status(text)
  return is_open(text) or text == 'completed' or text == 'failed' or text == 'cancelled'
end

-- Ends the script; the store raises Unreadable for this key. A script calls it before it writes anything.
local function unreadable(key)
  error('UNREADABLE ' .. key, 0)
end

-- A script's first look at a key, which finds out that the key is of another type than ours.
local function look(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) == 'table' and reply.err then
    if string.find(tostring(reply.err), 'WRONGTYPE', 1, true) then
      unreadable(key)
    end
    error(tostring(reply.err), 0)
  end
  return reply
end

local function is_number(text)
  return text and #text <= 14 and string.find(text, '^%d+$')
end

local function number(text)
  if not is_number(text) then
    unreadable(record)
  end
  return tonumber(text)
end

-- The values of the named fields of the record: `status` is named first, and is false without a record; `format` last.
local function recorded(...)
  local r = look('HMGET', record, ...)
  local format = r[#r]
  if format and format ~= '1' then
    if number(format) > 1 then
      error('LATERFORMAT ' .. record, 0) -- a newer process wrote it, and such a process can read it
    end
    unreadable(record)
  end
  if not is_status(r[1]) and (r[1] or redis.call('EXISTS', record) == 1) then
    unreadable(record)
  end
  for i = 1, #r do
    if r[i] and #r[i] > 65536 then
      unreadable(record)
    end
  end
  return r
end

-- The log's last element if it is the `end`, else ''. A store that lost its tail may have closed a job and lack it.
local function closing_element()
  local last = redis.call('LINDEX', log, -1)
  if last and string.sub(last, 1, 13) == '{"type":"end"' then
    return last
  end
  return ''
end

-- How many of the elements are tokens, and the bytes of these.
local function tokens_in(elements)
  local count, size = 0, 0
  for _, element in ipairs(elements) do
    if string.byte(element) == 34 then -- a quotation mark: it is a token
      count, size = count + 1, size + #element
    end
  end
  return count, size
end

-- The record's totals are those of the last append that brought some (tokentail/log/writer.py); what came since is
-- tokens alone, and the totals with them are returned: tokens, bytes, counts, how many came since. `counted` is the length at that append
-- and the bytes then: other bytes in the record are of a process that brings totals each time.
local function with_uncounted(status, tokens, bytes, counts, counted)
  local at, bytes_then = string.match(counted or '', '^(%d+) (%d+)$')
  if not is_open(status) or not is_number(at) or bytes_then ~= bytes or not is_number(tokens) then
    return tokens, bytes, counts, 0
  end
  local more, size = tokens_in(redis.call('LRANGE', log, at, -1))
  local known, shown = string.match(counts or '', '^(.* )(%d+)$')
  if is_number(shown) then
    counts = known .. (shown + size - 2 * more)
  end
  return tokens + more, bytes + size, counts, more
end

-- Design law 3: `end` and the status change together. Law 6: only `end` sets an expiry, on log and request alike.
-- The record outlives them as a tombstone. With `webhook_ms` above 0 the same step notes that a webhook is due, as
-- tokentail/jobs/webhook.py explains it, and the record is kept at least that long. A request may have
-- asked for another retention.
local function finish(status, now, retention_ms, tombstone_ms, webhook_ms)
  local own = redis.call('HGET', record, 'retention')
  if is_number(own) then
    retention_ms = tonumber(own)
  end
  redis.call('HSET', record, 'status', status, 'worker', '', 'ended_at', now, 'expires_at', now + retention_ms)
  local record_ms = retention_ms + tombstone_ms
  if tonumber(webhook_ms) > 0 then
    local reason = string.match(closing_element(), '^{"type":"end","status":"completed","finish_reason":"([%l_]+)"')
    local kind = (reason == 'length' or reason == 'content_filter') and 'incomplete' or status
    redis.call('HSET', record, 'webhook', kind .. ' 0')
    record_ms = math.max(record_ms, webhook_ms)
  end
  redis.call('PEXPIRE', log, retention_ms)
  redis.call('PEXPIRE', request, retention_ms)
  redis.call('PEXPIRE', record, record_ms)
end
