-- KEYS: the marks of readers. ARGV: now, then jobs.
-- Writes when these jobs were read last, of those that are in the hash: `after_ms last_ms`. A mark never goes back.
for i = 2, #ARGV do
  local mark = redis.call('HGET', KEYS[1], ARGV[i])
  local after, last = string.match(mark or '', '^(%d+) (%d+)$')
  if after and tonumber(last) < tonumber(ARGV[1]) then
    redis.call('HSET', KEYS[1], ARGV[i], after .. ' ' .. ARGV[1])
  end
end
