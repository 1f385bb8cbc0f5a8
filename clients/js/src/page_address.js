/** Keep a job's id in the page's address, where a reload or a bookmark finds it; `null` removes it. */
export function remember(jobId) {
  const address = new URL(globalThis.location.href);
  if (address.searchParams.get("job") !== jobId) address.searchParams.delete("token"); // it was for another job
  if (jobId === null) address.searchParams.delete("job");
  else address.searchParams.set("job", jobId);
  globalThis.history.replaceState(globalThis.history.state, "", address);
  return jobId;
}

/** The job's id in the page's address, and the read token if the address is a share link. */
export function recall() {
  const query = new URLSearchParams(globalThis.location?.search);
  return { job: query.get("job") ?? undefined, token: query.get("token") ?? undefined };
}
