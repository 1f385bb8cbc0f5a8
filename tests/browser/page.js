// Functions for the tests, loaded first in each of their pages. `seen` records what the page receives.
window.seen = { events: [], told: [], failures: [], frames: [], closed: null, answers: [] };

window.follow = (address, options = {}) => {
  const source = new EventSource(address, options);
  source.onmessage = (event) => seen.events.push({ id: event.lastEventId, data: event.data });
  source.addEventListener("error", (event) => {
    if (event.data === undefined) seen.failures.push(source.readyState);
    else seen.told.push(event.data);
  });
  window.source = source;
};

window.followByPolls = async (job) => {
  let cursor = "0";
  for (;;) {
    const answer = await fetch(`${job}/tokens?cursor=${encodeURIComponent(cursor)}&wait=20`);
    const poll = await answer.json();
    seen.answers.push(poll);
    if (poll.done) return;
    cursor = poll.cursor;
  }
};

window.openSocket = (address) => {
  const socket = new WebSocket(address);
  socket.onmessage = (event) => seen.frames.push(JSON.parse(event.data));
  socket.onclose = (event) => { seen.closed = { code: event.code, reason: event.reason }; };
  window.socket = socket;
};

window.send = async (method, address, options = {}) => (await fetch(address, { method, ...options })).status;
