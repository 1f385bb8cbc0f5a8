// @ts-self-types="./react.d.ts"
import { useCallback, useEffect, useState } from "react";
import { Tokentail } from "./tokentail.js";

const NOTHING = { text: "", status: undefined, done: false, error: null, usage: null, trouble: undefined };
let ownServer; // the client of the page's own origin

/**
 * Follows a job from its beginning to its end while the component is shown: the text as it comes, and how it ended.
 * Leaving stops only reading; `cancel` stops the job. Without a job there is nothing to follow.
 */
export function useTokentail(jobId, { client = (ownServer ??= new Tokentail()) } = {}) {
  const [read, setRead] = useState({ jobId, client, answer: NOTHING });
  useEffect(() => {
    if (!jobId) return undefined;
    const reading = new AbortController();
    follow(client, jobId, reading.signal, (answer) => setRead({ jobId, client, answer }));
    return () => reading.abort();
  }, [client, jobId]);
  const cancel = useCallback(() => (jobId ? client.cancel(jobId) : Promise.resolve()), [client, jobId]);
  const isOfThisJob = read.jobId === jobId && read.client === client; // a moment after a change, it is the last job's
  return { ...(isOfThisJob ? read.answer : NOTHING), cancel };
}

async function follow(client, jobId, signal, show) {
  let answer = NOTHING;
  const change = (news) => {
    answer = { ...answer, ...news };
    if (!signal.aborted) show(answer);
  };
  try {
    const options = { signal, onTrouble: (trouble) => change({ trouble }) };
    for await (const { reset, tokens, status, done, error = null, usage = null } of client.follow(jobId, options)) {
      change({ text: (reset ? "" : answer.text) + tokens.join(""), status, done, error, usage });
    }
  } catch (error) {
    change({ done: true, error: { type: error.type ?? error.name, message: error.message } });
  }
}
