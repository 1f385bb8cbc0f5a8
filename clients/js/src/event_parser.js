import { ByteBuffer } from "./byte_buffer.js";
import { TokentailError } from "./errors.js";

const MOST_EVENT_BYTES = 8 << 20; // of an event whose end has not arrived
const [LF, CR, SPACE, COLON] = [10, 13, 32, 58];
const LINE_FEED = Uint8Array.of(LF);
const LONGEST_FIELD_NAME = 5; // letters in "retry" and "event"

/**
 * Parses Server-Sent Events from bytes that may be cut anywhere (WHATWG HTML, 9.2.6). Throws a TokentailError for an
 * event of more than `mostBytes`. It keeps bytes, because a substring would keep the whole text it was taken from.
 */
export class EventParser {
  lastEventId = "";
  retryMs = undefined;
  #mostBytes;
  #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #line = new ByteBuffer();
  #data = new ByteBuffer(); // the event's lines of data, a line feed after each
  #isFirstLine = true;
  #isAfterCr = false;
  #id = new Uint8Array();
  #type = new Uint8Array();

  constructor(mostBytes = MOST_EVENT_BYTES) {
    this.#mostBytes = mostBytes;
  }

  /** The events that these bytes complete. An event that the end of the stream cuts off is never returned. */
  push(bytes) {
    const events = [];
    let at = this.#isAfterCr && bytes[0] === LF ? 1 : 0; // a line's CR and LF arrived in two pieces
    if (bytes.length > 0) this.#isAfterCr = false;
    let [lf, cr] = [bytes.indexOf(LF, at), bytes.indexOf(CR, at)];
    while (lf >= 0 || cr >= 0) {
      const end = lf < 0 || (cr >= 0 && cr < lf) ? cr : lf;
      this.#endLine(bytes.subarray(at, end), events);
      at = end + 1;
      if (end === cr && bytes[at] === LF) at += 1;
      else if (end === cr) this.#isAfterCr = at === bytes.length;
      if (lf >= 0 && lf < at) lf = bytes.indexOf(LF, at);
      if (cr >= 0 && cr < at) cr = bytes.indexOf(CR, at);
    }
    if (at < bytes.length) this.#line.add(bytes.subarray(at));
    this.#checkSize(this.#line.size);
    return events;
  }

  #checkSize(lineBytes) {
    if (lineBytes + this.#data.size + this.#id.length + this.#type.length <= this.#mostBytes) return;
    throw new TokentailError(0, "about:blank", `An event of the stream is longer than ${this.#mostBytes} bytes.`);
  }

  #endLine(part, events) {
    let line = part;
    if (this.#line.size > 0) {
      this.#line.add(part);
      line = this.#line.bytes;
      this.#line = new ByteBuffer();
    }
    this.#checkSize(line.length);
    if (this.#isFirstLine && line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf) line = line.subarray(3);
    this.#isFirstLine = false;
    if (line.length === 0) this.#dispatch(events);
    else this.#parseField(line);
  }

  #parseField(line) {
    const colon = line.indexOf(COLON);
    const nameEnd = colon < 0 ? line.length : colon;
    if (nameEnd > LONGEST_FIELD_NAME) return;
    const field = this.#decoder.decode(line.subarray(0, nameEnd));
    const value = line.subarray(colon < 0 ? nameEnd : colon + (line[colon + 1] === SPACE ? 2 : 1));
    if (field === "data") {
      this.#data.add(value);
      this.#data.add(LINE_FEED);
    } else if (field === "event") this.#type = value.slice();
    else if (field === "id" && !value.includes(0)) this.#id = value.slice();
    else if (field === "retry") {
      const text = this.#decoder.decode(value);
      if (/^[0-9]+$/.test(text)) this.retryMs = Number(text);
    }
  }

  #dispatch(events) {
    this.lastEventId = this.#decoder.decode(this.#id);
    if (this.#data.size > 0) {
      const data = this.#decoder.decode(this.#data.bytes.subarray(0, -1));
      const type = this.#decoder.decode(this.#type) || "message";
      events.push({ type, data, lastEventId: this.lastEventId });
      this.#data = new ByteBuffer();
    }
    this.#type = new Uint8Array();
  }
}
