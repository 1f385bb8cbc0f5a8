-- Most appends are tokens of a running job, in their place, that change nothing in the record. This script takes those
-- of several jobs at once and stands alone; what is not as expected it leaves to `append.lua`, which knows why.
-- KEYS: the jobs' logs. On a Cluster it is one, and the record, which is not named, is in the same slot.
-- ARGV: for each log the attempt, a space, the expected index, then the elements, each after a line feed.
-- Returns the places of the jobs of which nothing was appended. An error of one job does not keep the others from it.
local left = {}
for place, log in ipairs(KEYS) do
  local attempt, index, lines = string.match(ARGV[place], '^(%S+) (%d+)\n(.+)$')
  local r = redis.pcall('HMGET', string.sub(log, 1, -4) .. 'job', 'status', 'attempt', 'format')
  local is_done = false
  if r[1] == 'running' and r[2] == attempt and r[3] == '1' and redis.pcall('LLEN', log) == tonumber(index) then
    local elements = {lines} -- most often it is one
    if string.find(lines, '\n', 1, true) then
      elements = {}
      for element in string.gmatch(lines, '[^\n]+') do
        elements[#elements + 1] = element
      end
    end
    is_done = type(redis.pcall('RPUSH', log, unpack(elements))) == 'number'
  end
  if is_done then
    -- As `publish` in prelude.lua does it.
    redis.pcall('PUBLISH', log, index .. ' 1\n' .. (#lines > 8192 and '' or lines))
  else
    left[#left + 1] = place
  end
end
return left
