/** Collects bytes from pieces of any size. The capacity doubles when it is full, so each byte is copied about twice. */
export class ByteBuffer {
  size = 0;
  #capacity = new Uint8Array(256);

  add(bytes) {
    const size = this.size + bytes.length;
    if (size > this.#capacity.length) {
      const larger = new Uint8Array(Math.max(size, 2 * this.#capacity.length));
      larger.set(this.bytes);
      this.#capacity = larger;
    }
    this.#capacity.set(bytes, this.size);
    this.size = size;
  }

  /** The bytes so far; valid until the next `add`. */
  get bytes() {
    return this.#capacity.subarray(0, this.size);
  }
}
