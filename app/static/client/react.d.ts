import type { Failure, Job, Status, Tokentail, Usage } from "./tokentail.js";

export interface FollowedAnswer {
  /** The text of the current generation so far. */
  text: string;
  /** The job's status; undefined until there is something to read. */
  status: Status | undefined;
  /** Whether nothing more will come. */
  done: boolean;
  /** Why the job failed, or why it cannot be read. */
  error: Failure | null;
  usage: Usage | null;
  /** Why nothing arrives at the moment, because of an outage. */
  trouble: string | undefined;
  /** Stop the job. */
  cancel(): Promise<Job | void>;
}

/**
 * Follows a job while the component is shown. `client` is the client to read with, made outside the component; without
 * one, a client of the page's own origin.
 */
export function useTokentail(jobId: string | null | undefined, options?: { client?: Tokentail }): FollowedAnswer;
