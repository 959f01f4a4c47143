/**
 * Without the characters of a set at either end, as Go's `strings.Trim`. A regular expression would look at a long run of
 * them that is not at the end once from each of its places.
 */
export function trimmed(text: string, set: string): string {
  let [start, end] = [0, text.length]
  while (start < end && set.includes(text[start] as string)) start++
  while (end > start && set.includes(text[end - 1] as string)) end--
  return text.slice(start, end)
}
