// Readers by tokentail.js: `node readers.mjs '{"url", "clients": {NAME: MODULE}, "mostMs"}'` prints a line once it is warm. Then it
// takes `[{"name", "client", "job", "transport", "timing"}, …]` from its input, follows all these jobs at once, and prints for
// each reader when tokens came and requests were made, in seconds of the clock of all processes.
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

async function read({ name, client, job, transport, timing }, { Tokentail }) {
  const asked = [];
  requests.set(job, asked);
  const found = { name, began: now(), arrived: [], asked, moves: [], transport: null, failure: null };
  try {
    const options = { transport, signal: AbortSignal.timeout(mostMs), onTransport: (to, why) => found.moves.push([to, why]) };
    for await (const step of new Tokentail({ url, timing }).follow(job, options)) {
      for (const _ of step.tokens) found.arrived.push(now());
      found.transport = step.transport;
    }
  } catch (error) {
    found.failure = String(error.message);
  }
  return found;
}

const { url, clients, mostMs } = JSON.parse(process.argv[2]);
await (await realFetch(`${url}/healthz`)).text(); // Node loads its fetch with the first call
for (const client of Object.values(clients)) await import(client);
process.stdout.write("warm\n");
let input = "";
for await (const part of process.stdin) input += part;
const given = JSON.parse(input);
// Each reader has a module of its own, because readers of one module may share requests.
const modules = await Promise.all(given.map(({ client, job }) => import(`${clients[client]}?${job}`)));
const found = await Promise.all(given.map((one, i) => read(one, modules[i])));
process.stdout.write(JSON.stringify(found), () => process.exit(0));
