-- ARGV: the cursor's generation ('' for the beginning), its index, limit, most bytes.
-- Returns {} when there is no such job, {status, owner} when its log is gone, else {status, owner, generation, its base,
-- first index, length, is reset, tokens, pace or '', appended at, expires at, end element or '', elements}.
local r = recorded('status', 'owner', 'generation', 'base', 'tokens', 'pace', 'appended_at', 'expires_at', 'bytes',
  'counted', 'format')
if not r[1] then
  return {}
end
if not r[2] or not r[3] then
  unreadable(record)
end
local length = look('LLEN', log)
if length == 0 then
  return {r[1], r[2]}
end
-- Law 1: a good cursor is of the current generation and within the log; reads never begin before the generation does.
number(r[5])
local base = number(r[4])
local tokens, _, _, uncounted = with_uncounted(r[1], r[5], r[9], '', r[10])
-- When the last of them came is not recorded, but they came at the pace of those before, within a moment.
local took, paced = string.match(r[6] or '', '^([%d.]+) ([%d.]+)$')
if uncounted > 0 and took and tonumber(paced) > 0 and is_number(r[7]) then
  r[7] = string.format('%d', r[7] + math.min(uncounted * took / paced, 200))
end
local first, is_reset = tonumber(ARGV[2]), 0
if ARGV[1] ~= r[3] or first < base or first > length then
  first = base
  -- Cursor 0.1 was given out before the first generation started: its reader has no text, so no reset is needed.
  if ARGV[1] ~= '' and not (ARGV[1] == '0' and ARGV[2] == '1') then
    is_reset = 1
  end
end
-- At most `limit` elements, and at most about so many bytes: a reader of a few large ones must not hold up the others.
local elements, bytes, most_bytes = {}, 0, tonumber(ARGV[4])
local position, last = first, first + ARGV[3] - 1
while position <= last and bytes < most_bytes do
  local piece = redis.call('LRANGE', log, position, math.min(position + 499, last))
  if #piece == 0 then
    break
  end
  for i = 1, #piece do
    if bytes >= most_bytes then
      break
    end
    elements[#elements + 1] = piece[i]
    bytes = bytes + #piece[i]
  end
  position = position + #piece
end
local closing = ''
if not is_open(r[1]) then
  closing = closing_element()
end
return {r[1], r[2], r[3], base, first, length, is_reset, tonumber(tokens), r[6] or '', r[7] or '', r[8] or '', closing, elements}
