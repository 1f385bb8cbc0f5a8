// A failure in words: what kind it is, and after how much trying. Pure.

const KINDS = {
  timeout: "It took too long", rate_limited: "The provider limits how often it may be asked", overloaded: "The provider is overloaded",
  rejected: "The provider refused the request", content_filtered: "The provider’s filter stopped the answer",
  truncated: "The answer was cut off", malformed: "The provider’s response could not be read", unavailable: "The provider could not be reached",
  internal: "A fault of this deployment", abandoned: "Nobody was reading",
};

/** The kind of a job's error; "" for errors of reading it. */
export const kindWords = (error) => KINDS[error.type] ?? "";

/** Why the server could not serve a request, in one sentence: its own, if it sent one. */
export const awayWords = ({ detail } = {}) => /^.+?\.(?=\s|$)/s.exec(detail ?? "")?.[0] ?? "The server does not answer.";

/** How many calls the job took, and what the provider's last response was. */
export function callsWords(error, view) {
  const calls = view?.provider_calls ?? 0;
  const said = [error.provider_status && `status ${error.provider_status}`, error.provider_code && `code ${error.provider_code}`].filter(Boolean);
  return [
    calls > 0 && `The provider was called ${calls === 1 ? "once" : `${calls} times`}.`,
    said.length > 0 && `The last response had ${said.join(" and ")}.`,
  ].filter(Boolean).join(" ");
}
