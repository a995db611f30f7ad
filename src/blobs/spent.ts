// Memory of bytes that have gone where they were to go. It must never be called while anybody may still look at them.

/**
 * Gives the memory back at once, where the bytes have a buffer of their own; they are empty afterwards. Left to the collector, a stream of pieces
 * holds more than a hundred megabytes between two collections (measured: 263 MB for one client of 512 MiB, 129 MB with this).
 */
export function freeBytes(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength > 0 && bytes.byteLength === buffer.byteLength) buffer.transfer(0);
}
