export { TokentailError } from "./errors.js";
export { EventParser } from "./event_parser.js";
export { Tokentail } from "./client.js";
export { remember, recall } from "./page_address.js";
export { TokentailChatTransport } from "./chat_transport.js";
