-- KEYS: open jobs, the clients that have some, this client's held jobs, its admitted ones, all clients' admitted ones, the
-- usage of this day.
-- ARGV: client, its share, the workers' slots, how long the usage is kept, then of each job that has ended its id, its
-- status ('' when there is nothing to count), and its tokens: input, output, and those of both that are estimated.
-- Returns the jobs that may enter the queue now, the oldest first.
local open, clients, held, admitted, all, usage = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
redis.call('HLEN', usage) -- a key of another type is found before anything is written

local function count(name, by)
  local field = ARGV[1] .. ':' .. name
  if tonumber(by) > 0 and type(redis.pcall('HINCRBY', usage, field, by)) == 'table' then
    redis.call('HSET', usage, field, by) -- it was no number
  end
end

-- Leaving needs no memory, so a full Redis lets this script go on.
for i = 5, #ARGV, 5 do
  local is_first = redis.call('ZREM', open, ARGV[i]) == 1
  redis.call('ZREM', held, ARGV[i])
  redis.call('SREM', admitted, ARGV[i])
  redis.call('SREM', all, ARGV[i])
  -- Jobs are counted out by several processes; the first one counts what was spent.
  if is_first and ARGV[i + 1] ~= '' then
    count(ARGV[i + 1], 1)
    count('input_tokens', ARGV[i + 2])
    count('output_tokens', ARGV[i + 3])
    count('estimated_tokens', ARGV[i + 4])
    redis.call('PEXPIRE', usage, ARGV[4])
  end
end
local jobs = {}
-- Its share; and beyond that, slots that nobody waits for.
local room = math.max(tonumber(ARGV[2]) - redis.call('SCARD', admitted), tonumber(ARGV[3]) - redis.call('SCARD', all))
if room > 0 then
  local popped = redis.call('ZPOPMIN', held, math.min(room, 1000))
  for i = 1, #popped, 2 do
    redis.call('SADD', admitted, popped[i])
    redis.call('SADD', all, popped[i])
    jobs[#jobs + 1] = popped[i]
  end
end
if redis.call('EXISTS', held, admitted) == 0 then
  redis.call('SREM', clients, ARGV[1])
end
return jobs
