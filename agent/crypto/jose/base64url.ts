/**
 * Strict base64url: the alphabet of RFC 4648 section 5, no padding, no bits left over in the last character, so that some
 * octets have one spelling only. Node's own decoder takes anything; what it made is written again and compared.
 *
 * @returns undefined where the text is anything else.
 */
export function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}
