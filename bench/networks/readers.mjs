// Readers by tokentail.js: `node readers.mjs '[{"name", "client", "url", "job", "transport", "timing", "mostMs"}, …]'` follows
// all jobs at once. For each it prints when tokens came and requests were made, in seconds of the clock of all processes.
const now = () => Number(process.hrtime.bigint()) / 1e9;
const requests = new Map(); // times, by the id of the job: each reader has a job of its own

const realFetch = globalThis.fetch;
const RealSocket = globalThis.WebSocket;
function note(address) {
  const job = /\/jobs\/([^/?]+)/.exec(String(address))?.[1];
  requests.get(job)?.push(now());
}
globalThis.fetch = (address, ...more) => {
  note(address);
  return realFetch(address, ...more);
};
globalThis.WebSocket = class extends RealSocket {
  constructor(address, ...more) {
    note(address);
    super(address, ...more);
  }
};

async function read({ name, url, job, transport, timing, mostMs }, { Tokentail }) {
  const asked = [];
  requests.set(job, asked);
  const found = { name, began: now(), arrived: [], asked, moves: [], transport: null, failure: null };
  try {
    const signal = AbortSignal.timeout(mostMs);
    const options = { transport, signal, onTransport: (to, why) => found.moves.push([to, why]) };
    for await (const step of new Tokentail({ url, timing }).follow(job, options)) {
      for (const _ of step.tokens) found.arrived.push(now());
      found.transport = step.transport;
    }
  } catch (error) {
    found.failure = String(error.message);
  }
  return found;
}

const given = JSON.parse(process.argv[2]);
// Each reader has a module of its own, for readers of one module may share requests. What Node loads lazily is loaded first.
const modules = await Promise.all(given.map(({ client, job }) => import(`${client}?${job}`)));
await Promise.all(given.map(({ url }) => realFetch(`${url}/healthz`).then((answer) => answer.text())));
const found = await Promise.all(given.map((one, i) => read(one, modules[i])));
process.stdout.write(JSON.stringify(found), () => process.exit(0));
