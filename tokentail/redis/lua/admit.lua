-- KEYS: those of users.lua, the usage of this day.
-- ARGV: client, its share, the workers' slots, how long the usage is kept, now, then of each job that has ended its id, its
-- status ('' when there is nothing to count), and its tokens: input, output, and those of both that are estimated.
-- Returns the jobs that may enter the queue now, in the order in which they enter it.
local usage = KEYS[8]
redis.call('HLEN', usage) -- a key of another type is found before anything is written

local function count(name, by)
  local field = ARGV[1] .. ':' .. name
  if tonumber(by) > 0 and type(redis.pcall('HINCRBY', usage, field, by)) == 'table' then
    redis.call('HSET', usage, field, by) -- it was no number
  end
end

-- Leaving needs no memory, so a full Redis lets this script go on.
for i = 6, #ARGV, 5 do
  local is_first = redis.call('ZREM', open, ARGV[i]) == 1
  take_out(ARGV[i])
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
for _ = 1, math.min(room, 1000) do
  local job = next_job()
  if not job then
    break
  end
  put_in(job, take_out(job), nil, ARGV[5])
  jobs[#jobs + 1] = job
end
if redis.call('EXISTS', held, admitted) == 0 then
  redis.call('SREM', clients, ARGV[1])
  redis.call('DEL', users, turns) -- what another program may have left there
end
return jobs
