-- Delete models that do not belong to the publication: their hashes and their members of model_updates.
--
-- KEYS[3..] hashes, ARGV[3..] the member of each. A key that is no model (no hash with a generation) stays.
-- Answers DELETED n, SUPERSEDED or LOST.

local refusal = not_ours()
if refusal then
  return refusal
end

local deleted = 0
for i = 3, #KEYS do
  if redis.call('TYPE', KEYS[i]).ok == 'hash' and redis.call('HEXISTS', KEYS[i], 'generation') == 1 then
    deleted = deleted + redis.call('UNLINK', KEYS[i])
  end
  deleted = deleted + redis.call('ZREM', UPDATES, ARGV[i])
end
return {'DELETED', deleted}
