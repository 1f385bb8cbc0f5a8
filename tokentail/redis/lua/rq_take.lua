-- KEYS: RQ's queue, its intermediate list. ARGV: how many at most.
-- Takes the next jobs from the queue, without waiting, and returns their RQ ids; at most half of the queue, so that other
-- workers have their part of a burst. Each is in the intermediate list until it has begun.
local taken = {}
for i = 1, math.min(ARGV[1], math.ceil(redis.call('LLEN', KEYS[1]) / 2)) do
  local id = redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT')
  if not id then
    break
  end
  taken[i] = id
end
return taken
