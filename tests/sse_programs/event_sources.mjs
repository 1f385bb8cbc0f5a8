// SSE clients of JavaScript, each as its own documentation shows it: `node event_sources.mjs NAME URL`.
// Prints a line of JSON for each event that the client passes on, and for each error. Runs until it is killed, or
// until the client ends by itself.

const [name, url] = process.argv.slice(2);
const print = (line) => console.log(JSON.stringify(line));
const show = (event) => print({ data: event.data });
const fail = (error) => print({ error: String(error?.message ?? error?.type ?? error) });

const usual = (EventSource, options) => {
  const source = new EventSource(url, options);
  source.onmessage = show;
  source.onerror = fail;
};

/** Libraries for browsers look for a page. */
function pretendToBeAPage() {
  const addEventListener = () => {};
  globalThis.window ??= globalThis;
  globalThis.document = { readyState: "complete", hidden: false, addEventListener, removeEventListener: addEventListener };
}

const clients = {
  async global() {
    usual(globalThis.EventSource);
  },
  async eventsource() {
    usual((await import("eventsource")).EventSource);
  },
  async "eventsource-client"() {
    (await import("eventsource-client")).createEventSource({ url, onMessage: show, onDisconnect: () => fail("cut") });
  },
  async "event-source-polyfill"() {
    pretendToBeAPage();
    usual((await import("event-source-polyfill")).default.EventSourcePolyfill);
  },
  async "reconnecting-eventsource"() {
    pretendToBeAPage();
    const { EventSource } = await import("eventsource");
    const { default: found } = await import("reconnecting-eventsource");
    const source = new (found.default ?? found)(url, { eventSourceClass: EventSource });
    source.addEventListener("message", show);
    source.addEventListener("job", () => {});
    source.addEventListener("error", fail);
  },
  async "fetch-event-source"() {
    pretendToBeAPage();
    const { fetchEventSource } = await import("@microsoft/fetch-event-source");
    await fetchEventSource(url, { onmessage: show, onerror: fail, openWhenHidden: true });
    process.exit(0);
  },
  async "event-source-plus"() {
    const { EventSourcePlus } = await import("event-source-plus");
    new EventSourcePlus(url).listen({ onMessage: show, onRequestError: ({ error }) => fail(error) });
  },
  async "event-source-plus: on-error"() {
    const { EventSourcePlus } = await import("event-source-plus");
    new EventSourcePlus(url, { retryStrategy: "on-error" }).listen({ onMessage: show });
  },
  async "extended-eventsource"() {
    usual((await import("extended-eventsource")).EventSource);
  },
  async "launchdarkly-eventsource"() {
    usual((await import("launchdarkly-eventsource")).default.EventSource);
  },
  async "eventsource-parser"() {
    const { EventSourceParserStream } = await import("eventsource-parser/stream");
    const response = await fetch(url, { headers: { Accept: "text/event-stream" } });
    const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
    for await (const event of events) show(event);
    process.exit(0);
  },
};

setInterval(() => {}, 1000); // a client that waits for its next try does not keep every runtime alive
try {
  await clients[name]();
} catch (error) {
  fail(error);
  process.exit(1);
}
