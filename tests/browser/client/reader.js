// A reader for the tests' pages: it follows by tokentail.js, shows the text, and records each step in `read`.
window.read = { text: "", cursor: "0", steps: [], moves: [], traffic: {}, done: null, failure: null };

window.connect = async (options = {}) => {
  const { Tokentail } = await import("/tokentail.js");
  // Shorter than the defaults, to keep the tests short; only the tests of upgrades set a short climbMs.
  const timing = { muteMs: 700, climbMs: 600000, ...options.timing };
  window.tokentail = new Tokentail({ ...options, timing });
};

window.readJob = async (job, options = {}) => {
  const aborting = (window.aborting = new AbortController());
  const counting = {
    signal: aborting.signal,
    onTransport: (name, why) => read.moves.push([name, why]),
    onTrouble: (why) => window.onTrouble?.(why),
    onTraffic: ({ transport, requests, bytes }) => {
      const counted = (read.traffic[transport] ??= { requests: 0, bytes: 0 });
      counted.requests += requests;
      counted.bytes += bytes;
    },
  };
  try {
    for await (const step of tokentail.follow(job, { ...counting, ...options })) {
      read.text = (step.reset ? "" : read.text) + step.tokens.join("");
      read.cursor = step.cursor;
      read.steps.push(step);
      if (step.done) read.done = step.status;
      window.onstep?.(step);
    }
  } catch (error) {
    read.failure = { name: error.name, status: error.status, type: error.type, detail: error.detail };
  }
};

// The times at which a stream was probed, as far as the steps show it.
window.noteTries = () => {
  const tries = read.traffic.sse.requests;
  if (tries > read.seenTries) read.triedAt.push(performance.now());
  read.seenTries = tries;
};

// Follow many jobs at once; `many[job]` is what was read of one, by the client that is given.
window.many = {};
window.readMany = async (jobs, options = {}, client = tokentail) => {
  await Promise.all(
    jobs.map(async (job) => {
      const one = (many[job] = { text: "", events: [], transport: null, moves: [], resets: 0, done: null, failure: null });
      const told = { onTransport: (name, why) => one.moves.push([name, why]) };
      try {
        for await (const step of client.follow(job, { ...told, ...options })) {
          if (step.reset) [one.text, one.resets] = ["", one.resets + 1];
          const tokens = step.tokens ?? step.events.filter((event) => typeof event === "string");
          one.text += tokens.join("");
          one.events.push(...(step.events ?? []).filter((event) => event.type).map((event) => event.type));
          [one.transport, one.done] = [step.transport, step.done];
          await window.holding?.[job];
        }
      } catch (error) {
        one.failure = error.status ?? error.name;
      }
    }),
  );
};
