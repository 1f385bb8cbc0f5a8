-- KEYS: records of jobs, on a Cluster one. ARGV: names of fields, each with its value, or with the beginning of values
-- and a * behind it. Returns the places of the records that have all of these. A field that is not there or cannot be
-- read counts as if it had the value: the job's view tells what is wrong.
local function is_like(value, wanted)
  if string.sub(wanted, -1) == '*' then
    return string.sub(value, 1, #wanted - 1) == string.sub(wanted, 1, -2)
  end
  return value == wanted
end

local places = {}
for place, record in ipairs(KEYS) do
  local is_match = true
  for i = 1, #ARGV, 2 do
    local value = redis.pcall('HGET', record, ARGV[i])
    if type(value) == 'string' and not is_like(value, ARGV[i + 1]) then
      is_match = false
      break
    end
  end
  if is_match then
    places[#places + 1] = place
  end
end
return places
