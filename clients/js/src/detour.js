import { Seat } from "./seat.js";

const SHARED = { transport: "long", why: "many answers share a poll" };
const SEATLESS = { transport: "short", why: "other tabs hold the connections" };

/**
 * How one follower reads where a stream or long poll of its own would be one connection too many: by the poll that its
 * page's crowd shares, or, when the tabs of the browser hold enough connections, by short polls.
 */
export class Detour {
  interrupt;
  #crowd;
  #seat;
  #way;

  /** `interrupt` ends what the follower does, so that it chooses anew. Without a crowd there is never a detour. */
  constructor(crowd, server, interrupt) {
    this.interrupt = interrupt;
    this.#crowd = crowd;
    this.#seat = crowd && new Seat(server, () => interrupt("the free connections have changed"));
  }

  /** The transport that takes the place of the follower's own; undefined if that is used. */
  get transport() {
    return this.#way?.transport;
  }

  get why() {
    return this.#way?.why ?? "a connection is free";
  }

  get isShared() {
    return this.#way === SHARED;
  }

  /** Choose for a follower that would hold a connection open. */
  choose() {
    if (this.#crowd?.takes(this)) {
      this.#seat.release(); // the shared poll has its own
      this.#way = SHARED;
    } else {
      this.#seat?.take();
      this.#way = this.#seat?.isDenied ? SEATLESS : undefined;
    }
  }

  /** The follower holds no connection any more. */
  leave() {
    this.#crowd?.leave(this);
    this.rest();
    this.#way = undefined;
  }

  /** The follower will do nothing for a while. */
  rest() {
    this.#seat?.release();
  }

  /** The bodies of the shared poll. */
  bodies(wanted, attempt) {
    return this.#crowd.bodies(wanted, attempt);
  }
}
