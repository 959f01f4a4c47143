/** Letters, digits, `_ . -`, not starting with `.` or `-`: nothing that a path, a file system or a log could misread. */
export function isModelName(text: string): boolean {
  return text.length <= 255 && /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(text)
}

/** Triton's versions: positive, without leading zeros, within int64. */
export function isModelVersion(text: string): boolean {
  return /^[1-9][0-9]{0,18}$/.test(text)
}
