import { foreignResponse } from "./errors.js";

/** The tokens or events of a poll's body. */
export function elementsOf(body) {
  return body.tokens ?? body.events;
}

/** Whether the body brings anything but a new cursor. */
export function isNews(body) {
  return body.done || body.reset || elementsOf(body).length > 0;
}

/** The body, if it is one of this job's. Throws TransportError. */
export function checkedBody(body, jobId) {
  const isOurs = body?.job_id === jobId && typeof body.cursor === "string" && Array.isArray(elementsOf(body));
  if (isOurs) return body;
  throw foreignResponse({ status: 200 });
}
