/** A header block that is no HPACK: a COMPRESSION_ERROR of the connection, because its table is lost. */
export class HpackFault extends Error {
  override readonly name = 'HpackFault'
}
