-- Delete models for good, of whatever publication: their wallet was erased.
--
-- KEYS[1] models:published, KEYS[2] model_updates, KEYS[3..] keys of models; ARGV[1..] their members.
-- The publication has so many models less. Answers how many were deleted.

local deleted = 0
for place, member in ipairs(ARGV) do
  local had = redis.call('DEL', KEYS[place + 2])
  local listed = redis.call('ZREM', KEYS[2], member)
  deleted = deleted + math.max(had, listed)
end
if deleted > 0 and redis.call('HEXISTS', KEYS[1], 'count') == 1 then
  redis.call('HINCRBY', KEYS[1], 'count', -deleted)
end
return deleted
