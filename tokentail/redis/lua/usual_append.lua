-- Stands before all that `append.lua` needs: most appends are tokens of a running job, in their place, that change
-- nothing in the record. They end here; all others, and whatever is not as expected, go on to that script.
-- ARGV: attempt, expected index, '', then the elements. Returns the length.
if ARGV[3] == '' then
  local log = KEYS[2]
  local r = redis.pcall('HMGET', KEYS[1], 'status', 'attempt', 'format')
  if r[1] == 'running' and r[2] == ARGV[1] and r[3] == '1' and redis.pcall('LLEN', log) == tonumber(ARGV[2]) then
    local length = redis.call('RPUSH', log, unpack(ARGV, 4))
    local lines = table.concat(ARGV, '\n', 4)
    -- As `publish` in prelude.lua does it.
    redis.call('PUBLISH', log, ARGV[2] .. ' 1\n' .. (#lines > 8192 and '' or lines))
    return length
  end
end
