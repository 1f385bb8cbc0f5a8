-- KEYS: RQ's queue, its intermediate list. ARGV: how many at most.
-- Takes the next jobs from the queue, without waiting, and returns their RQ ids. Each is in the intermediate list until it
-- has begun.
local taken = {}
for i = 1, ARGV[1] do
  local id = redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT')
  if not id then
    break
  end
  taken[i] = id
end
return taken
