-- Delete models for good, of whatever publication: their wallet was erased.
--
-- KEYS[1] models:published, KEYS[2] model_updates, KEYS[3..] keys of models; ARGV[1..] their members.
-- A complete publication, which has exactly the models that are listed, has so many less; one that is being written is
-- counted when it goes on. Answers how many were deleted.

local deleted, unlisted = 0, 0
for place, member in ipairs(ARGV) do
  local had = redis.call('DEL', KEYS[place + 2])
  local listed = redis.call('ZREM', KEYS[2], member)
  deleted, unlisted = deleted + math.max(had, listed), unlisted + listed
end
if unlisted > 0 and redis.call('HGET', KEYS[1], 'state') == 'complete' then
  redis.call('HINCRBY', KEYS[1], 'count', -unlisted)
end
return deleted
