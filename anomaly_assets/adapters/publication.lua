-- The opening of every publication script.
--
-- KEYS[1] is models:published, KEYS[2] is model_updates; ARGV[1] and ARGV[2] are as_of and generation of the caller.
-- Publications are ordered by (as_of, generation): ISO days compare as text, generations as whole numbers.
-- Every script answers with a list whose first element is a word, so that no answer is read out of an error text.

local PUBLISHED, UPDATES = KEYS[1], KEYS[2]
local AS_OF, GENERATION = ARGV[1], ARGV[2]

-- -1, 0 or 1: the given publication is older than, the same as or newer than the caller's.
local function order(as_of, generation)
  if as_of ~= AS_OF then
    return as_of < AS_OF and -1 or 1
  end
  local theirs, ours = tonumber(generation), tonumber(GENERATION)
  return theirs == ours and 0 or (theirs < ours and -1 or 1)
end

-- The answer to a caller whose publication is not (or no longer) the one being written, else false.
local function not_ours()
  local held = redis.call('HMGET', PUBLISHED, 'as_of', 'generation')
  if not held[1] then
    return {'LOST'}
  end
  local compared = order(held[1], held[2])
  if compared > 0 then
    return {'SUPERSEDED', held[1], held[2]}
  end
  return compared < 0 and {'LOST'} or false
end
